"""What observing needs: questions only, no verbs that change anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import (
    Published,
    SeenAuthority,
    SeenCertificate,
    SeenClients,
    SeenContainer,
    SeenEndpoint,
    SeenFiles,
    SeenHost,
    SeenReplication,
    SeenServer,
    Unknown,
    Unreachable,
)
from cachepilot.spec.document import TenantName


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerGlance:
    """One row of the bulk listing: enough to see that nothing changed since the last visit."""

    container_id: str
    name: str
    tenant_name: TenantName
    role: str
    state: str
    digest: str


class ContainerReader(Protocol):
    """Answers what is running."""

    def find(self, tenant_name: TenantName) -> tuple[SeenContainer, ...] | Unknown:
        """Return every container with this tenant's label; Unknown when the engine is silent."""

    def glance(self) -> tuple[ContainerGlance, ...] | Unknown:
        """Return one row for every container with our labels, in one call."""

    def image_id(self, image: str) -> str | None:
        """Return which content *image* stands for: empty if it is not there, None in silence."""


class FileReader(Protocol):
    """Answers what lies in a tenant's own folders."""

    def look(
        self,
        tenant_name: TenantName,
        memory: Memory,
        *,
        password_files: tuple[tuple[str, str], ...],
    ) -> SeenFiles:
        """Return the state of the serving instance's folders, and of (user, path) elsewhere."""


class CertificateReader(Protocol):
    """Answers what the authority and the leaves on disk are."""

    def authority(self) -> SeenAuthority:
        """Return the state of the host's authority; cheap enough for every visit."""

    def leaf(self, tenant_name: TenantName, revision: int) -> SeenCertificate | None:
        """Return the leaf of *revision*, or None when its folder is not complete."""

    def has_stale(self, tenant_name: TenantName, revision: int) -> bool:
        """Return whether other revisions than *revision* lie there."""

    def clients(self, tenant_name: TenantName) -> SeenClients:
        """Return the tenant's client authority and what it signed; cheap if nothing changed."""


class MemoryReader(Protocol):
    """Answers what we remember."""

    def recall(self, tenant_name: TenantName) -> Memory:
        """Return the record of a tenant; a blank one when there is none.

        Raises:
            StalledError: The record is there but cannot be read (reason ``RecordUnreadable``).
        """

    def known(self) -> tuple[TenantName, ...]:
        """Return the names of all tenants that have a record, sorted."""


class HostReader(Protocol):
    """Answers what all tenants share, except the authority."""

    def look(
        self, authority: SeenAuthority, *, bind: tuple[str, ...], new_ports: bool, moves: bool
    ) -> SeenHost:
        """Return ledger, which of *bind* are foreign, and who listens where, if that matters.

        It does if *new_ports* have to be found, and if somebody *moves*: what serves is stopped
        for that, so then only what holds this very moment will do.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientQuestions:
    """What to ask about the clients of users whose password was replaced.

    Attributes:
        older_than: By user, the age of the connections to list.
        failed_within: By user, how long ago failed logins may be.
    """

    older_than: tuple[tuple[str, timedelta], ...] = ()
    failed_within: tuple[tuple[str, timedelta], ...] = ()


class ServerReader(Protocol):
    """Asks a server over its management socket; never changes it."""

    def ask(
        self,
        tenant_name: TenantName,
        *,
        instance: int,
        directives: tuple[str, ...],
        users: tuple[str, ...],
        clients: ClientQuestions,
    ) -> SeenServer | Unreachable:
        """Return the server's own answers, or why it gave none.

        Of the users that are there, all are told; *users* are those expected.
        """


class ReplicationReader(Protocol):
    """Asks a server that is to take over how far it is; never changes it."""

    def ask(self, tenant_name: TenantName, *, instance: int) -> SeenReplication | Unreachable:
        """Return what it says of its link, or why it said nothing."""


class EndpointReader(Protocol):
    """Meets a tenant from outside, as its clients do."""

    def probe(
        self, tenant_name: TenantName, published: tuple[Published, ...]
    ) -> tuple[SeenEndpoint, ...]:
        """Dial each address, verify chain and name, log in with the documented password, PING."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Everything one observation may ask."""

    containers: ContainerReader
    files: FileReader
    certificates: CertificateReader
    memory: MemoryReader
    host: HostReader
    server: ServerReader
    replication: ReplicationReader
    endpoints: EndpointReader
