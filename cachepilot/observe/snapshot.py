"""What we saw of one tenant, frozen at one instant; no secret ever gets in here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cachepilot.observe.memory import Memory
from cachepilot.spec.document import TenantName


@dataclass(frozen=True, slots=True)
class Unknown:
    """We could not look; that is never a reason to remove anything."""

    why: str


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
    """What a container of a tenant is for."""

    SERVER = "server"


class Engine(StrEnum):
    """Which program serves."""

    REDIS = "redis"
    VALKEY = "valkey"


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
            source is shown whole.
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
        error: Docker's own words when a start failed.
        last_words: The end of the server's own log when it did not end well.
    """

    container_id: str
    name: str
    role: Role
    liveness: Liveness
    digest: str
    shape: ContainerShape
    resources: Resources
    started_at: datetime | None = None
    exit_code: int = 0
    error: str = ""
    last_words: str = ""
    oom_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFiles:
    """The folders of the serving instance.

    Attributes:
        folders_ready: Whether conf, run and data exist with the right owner and mode.
        configuration: SHA-256 of redis.conf, None when it is missing.
        users: users.acl with each hash replaced by ``#<revision>`` or ``#unknown``, None when
            missing.
        data_marker: Whether the data folder is the one we made.
        data_problem: Why the data folder is not the one we made and what to do, or empty.
        has_dump: Whether a dump.rdb lies there.
        has_append_only: Whether an append-only folder lies there.
        password_file: Revision that the author's file holds now: 0 when it is new; None when
            no file is asked for or it cannot be read.
        password_problem: Why the author's file cannot be used, or empty.
    """

    folders_ready: bool
    configuration: str | None
    users: str | None
    data_marker: bool
    has_dump: bool
    has_append_only: bool
    data_problem: str = ""
    password_file: int | None = None
    password_problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAuthority:
    """The certificate authority of this host.

    Attributes:
        exists: Whether key and certificate are both there and belong together.
        problem: Why it must not be touched, or empty; a missing key beside leaves is one.
        fingerprint: SHA-256 of the root, hexadecimal.
    """

    exists: bool
    problem: str = ""
    fingerprint: str = ""
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCertificate:
    """One leaf on disk.

    Attributes:
        names: Subject alternative names as text, sorted.
        authority: Fingerprint of the root that signed it.
        fingerprint: SHA-256 of the leaf, hexadecimal.
        problem: Why it cannot be served (torn file, foreign key), or empty.
    """

    revision: int
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority: str
    fingerprint: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenUser:
    """One user of a running server.

    Attributes:
        passwords: Revision of each accepted password, ``unknown`` for one we never set; sorted.
        flags: ``on``, ``nopass`` and the like, sorted; ``sanitize-payload`` is left out because
            engines report it differently for the same rule.
        commands: The server's own wording of the command rules.
    """

    name: str
    flags: tuple[str, ...]
    passwords: tuple[str, ...]
    keys: str
    channels: str
    commands: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenConnection:
    """One client of the customer's.

    Attributes:
        address: Address and port that the server sees.
        name: What the client calls itself, or empty.
        age_seconds: Since when it is connected; when it logged in is not known.
    """

    address: str
    name: str
    age_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFailedLogins:
    """Logins as the customer's user that the server refused; nobody knows with which password.

    Attributes:
        address: Where they came from, without the port.
        name: What the client calls itself, or empty.
        is_proxy: Whether the address is the bridge's own, behind which every client on this host
            hides.
    """

    address: str
    name: str
    count: int
    is_proxy: bool = False

    @property
    def whence(self) -> tuple[str, str]:
        """What tells one origin from another."""
        return self.address, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenServer:
    """Answers of a server over its management socket.

    Attributes:
        directives: (name, value) as CONFIG GET says; a directive it does not know is absent.
        used_memory: Bytes of data and buffers, as maxmemory counts them.
        resident_memory: Bytes that the process really holds.
        keys: Keys in all databases.
        old_connections: Clients that connected before the password was replaced, the oldest
            first, and not all if there are many; None when nobody asked, or could not.
        old_connection_count: How many there are in all.
        failed_logins: Of the customer's user, since the password before stopped to work; None
            when nobody asked, or could not.
    """

    engine: Engine
    version: str
    run_id: str
    uptime_seconds: int
    loading: bool
    used_memory: int
    resident_memory: int
    keys: int
    clients: int
    directives: tuple[tuple[str, str], ...]
    users: tuple[SeenUser, ...]
    old_connections: tuple[SeenConnection, ...] | None = None
    old_connection_count: int = 0
    failed_logins: tuple[SeenFailedLogins, ...] | None = None

    def directive(self, name: str) -> str | None:
        """Return the value of directive *name*, or None if the server does not know it."""
        return dict(self.directives).get(name)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The server did not answer our question.

    Attributes:
        saturated: It answered that it has no room for another connection, so it is alive.
        busy: It answered that a script or function runs and runs.
        silent: It let us wait, so nobody knows whether it would hear that it is to save and stop.
    """

    why: str
    saturated: bool = False
    busy: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEndpoint:
    """What a client meets at one published address.

    Attributes:
        problem: Why a client would not get in, or empty.
        fingerprint: SHA-256 of the certificate that was served, or empty on a plain port.
    """

    listener: str
    address: str
    port: int
    problem: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHost:
    """What all tenants share.

    Attributes:
        owned_ports: (port, tenant) of the durable ledger.
        owned_uids: (uid, tenant) of the durable ledger.
        resting_ports: Ports that were released too recently to be given again.
        listeners: Addresses and ports on which something listens right now, ours included; an
            IPv4 address is always in its own spelling.
        bridges: (bridge index, tenants on it).
        foreign_addresses: Wanted bind addresses that are not addresses of this host.
    """

    authority: SeenAuthority
    owned_ports: tuple[tuple[int, str], ...] = ()
    owned_uids: tuple[tuple[int, str], ...] = ()
    resting_ports: frozenset[int] = frozenset()
    resting_uids: frozenset[int] = frozenset()
    listeners: frozenset[tuple[str, int]] = frozenset()
    bridges: tuple[tuple[int, int], ...] = ()
    foreign_addresses: tuple[str, ...] = ()

    @property
    def listening_ports(self) -> frozenset[int]:
        """Ports on which something listens right now, on whichever address."""
        return frozenset(port for _, port in self.listeners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a plan may know about one tenant.

    Attributes:
        at: When looking began; whatever happened before is contained.
        image_exists: Whether the wanted image is on the engine; None when nobody asked.
        stale_certificates: Whether leaves lie there that are not the recorded one.
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
    server: SeenServer | Unreachable | None = None
    endpoints: tuple[SeenEndpoint, ...] = ()

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
