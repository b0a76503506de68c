"""The closed set of things CachePilot can do to the world, and a plan that prints itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import ContainerShape, Resources, Role
from cachepilot.spec.document import PersistenceMode, TenantName


class Disruption(StrEnum):
    """What connected clients notice."""

    NONE = "none"
    RECONNECT = "reconnect"
    RESTART = "restart"
    DATA_RISK = "data-risk"


_SEVERITY = tuple(Disruption)


@dataclass(frozen=True, slots=True, kw_only=True)
class AclUser:
    """One line of users.acl; passwords are named by revision, never by content.

    Attributes:
        passwords: Revisions of this user's own passwords that are accepted.
        enabled: Whether anybody may log in as this user.
        keys: Key pattern rule such as ``~*``, or empty for no key at all.
        channels: Channel rule such as ``&*``, or empty for none.
        commands: Command rules in order.
    """

    name: str
    passwords: tuple[int, ...] = ()
    enabled: bool = True
    keys: str = ""
    channels: str = ""
    commands: tuple[str, ...]

    def rules(self, passwords: tuple[str, ...]) -> tuple[str, ...]:
        """Return all rules in order, with *passwords* as the server is to be told them."""
        access = (self.keys or "resetkeys", self.channels or "resetchannels")
        return ("on" if self.enabled else "off", *passwords, *access, *self.commands)

    def line(self, passwords: tuple[str, ...]) -> str:
        """Return this user's line of users.acl, without its end."""
        return " ".join(("user", self.name, *self.rules(passwords)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A container to be: all that an engine needs to make it.

    Attributes:
        digest: Fingerprint of the shape with its version, written as a label.
        stop_timeout: Time a server gets to save before it is killed.
    """

    role: Role
    shape: ContainerShape
    resources: Resources
    digest: str
    stop_timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Action:
    disruption: ClassVar[Disruption] = Disruption.NONE

    tenant_name: TenantName
    cause: str

    def detail(self) -> str:
        """Return what a person wants to know besides the name, or empty."""
        return ""


# What we must remember ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberDocument(_Action):
    """Keep a valid document as the last good one; counts the generation."""

    generation: int
    digest: str
    source: str
    document: str

    def detail(self) -> str:
        return f"generation {self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(_Action):
    """Write ports, user id and bridge into the durable ledger."""

    reservation: Reservation

    def detail(self) -> str:
        kept = self.reservation
        ports = [f"tls {kept.tls_port}"] if kept.tls_port else []
        ports += [f"plain {kept.plain_port}"] if kept.plain_port else []
        return f"{', '.join(ports)}, uid {kept.uid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateCredential(_Action):
    """Draw a password and keep it in the record."""

    user: str

    def detail(self) -> str:
        return f"user {self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptPassword(_Action):
    """Take the customer's password from the author's file into the record."""

    user: str
    path: str

    def detail(self) -> str:
        return f"user {self.user} from {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginRestart(_Action):
    """Remember which restart wish is being served, before it is."""

    wish: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRestart(_Action):
    """Remember that a restart wish was served."""

    wish: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectDump(_Action):
    """Remember whether the dump of a memory-only tenant is there to be loaded."""

    expected: bool

    def detail(self) -> str:
        return "load once" if self.expected else "loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberPersistence(_Action):
    """Remember in which mode the data on disk is kept from now on."""

    mode: PersistenceMode

    def detail(self) -> str:
        return self.mode


# Files --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAuthority(_Action):
    """Make the host's certificate authority; happens once in the life of a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueCertificate(_Action):
    """Sign a fresh key and leaf beside the old ones, then remember its revision."""

    revision: int
    names: tuple[str, ...]
    lifetime: timedelta
    uid: int

    def detail(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneCertificates(_Action):
    """Delete the leaves that are no longer served."""

    keep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareFolders(_Action):
    """Make the folders of an instance with owner and mode; never a data folder that was lost."""

    instance: int
    uid: int
    with_data: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfiguration(_Action):
    """Write redis.conf of an instance."""

    instance: int
    uid: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUsers(_Action):
    """Write users.acl of an instance."""

    instance: int
    uid: int
    users: tuple[AclUser, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardDump(_Action):
    """Delete the dump of a memory-only tenant, so that no later start revives old data."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardAppendOnly(_Action):
    """Delete the append-only folder that a finished change of mode left behind."""

    instance: int


# Containers ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage(_Action):
    """Fetch an image that the engine does not have."""

    image: str

    def detail(self) -> str:
        return self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureNetwork(_Action):
    """Make the shared bridge if it is not there."""

    bridge: str
    subnet: str

    def detail(self) -> str:
        return self.bridge


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer(_Action):
    """Create (not start) a container."""

    workload: Workload
    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer(_Action):
    """Start a container that exists."""

    role: Role
    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer(_Action):
    """Let a server save and stop."""

    disruption: ClassVar[Disruption] = Disruption.RESTART

    container_id: str
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartContainer(_Action):
    """Stop and start a container in one go; also ends a crash loop's waiting time."""

    disruption: ClassVar[Disruption] = Disruption.RESTART

    container_id: str
    instance: int
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer(_Action):
    """Remove a stopped container if it is still the one that was seen; data stays."""

    disruption: ClassVar[Disruption] = Disruption.RESTART

    container_id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpauseContainer(_Action):
    """Thaw a container that somebody froze."""

    container_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameContainer(_Action):
    """Give a container its own name back."""

    container_id: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResources(_Action):
    """Change memory, processor time or restart policy of a running container."""

    container_id: str
    resources: Resources

    def detail(self) -> str:
        return f"memory {self.resources.memory}, cpu quota {self.resources.cpu_quota}"


# The server ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitServer(_Action):
    """Wait until the server answers and has loaded its data."""

    instance: int
    patience: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDataset(_Action):
    """Pause writes and save everything to disk, proven, before a memory-only server stops."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveInBackground(_Action):
    """Save a snapshot beside running traffic and prove that this very save succeeded."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitRewrite(_Action):
    """Wait until the append-only file holds everything, proven by the server's own word."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeMemory(_Action):
    """Ask the allocator to give freed pages back."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDirectives(_Action):
    """Change directives of the running server in one call."""

    instance: int
    directives: tuple[tuple[str, str], ...]

    def detail(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.directives)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUser(_Action):
    """Replace all rules and passwords of one user at once."""

    instance: int
    user: AclUser

    def detail(self) -> str:
        return self.user.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUser(_Action):
    """Remove a user that nobody asked for; its connections end."""

    instance: int
    user: str

    def detail(self) -> str:
        return self.user


Action = (
    RememberDocument
    | Reserve
    | GenerateCredential
    | AdoptPassword
    | BeginRestart
    | FinishRestart
    | ExpectDump
    | RememberPersistence
    | CreateAuthority
    | IssueCertificate
    | PruneCertificates
    | PrepareFolders
    | WriteConfiguration
    | WriteUsers
    | DiscardDump
    | DiscardAppendOnly
    | PullImage
    | EnsureNetwork
    | CreateContainer
    | StartContainer
    | StopContainer
    | RestartContainer
    | RemoveContainer
    | UnpauseContainer
    | RenameContainer
    | UpdateResources
    | AwaitServer
    | SaveDataset
    | SaveInBackground
    | AwaitRewrite
    | PurgeMemory
    | SetDirectives
    | SetUser
    | DeleteUser
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why nothing more can be done until a person or the world changes something.

    Attributes:
        reason: One CamelCase word for the condition.
        message: A sentence that names the thing and the way out.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order they must run; empty and not blocked means converged."""

    actions: tuple[Action, ...] = ()
    blocked: Blocked | None = None

    @property
    def disruption(self) -> Disruption:
        """The worst that clients notice of any action."""
        return max(
            (action.disruption for action in self.actions),
            key=_SEVERITY.index,
            default=Disruption.NONE,
        )

    def __str__(self) -> str:
        lines = [
            f"{number}. {describe(action)}" for number, action in enumerate(self.actions, start=1)
        ]
        if self.blocked:
            lines.append(f"blocked: {self.blocked.reason}: {self.blocked.message}")
        return "".join(f"{line}\n" for line in lines)


def describe(action: Action) -> str:
    """Return one line: what is done, to whom, why, and what clients notice of it."""
    detail = f" ({action.detail()})" if action.detail() else ""
    notice = "" if action.disruption is Disruption.NONE else f" [{action.disruption}]"
    return f"{type(action).__name__} {action.tenant_name}{detail}: {action.cause}{notice}"
