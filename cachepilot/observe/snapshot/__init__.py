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
    SeenServer,
    SeenUser,
    Unreachable,
)
from cachepilot.spec.document import TenantName

__all__ = [
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
    "SeenRoot",
    "SeenRotation",
    "SeenServer",
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
    endpoints: tuple[SeenEndpoint, ...] = ()
    image_id: str = ""

    def container(self, role: Role) -> SeenContainer | None:
        """Return the container of *role*; with several, the running or the newest one."""
        if isinstance(self.containers, Unknown):
            return None
        found = [seen for seen in self.containers if seen.role.value == role.value]
        found.sort(
            key=lambda seen: (
                seen.liveness is Liveness.RUNNING,
                seen.started_at.timestamp() if seen.started_at else 0.0,
                seen.container_id,
            )
        )
        return found[-1] if found else None
