"""What we saw of one tenant, frozen at one instant; no secret ever gets in here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot.certificates import (
    RotationPhase,
    SeenAuthority,
    SeenCertificate,
    SeenClientCertificate,
    SeenClients,
    SeenRoot,
    SeenRotation,
)
from cachepilot.observe.snapshot.containers import (
    JOINED,
    ContainerShape,
    Liveness,
    Published,
    Resources,
    Role,
    SeenContainer,
)
from cachepilot.observe.snapshot.host import (
    SeenFiles,
    SeenHost,
    SeenPasswordFile,
)
from cachepilot.observe.snapshot.server import (
    Engine,
    SeenConnection,
    SeenEndpoint,
    SeenFailedLogins,
    SeenReplication,
    SeenServer,
    SeenUser,
    Unreachable,
)
from cachepilot.spec.document import TenantName

__all__ = [
    "JOINED",
    "ContainerShape",
    "Engine",
    "Liveness",
    "Published",
    "Resources",
    "Role",
    "RotationPhase",
    "SeenAuthority",
    "SeenCertificate",
    "SeenClientCertificate",
    "SeenClients",
    "SeenConnection",
    "SeenContainer",
    "SeenEndpoint",
    "SeenFailedLogins",
    "SeenFiles",
    "SeenHost",
    "SeenPasswordFile",
    "SeenReplication",
    "SeenRoot",
    "SeenRotation",
    "SeenServer",
    "SeenSuccessor",
    "SeenUser",
    "Snapshot",
    "Unknown",
    "Unreachable",
]


@dataclass(frozen=True, slots=True)
class Unknown:
    """We could not look; that is never a reason to remove anything."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSuccessor:
    """A server that is to take over.

    Attributes:
        configuration: As of :class:`SeenFiles`.
        replication: None when it does not run.
    """

    configuration: str | None
    replication: SeenReplication | Unreachable | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a plan may know about one tenant.

    Attributes:
        at: When looking began; whatever happened before is contained.
        image_exists: Whether the wanted image is on the engine; None when nobody asked.
        image_id: Content that the wanted image's name stands for; empty when it is not there, or
            nobody could tell.
        stale_certificates: Whether leaves lie there that are not the recorded one.
        clients: The tenant's own authority for clients, and their certificates.
        server: None when there is no running container to ask.
        successor: None unless a hand-over has begun that is not decided yet.
    """

    tenant_name: TenantName
    at: datetime
    memory: Memory
    host: SeenHost
    containers: tuple[SeenContainer, ...] | Unknown
    image_exists: bool | None
    files: SeenFiles
    certificate: SeenCertificate | None
    stale_certificates: bool = False
    clients: SeenClients = field(default_factory=SeenClients)
    server: SeenServer | Unreachable | None = None
    successor: SeenSuccessor | None = None
    endpoints: tuple[SeenEndpoint, ...] = ()
    image_id: str = ""

    @property
    def published(self) -> tuple[Published, ...]:
        """Return every listener that a container of this tenant publishes, sorted."""
        if isinstance(self.containers, Unknown):
            return ()
        return tuple(sorted({at for seen in self.containers for at in seen.shape.published}))

    @property
    def loaded_server(self) -> SeenServer | None:
        """Return the server if it answers and has loaded its data."""
        found = self.server
        return found if isinstance(found, SeenServer) and not found.loading else None

    def container(self, role: Role) -> SeenContainer | None:
        """Return who plays *role* now; with several, the running or the newest one.

        The server is whoever has the number that the record says serves, and a successor one that
        has a higher number, whatever they were made for.
        """
        if isinstance(self.containers, Unknown):
            return None
        found = [seen for seen in self.containers if self._plays(seen, role)]
        found.sort(
            key=lambda seen: (
                seen.liveness is Liveness.RUNNING,
                seen.started_at.timestamp() if seen.started_at else 0.0,
                seen.container_id,
            )
        )
        return found[-1] if found else None

    @property
    def predecessors(self) -> tuple[SeenContainer, ...]:
        """Return the containers of servers that were in charge before the present one."""
        if isinstance(self.containers, Unknown):
            return ()
        return tuple(
            seen
            for seen in self.containers
            if seen.role.serves and seen.instance < self.memory.instance
        )

    def _plays(self, seen: SeenContainer, role: Role) -> bool:
        if role is Role.SANDBOX or not seen.role.serves:
            return seen.role is role
        if role is Role.SERVER:
            return seen.instance == self.memory.instance
        return seen.instance > self.memory.instance
