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
    """

    revision: int
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority: str
    fingerprint: str
    problem: str = ""
