"""What keys and certificates on disk say, and whether they belong together."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cachepilot.adapters.certificate_making import Pair

Certificate = x509.Certificate


def parse_pair(key_pem: bytes, certificate_pem: bytes) -> Pair:
    """Return a key and a certificate, whether they belong together or not.

    Raises:
        ValueError: One of them is torn or of a kind that we do not make.
    """
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The original words may quote the content.
        raise ValueError("the key cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not an elliptic curve key")  # noqa: TRY004 - one kind of flaw
    return Pair(key, parse_bundle(certificate_pem)[0])


def parse_bundle(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a file, at least one.

    Raises:
        ValueError: It is torn.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise ValueError("the certificate cannot be read") from None


def belongs_together(pair: Pair) -> bool:
    """Return whether the certificate was made for the key."""
    # By value: the library compares keys of one curve by their numbers.
    return pair.key.public_key() == pair.certificate.public_key()


def is_root(certificate: x509.Certificate) -> bool:
    """Return whether *certificate* may sign others and signed itself."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca and is_signed_by(certificate, certificate)


def is_signed_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """Return whether the key of *root* really signed *certificate*."""
    try:
        certificate.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def find_signer(
    certificate: x509.Certificate, candidates: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    """Return the first of *candidates* that signed *certificate*."""
    return next((root for root in candidates if is_signed_by(certificate, root)), None)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def list_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the subject alternative names as text, sorted."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return tuple(sorted({*hosts, *addresses}))
