"""Keys and certificates in memory: made and signed, never stored here."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_LIFETIME = timedelta(days=3652)
CLIENT_AUTHORITY_LIFETIME = timedelta(days=36_525)
# For clients whose clocks are late.
BACKDATED = timedelta(minutes=5)
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """A private key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def key_pem(self) -> bytes:
        """Return the key as it is stored."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def certificate_pem(self) -> bytes:
        """Return the certificate as it is stored."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make_root(now: datetime) -> Pair:
    """Return a new authority that is valid for ten years."""
    return _make_authority("CachePilot authority", now, ROOT_LIFETIME)


def make_client_authority(tenant_name: str, now: datetime) -> Pair:
    """Return a new authority for the clients of one tenant.

    Nobody but that tenant's own server trusts it, so it need not end by itself.
    """
    return _make_authority(f"Clients of {tenant_name[:40]}", now, CLIENT_AUTHORITY_LIFETIME)


def _make_authority(title: str, now: datetime, lifetime: timedelta) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # Two authorities must differ by name, or whoever trusts both may try the wrong one.
    name = _name(f"{title} {secrets.token_hex(4)}")
    start = now.replace(microsecond=0) - BACKDATED
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(name, name, key, start, start + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )
    return Pair(key, builder.sign(key, hashes.SHA256()))


def make_leaf(root: Pair, *, names: tuple[str, ...], lifetime: timedelta, now: datetime) -> Pair:
    """Return a server's certificate for *names*, valid from a little before *now*.

    It never outlives *root*: a chain is worth nothing longer than its shortest link.

    Raises:
        ValueError: *names* is empty, or the root's time does not cover *now*.
    """
    if not names:
        raise ValueError("there is no name to put into it")
    dialled = x509.SubjectAlternativeName([_general_name(name) for name in names])
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    return _sign(root, names[0], usage, dialled, lifetime=lifetime, now=now)


def make_client(authority: Pair, *, name: str, lifetime: timedelta, now: datetime) -> Pair:
    """Return the certificate of a client, which no server can use as its own.

    Raises:
        ValueError: The authority's time does not cover *now*.
    """
    usage = ExtendedKeyUsageOID.CLIENT_AUTH
    return _sign(authority, name, usage, None, lifetime=lifetime, now=now)


def _sign(
    root: Pair,
    subject: str,
    usage: x509.ObjectIdentifier,
    dialled: x509.SubjectAlternativeName | None,
    *,
    lifetime: timedelta,
    now: datetime,
) -> Pair:
    now = now.replace(microsecond=0)
    earliest = root.certificate.not_valid_before_utc
    start = max(now - BACKDATED, earliest)
    end = min(now + lifetime, root.certificate.not_valid_after_utc)
    if not earliest <= now < end:
        raise ValueError(f"its authority is not valid on {now:%Y-%m-%d}; is the clock right?")
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(_name(subject[:_LONGEST_COMMON_NAME]), root.certificate.subject, key, start, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
        )
    )
    if dialled is not None:
        builder = builder.add_extension(dialled, critical=False)
    return Pair(key, builder.sign(root.key, hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
