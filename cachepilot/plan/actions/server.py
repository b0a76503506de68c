"""Actions on a running server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from cachepilot.plan.actions.base import AclUser, BaseAction, Disruption


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitServer(BaseAction):
    """Wait until the server answers and has loaded its data."""

    instance: int
    patience: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDataset(BaseAction):
    """Pause writes and save everything to disk, proven, before a memory-only server stops.

    Attributes:
        pause: How long writes stay paused if nobody resumes them.
    """

    instance: int
    pause: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeWrites(BaseAction):
    """End the pause of writes that a planned stop began, because the server was not stopped."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveInBackground(BaseAction):
    """Save a snapshot beside running traffic and prove that this very save succeeded."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitRewrite(BaseAction):
    """Wait until the append-only file holds everything, proven by the server's own word."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndScript(BaseAction):
    """End a script or function that has written nothing; its client gets an error."""

    disruption: ClassVar[Disruption] = Disruption.RECONNECT

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeMemory(BaseAction):
    """Ask the allocator to give freed pages back."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDirectives(BaseAction):
    """Change directives of the running server in one call."""

    instance: int
    directives: tuple[tuple[str, str], ...]

    def detail(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.directives)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUser(BaseAction):
    """Replace all rules and passwords of one user at once."""

    instance: int
    user: AclUser

    def detail(self) -> str:
        return self.user.name


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictUser(BaseAction):
    """As SetUser, with channels taken away: whoever is subscribed to them is disconnected."""

    disruption: ClassVar[Disruption] = Disruption.RECONNECT

    instance: int
    user: AclUser

    def detail(self) -> str:
        return self.user.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveLogin(BaseAction):
    """Log in as *user* with each of some passwords, named by revision; changes nothing."""

    instance: int
    user: str
    passwords: tuple[int, ...]

    def detail(self) -> str:
        return f"{self.user} with password {', '.join(map(str, self.passwords))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUser(BaseAction):
    """Remove a user that nobody asked for; its connections end."""

    disruption: ClassVar[Disruption] = Disruption.RECONNECT

    instance: int
    user: str

    def detail(self) -> str:
        return self.user


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowServer(BaseAction):
    """Let a successor replicate the server in charge, with a password for this one link.

    Attributes:
        leader: Number of the server in charge.
        port: Where it listens, inside.
        encrypted: Whether it does so with TLS.
        buffer: Bytes of news that may wait for the successor.
    """

    instance: int
    leader: int
    port: int
    encrypted: bool
    buffer: int

    def detail(self) -> str:
        return f"server {self.instance} from server {self.leader}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitSuccessor(BaseAction):
    """Wait until a successor has everything, on disk too if it logs, and void its password."""

    instance: int
    leader: int
    patience: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainServer(BaseAction):
    """Pause writes, wait until the successor has applied them all, and close the listeners."""

    instance: int
    successor: int
    pause: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSuccessor(BaseAction):
    """End replication and open the listeners of a successor; writes wait there until resumed."""

    instance: int
    listeners: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceServer(BaseAction):
    """Make a server refuse all writes for good and end its clients' connections.

    It fails if the server took a write that its successor does not have.
    """

    disruption: ClassVar[Disruption] = Disruption.RECONNECT

    instance: int
    successor: int


HandOverAction = FollowServer | AwaitSuccessor | DrainServer | OpenSuccessor | FenceServer

ServerAction = (
    AwaitServer
    | SaveDataset
    | ResumeWrites
    | SaveInBackground
    | AwaitRewrite
    | EndScript
    | PurgeMemory
    | SetDirectives
    | SetUser
    | RestrictUser
    | ProveLogin
    | DeleteUser
)
