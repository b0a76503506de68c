"""Actions on images, networks and containers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from cachepilot.observe.snapshot import Resources, Role
from cachepilot.plan.actions.base import BaseAction, Disruption, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureImage(BaseAction):
    """Fetch an image unless the engine has it, before anything is stopped for it."""

    image: str

    def detail(self) -> str:
        return self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureNetwork(BaseAction):
    """Make the shared bridge if it is not there."""

    bridge: str
    subnet: str

    def detail(self) -> str:
        return self.bridge


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer(BaseAction):
    """Create (not start) a container."""

    workload: Workload
    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer(BaseAction):
    """Start a container that exists, or put one on its network that runs off it."""

    role: Role
    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer(BaseAction):
    """Let a server save and stop.

    Attributes:
        timeout: How long it may take to save.
        kills: Whether it is killed then; otherwise it serves on with what it could not save.
    """

    disruption: ClassVar[Disruption] = Disruption.RESTART

    container_id: str
    timeout: timedelta
    kills: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StopUnsaved(BaseAction):
    """Stop a server that could not be asked to save for longer than its owner waits."""

    disruption: ClassVar[Disruption] = Disruption.DATA_RISK

    container_id: str
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartContainer(BaseAction):
    """Stop and start a container in one go; also ends a crash loop's waiting time."""

    disruption: ClassVar[Disruption] = Disruption.RESTART

    container_id: str
    instance: int
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer(BaseAction):
    """Remove a stopped container if it is still the one that was seen; data stays."""

    disruption: ClassVar[Disruption] = Disruption.RESTART

    container_id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopUnused(BaseAction):
    """Stop a server that no client uses."""

    container_id: str
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveUnused(BaseAction):
    """Remove the container of a server that no client used, if it is the one that was seen."""

    container_id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpauseContainer(BaseAction):
    """Thaw a container that somebody froze."""

    container_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameContainer(BaseAction):
    """Give a container its own name back."""

    container_id: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResources(BaseAction):
    """Change memory, processor time or restart policy of a running container."""

    container_id: str
    resources: Resources

    def detail(self) -> str:
        return f"memory {self.resources.memory}, cpu quota {self.resources.cpu_quota}"


ContainerAction = (
    EnsureImage
    | EnsureNetwork
    | CreateContainer
    | StartContainer
    | StopContainer
    | StopUnsaved
    | RestartContainer
    | RemoveContainer
    | StopUnused
    | RemoveUnused
    | UnpauseContainer
    | RenameContainer
    | UpdateResources
)
