"""Actions on what we must remember."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cachepilot.observe.memory import HandOver, Reservation
from cachepilot.observe.user_memory import KeptRules
from cachepilot.plan.actions.base import BaseAction
from cachepilot.spec.document import PersistenceMode


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberDocument(BaseAction):
    """Keep a valid document as the last good one; counts the generation."""

    generation: int
    digest: str
    source: str
    document: str

    def detail(self) -> str:
        return f"generation {self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire(BaseAction):
    """Remember that serving ends because the tenant's file is gone; a new document undoes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(BaseAction):
    """Write ports, user id and bridge into the durable ledger."""

    reservation: Reservation

    def detail(self) -> str:
        kept = self.reservation
        ports = [f"tls {kept.tls_port}"] if kept.tls_port else []
        ports += [f"plain {kept.plain_port}"] if kept.plain_port else []
        return f"{', '.join(ports)}, uid {kept.uid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateCredential(BaseAction):
    """Draw a password and keep it in the record.

    Attributes:
        pending: Whether another one stays documented until a login has proven this one.
        wish: The ``rotatedAt`` that is served by this, or None.
    """

    user: str
    pending: bool
    wish: str | None

    def detail(self) -> str:
        return f"user {self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptPassword(BaseAction):
    """Take the customer's password from the author's file into the record.

    Attributes:
        pending: As of :class:`GenerateCredential`.
    """

    user: str
    pending: bool
    path: str

    def detail(self) -> str:
        return f"user {self.user} from {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteCredential(BaseAction):
    """Document a password; the grace of the one before begins now."""

    user: str
    revision: int

    def detail(self) -> str:
        return f"user {self.user}, password {self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetCredentials(BaseAction):
    """Forget passwords that no server accepts any more."""

    user: str
    revisions: tuple[int, ...]

    def detail(self) -> str:
        return f"user {self.user}, password {', '.join(map(str, self.revisions))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberRules(BaseAction):
    """Remember what the users of the spec may do on the server, and forget all other users'."""

    rules: tuple[KeptRules, ...]

    def detail(self) -> str:
        return ", ".join(kept.user for kept in self.rules) or "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginRestart(BaseAction):
    """Remember which restart wish is being served, before it is."""

    wish: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRestart(BaseAction):
    """Remember that a restart wish was served."""

    wish: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectDump(BaseAction):
    """Remember whether the dump of a memory-only tenant is there to be loaded."""

    expected: bool

    def detail(self) -> str:
        return "load once" if self.expected else "loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberPersistence(BaseAction):
    """Remember in which mode the data on disk is kept from now on."""

    mode: PersistenceMode

    def detail(self) -> str:
        return self.mode


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberWait(BaseAction):
    """Remember which generation wishes an end that waits for a save, and until when; or none."""

    wait: tuple[int, datetime] | None

    def detail(self) -> str:
        if self.wait is None:
            return "over"
        return f"until {self.wait[1]:%Y-%m-%d %H:%M:%SZ}, then what is only in memory is lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberApplied(BaseAction):
    """Remember which directives the server was seen to have; nothing while others are applied."""

    fingerprint: str

    def detail(self) -> str:
        return "in force" if self.fingerprint else "in doubt"


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberHandOver(BaseAction):
    """Remember how far a hand-over is, or that it is over; WON makes the successor the server."""

    hand_over: HandOver | None

    def detail(self) -> str:
        if self.hand_over is None:
            return "over"
        return f"to server {self.hand_over.instance}: {self.hand_over.phase}"


CredentialAction = GenerateCredential | AdoptPassword | PromoteCredential | ForgetCredentials

MemoryAction = (
    RememberDocument
    | Retire
    | Reserve
    | CredentialAction
    | RememberRules
    | BeginRestart
    | FinishRestart
    | ExpectDump
    | RememberPersistence
    | RememberApplied
    | RememberWait
)
