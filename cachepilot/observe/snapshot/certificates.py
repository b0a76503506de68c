"""What we saw of authorities and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RotationPhase(StrEnum):
    """How far the replacement of a root is.

    A root is *made*; it *joins* what clients trust, which every server takes up; it is
    *announced*, so that customers take it up; it signs, and leaves are *reissued*; the old one is
    *leaving*, and then *removed*.
    """

    MAKING = "making"
    JOINING = "joining"
    ANNOUNCED = "announced"
    REISSUING = "reissuing"
    LEAVING = "leaving"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRoot:
    """One root that clients are to trust.

    Attributes:
        fingerprint: SHA-256 of the certificate, hexadecimal.
    """

    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRotation:
    """The replacement of a root that is under way.

    Attributes:
        since: When the phase began.
        by_wish: Whether somebody wished for it, who may withdraw that.
        problem: Why it does not go on, or empty; the root that signs is not concerned.
    """

    phase: RotationPhase
    since: datetime
    by_wish: bool
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAuthority:
    """The certificate authority of this host.

    Attributes:
        exists: Whether key and certificate are both there and belong together.
        problem: Why it must not be touched, or empty; a missing key beside leaves is one.
        fingerprint: SHA-256 of the root that signs, hexadecimal.
        not_after: End of the root that signs.
        roots: Every root that clients are to trust, the one that signs first.
        rotation: The replacement that is under way, or None.
        served_wish: The newest served wish for another root.
    """

    exists: bool
    problem: str = ""
    fingerprint: str = ""
    not_after: datetime | None = None
    roots: tuple[SeenRoot, ...] = ()
    rotation: SeenRotation | None = None
    served_wish: str | None = None

    @property
    def bundle(self) -> tuple[str, ...]:
        """The fingerprints of all roots that clients are to trust, sorted."""
        return tuple(sorted(root.fingerprint for root in self.roots))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCertificate:
    """One leaf on disk.

    Attributes:
        names: Subject alternative names as text, sorted.
        authority: Fingerprint of the root that signed it.
        fingerprint: SHA-256 of the leaf, hexadecimal.
        problem: Why it cannot be served (torn file, foreign key), or empty.
        roots: Fingerprints of the roots in its bundle, sorted.
        clients: Fingerprint of the client authority that is trusted with it, or empty.
    """

    revision: int
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority: str
    fingerprint: str
    problem: str = ""
    roots: tuple[str, ...] = ()
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
