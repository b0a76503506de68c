"""What we must remember because the world cannot tell us: the content of a tenant's record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cachepilot.observe.replacement import HeldBack, LearnedImage, Replacement
from cachepilot.observe.user_memory import KeptRules, Verdict
from cachepilot.spec.document import PersistenceMode

# The user of a server that is there without anybody's asking: the customer's.
DEFAULT_USER = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What the ledger gave to one tenant, for as long as the tenant is known.

    Attributes:
        tls_port: Host port of the encrypted listener, None while the tenant never had one.
        plain_port: Host port of the unencrypted listener, likewise.
        uid: Numeric user and group of the server.
        bridge: Index of the shared bridge, counted from 0.
    """

    tls_port: int | None
    plain_port: int | None
    uid: int
    bridge: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCredential:
    """A password that exists in the record; never the password itself.

    Attributes:
        user: Name of the user on the server.
        revision: Counts the passwords this user ever had, from 1.
        from_file: Whether it was read from the author's ``passwordFile``.
        pending: Whether it was drawn, but no login has proven yet that the server takes it.
        since: When it was drawn while it is pending, else when it came into force; None if it did
            before anybody wrote that down.
        replaced: When another one came into force in its place; None while it is documented.
    """

    user: str
    revision: int
    from_file: bool = False
    pending: bool = False
    since: datetime | None = None
    replaced: datetime | None = None


class HandOverPhase(StrEnum):
    """How far a hand-over is; each phase has one meaning after whatever crash.

    PREPARING and CLOSING mean that the old server stays: in the latter it may be closed to
    clients, and is opened again. WON means that the new one does, and has the number that serves;
    what is left of the old one only has to be removed. FAILED means that the old one serves on and
    the same document is not tried again.
    """

    PREPARING = "preparing"
    CLOSING = "closing"
    WON = "won"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """A hand-over from the server that serves to a successor.

    Attributes:
        instance: Number of the successor.
        former: Number of the server before.
        since: When it was begun.
        generation: The document that it is made for.
        wish: The ``restartedAt`` that it serves, if any.
        why: What failed, in a sentence; empty in all other phases.
    """

    phase: HandOverPhase
    instance: int
    former: int
    since: datetime
    generation: int
    wish: str | None = None
    why: str = ""

    @property
    def is_undecided(self) -> bool:
        """Whether the old server is in charge while a successor is there to take over."""
        return self.phase in (HandOverPhase.PREPARING, HandOverPhase.CLOSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The record of one tenant, secrets left out.

    Attributes:
        generation: Counts the distinct valid documents of this tenant, from 1.
        document: The last good document as JSON text.
        document_digest: Fingerprint of that document as written, before defaults.
        source: Path of the file that document came from; the incumbent when names clash.
        instance: Number of the server instance that serves (``data/<n>``, ``conf/<n>``).
        certificate: Revision of the leaf that should be served; 0 while there is none.
        data_ready: Whether the data folder was made; if it is missing later, data was lost.
        persistence: The mode that the data on disk is really kept in; it follows the spec only
            when a change of mode is complete.
        applied: Fingerprint of the directives that the server was last seen to have, all of them;
            empty in doubt, and where changes by hand are reverted anyway.
        load_once: Whether the dump in a memory-only tenant's folder was made to be loaded.
        retired: Whether serving ended because the tenant's file was gone for long enough; a
            daemon that starts later must not revive it.
        rotated_at: The newest served ``auth.rotatedAt``.
        clients_rotated_at: The newest served ``tls.clientsRotatedAt``.
        rotations: (user, the newest served ``rotatedAt``) of the users in ``auth.users``.
        rules: What the users in ``auth.users`` may do on the server, by user.
        verdicts: How trials of rules ended, the newest first.
        wait: The generation whose wish to end serving waits for data that cannot be saved, and
            until when.
        restarted_at: The newest served ``restartedAt``.
        hand_over: What goes on between two servers of this tenant, if anything.
        restart_wish: The ``restartedAt`` that is being served, with the moment it was begun.
        learned: What the newest image that was looked into holds.
        replacement: The server that is taking the place of another right now.
        held_back: The change that failed last and is not to be tried again as it is.
        outgoing: Instances whose folders nobody needs any more.
    """

    generation: int = 0
    document: str = ""
    document_digest: str = ""
    source: str = ""
    reservation: Reservation | None = None
    instance: int = 1
    certificate: int = 0
    credentials: tuple[SeenCredential, ...] = ()
    data_ready: bool = False
    persistence: PersistenceMode | None = None
    applied: str = ""
    load_once: bool = False
    retired: bool = False
    rotated_at: str | None = None
    clients_rotated_at: str | None = None
    rotations: tuple[tuple[str, str], ...] = ()
    rules: tuple[KeptRules, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    wait: tuple[int, datetime] | None = None
    restarted_at: str | None = None
    restart_wish: tuple[str, datetime] | None = None
    learned: LearnedImage | None = None
    replacement: Replacement | None = None
    held_back: HeldBack | None = None
    outgoing: tuple[int, ...] = ()
    hand_over: HandOver | None = None

    @property
    def on_trial(self) -> Replacement | None:
        """The replacement whose new server is in charge but has not proven itself, or None."""
        under_way = self.replacement
        return under_way if under_way and under_way.instance == self.instance else None

    def credential(self, user: str) -> SeenCredential | None:
        """Return the credential that *user* is documented to log in with, or None."""
        return next((seen for seen in self.credentials_of(user) if not seen.pending), None)

    def pending(self, user: str) -> SeenCredential | None:
        """Return the credential that is about to become the documented one, or None."""
        return next((seen for seen in self.credentials_of(user) if seen.pending), None)

    def served_rotation(self, user: str) -> str | None:
        """Return the newest wish for another password of *user* that was served, as written."""
        return self.rotated_at if user == DEFAULT_USER else dict(self.rotations).get(user)

    def with_rotation(self, user: str, wish: str | None) -> Memory:
        """Return this with *wish* as served; None forgets what was served for a user."""
        if user == DEFAULT_USER:
            return replace(self, rotated_at=wish)
        served = dict(self.rotations) | {user: wish}
        kept = ((who, text) for who, text in sorted(served.items()) if text is not None)
        return replace(self, rotations=tuple(kept))

    def credentials_of(self, user: str) -> tuple[SeenCredential, ...]:
        """Return every credential of *user* that is kept, the newest first."""
        mine = (seen for seen in self.credentials if seen.user == user)
        return tuple(sorted(mine, key=lambda seen: seen.revision, reverse=True))
