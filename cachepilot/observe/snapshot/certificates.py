"""What we saw of authorities and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAuthority:
    """The certificate authority of this host.

    Attributes:
        exists: Whether key and certificate are both there and belong together.
        problem: Why it must not be touched, or empty; a missing key beside leaves is one.
        fingerprint: SHA-256 of the root, hexadecimal.
    """

    exists: bool
    problem: str = ""
    fingerprint: str = ""
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCertificate:
    """One leaf on disk.

    Attributes:
        names: Subject alternative names as text, sorted.
        authority: Fingerprint of the root that signed it.
        fingerprint: SHA-256 of the leaf, hexadecimal.
        problem: Why it cannot be served (torn file, foreign key), or empty.
        clients: Fingerprint of the client authority that is trusted with it, or empty.
    """

    revision: int
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority: str
    fingerprint: str
    problem: str = ""
    clients: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenClientCertificate:
    """The certificate of one client of a tenant, as it lies ready to be handed out.

    Attributes:
        folder: Where certificate and key are.
        authority: Fingerprint of the client authority that signed it, empty if another did.
        fingerprint: SHA-256 of the certificate, hexadecimal.
        problem: Why it cannot be used, or empty.
    """

    name: str
    folder: str
    not_before: datetime
    not_after: datetime
    authority: str
    fingerprint: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenClients:
    """The client authority of one tenant and what it signed.

    Attributes:
        authority: Fingerprint of the client authority, empty while there is none.
        problem: Why it must not be touched, or empty.
        certificates: What lies ready for clients, sorted by name; what is torn is left out.
        names: Every name for which anything lies there, sorted.
    """

    authority: str = ""
    problem: str = ""
    certificates: tuple[SeenClientCertificate, ...] = ()
    names: tuple[str, ...] = ()
