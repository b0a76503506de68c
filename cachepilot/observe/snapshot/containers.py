"""What we saw of containers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Liveness(StrEnum):
    """The container states that a plan can tell apart.

    RUNNING means running, not restarting, and with a process; Docker itself says "running"
    for a container that waits between two crashes.
    """

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    DEAD = "dead"


class Role(StrEnum):
    """What a container of a tenant was made for; a successor that took over keeps its word."""

    SERVER = "server"
    SANDBOX = "sandbox"
    SUCCESSOR = "successor"

    @property
    def serves(self) -> bool:
        """Whether such a container holds data; which of them is in charge says the record."""
        return self is not Role.SANDBOX


JOINED = "sandbox"
"""In place of a bridge: the network namespace of the tenant's own sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Published:
    """One listener of a container, published on one address of the host."""

    container_port: int
    address: str
    host_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerShape:
    """Everything about a container that only a new container can change.

    Attributes:
        mounts: (target, folder below the tenant's own, read-only), sorted by target; a foreign
            source is shown whole, and memory is ``tmpfs``.
        bridge: The shared bridge, or :data:`JOINED`.
        security: Words such as ``no-new-privileges`` and ``cap-drop=ALL``, sorted.
        pids: Processes at most.
        files: Open files at most.
    """

    image: str
    command: tuple[str, ...]
    user: str
    published: tuple[Published, ...]
    bridge: str
    mounts: tuple[tuple[str, str, bool], ...]
    security: tuple[str, ...]
    pids: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What ``docker update`` can change on a running container.

    Attributes:
        memory: Bytes; swap is always the same, so nothing goes on top.
        swap: Bytes of memory and swap together.
        cpu_quota: Microseconds in each 100 ms; -1 is unlimited.
        restart: Docker's restart policy.
    """

    memory: int
    swap: int
    cpu_quota: int
    restart: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenContainer:
    """One container that carries our label for this tenant.

    Attributes:
        digest: The label with the fingerprint of the wanted shape it was made for.
        instance: Number of the server instance; without meaning for a sandbox.
        joined: Id of the container whose network namespace it was made to share, or empty.
        error: Docker's own words when a start failed.
        image_id: Content of the image it was made from.
        finished_at: When its process ended last.
        last_words: The end of the server's own log when it did not end well.
    """

    container_id: str
    name: str
    role: Role
    liveness: Liveness
    digest: str
    shape: ContainerShape
    resources: Resources
    instance: int = 1
    joined: str = ""
    started_at: datetime | None = None
    exit_code: int = 0
    error: str = ""
    last_words: str = ""
    oom_killed: bool = False
    image_id: str = ""
    finished_at: datetime | None = None
