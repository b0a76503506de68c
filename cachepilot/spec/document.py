"""A tenant's document exactly as an author may write it; every default is still missing.

One model serves the daemon, the command line, the JSON Schema and the reference page.
``x-disruption`` says what changing a field does to connected clients.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, NewType

from pydantic import Field, StringConstraints

from cachepilot.spec.directives import LIVE, RESTART, EngineConfig, SpecModel
from cachepilot.spec.maintenance import Cron, TimeZone, WindowLength
from cachepilot.spec.quantities import Duration, Size
from cachepilot.spec.scalars import (
    NAME_PATTERN,
    AbsolutePath,
    Address,
    ClientName,
    DialledName,
    Image,
    Instant,
    LabelKey,
    LabelValue,
    Port,
)
from cachepilot.spec.upgrade import UpgradeFields
from cachepilot.spec.user_rules import (
    MOST_COMMANDS,
    MOST_PATTERNS,
    ChannelPattern,
    CommandRule,
    KeyPattern,
    UserName,
)

TenantName = NewType("TenantName", str)

API_VERSION = "cachepilot/v1"


class State(StrEnum):
    """Whether the tenant serves."""

    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class PersistenceMode(StrEnum):
    """What survives the death of the server process."""

    NONE = "none"
    RDB = "rdb"
    AOF = "aof"


class AccessMode(StrEnum):
    """Which listeners a tenant has."""

    TLS_ONLY = "tls-only"
    DUAL_MODE = "dual-mode"
    PLAIN_ONLY = "plain-only"

    @property
    def has_tls(self) -> bool:
        """Whether an encrypted port is open."""
        return self is not AccessMode.PLAIN_ONLY

    @property
    def has_plain(self) -> bool:
        """Whether an unencrypted port is open."""
        return self is not AccessMode.TLS_ONLY


class ClientCertificates(StrEnum):
    """Whether clients of the encrypted port show a certificate of their own."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class MemoryPolicy(StrEnum):
    """What happens when memory.max is reached."""

    NOEVICTION = "noeviction"
    ALLKEYS_LRU = "allkeys-lru"
    ALLKEYS_LFU = "allkeys-lfu"
    ALLKEYS_RANDOM = "allkeys-random"
    VOLATILE_LRU = "volatile-lru"
    VOLATILE_LFU = "volatile-lfu"
    VOLATILE_RANDOM = "volatile-random"
    VOLATILE_TTL = "volatile-ttl"


def _field(description: str, disruption: dict[str, Any], **more: Any) -> Any:  # noqa: ANN401 - Field's own type
    return Field(default=None, description=description, json_schema_extra=disruption, **more)


class Metadata(SpecModel):
    """Who the tenant is."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] = Field(
        description="The tenant's name: lower-case letters, digits and hyphens, at most 63; "
        "it never changes.",
        json_schema_extra=LIVE,
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Selects tenants in `get -l key=value`; shown by `describe`.",
        json_schema_extra=LIVE,
    )
    annotations: dict[LabelKey, Annotated[str, StringConstraints(max_length=4096)]] = Field(
        default_factory=dict,
        description="Notes for people and tools; published with the status.",
        json_schema_extra=LIVE,
    )


class EngineFields(SpecModel):
    """Which server runs, and how it is tuned."""

    image: Image | None = _field(
        "Image of the server; one whose name contains `valkey` runs valkey-server, "
        "any other redis-server.",
        RESTART,
        examples=["redis:8.0"],
    )
    config: EngineConfig | None = _field("Directives of the server.", LIVE)


class MemoryFields(SpecModel):
    """How much the tenant may hold."""

    max: Size | None = _field("Memory for data (`maxmemory`).", LIVE)
    limit: Size | None = _field(
        "Memory of the whole container. Defaults to memory.max plus the head-room that forks, "
        "buffers and the server itself need; less than that is refused.",
        LIVE,
    )
    policy: MemoryPolicy | None = _field("What is evicted when memory.max is reached.", LIVE)


class PersistenceFields(SpecModel):
    """What survives the server."""

    mode: PersistenceMode | None = _field(
        "`none` keeps nothing on disk, `rdb` saves snapshots, `aof` logs every write. "
        "Changed on the running server, without losing a key.",
        LIVE,
    )


class PortFields(SpecModel):
    """Ports that must be exactly these; otherwise they are allocated once and kept."""

    tls: Port | None = _field("Encrypted port on the host.", RESTART)
    plain: Port | None = _field("Unencrypted port on the host.", RESTART)


class AccessFields(SpecModel):
    """How clients reach the tenant."""

    mode: AccessMode | None = _field("Which listeners are open.", RESTART)
    ports: PortFields | None = _field("Pinned ports.", RESTART)
    bind: Annotated[list[Address], Field(min_length=1, max_length=8)] | None = _field(
        "Addresses of this host on which the ports are published.", RESTART
    )
    clientCertificates: ClientCertificates | None = _field(
        "Whether clients of the encrypted port show a certificate: `off` asks for none, "
        "`optional` refuses a wrong one, `required` refuses whoever has none. Connections that "
        "are open stay open.",
        LIVE,
    )


class TlsFields(SpecModel):
    """The tenant's certificate."""

    extraNames: Annotated[list[DialledName], Field(max_length=64)] | None = _field(
        "Further names and addresses that clients dial; they stand in the certificate. Which are "
        "allowed is up to limits.extraNames of the settings.",
        LIVE,
    )
    lifetime: Duration | None = _field("How long a certificate is valid.", LIVE)
    renewBefore: Duration | None = _field(
        "How long before its end a certificate is replaced; a third of its lifetime if not said.",
        LIVE,
    )
    clients: Annotated[list[ClientName], Field(max_length=64)] | None = _field(
        "Clients that get a certificate of their own; `cachepilotctl get certs` says where its "
        "files are. A name that is taken out loses its files, but a copy of them works until it "
        "ends or `clientsRotatedAt` changes.",
        LIVE,
    )
    clientsRotatedAt: Instant | None = _field(
        "Each new value makes every client certificate anew, once, and the server refuses those "
        "from before.",
        LIVE,
    )


class UserFields(SpecModel):
    """A further user of the server, who may do no more than is said here."""

    name: UserName = Field(description="What clients log in as.", json_schema_extra=LIVE)
    keys: Annotated[list[KeyPattern], Field(max_length=MOST_PATTERNS)] | None = _field(
        "Patterns of the keys it may name, such as `app:*`; `%R~app:*` for reading and `%W~app:*` "
        "for writing alone. None if not said.",
        LIVE,
    )
    channels: Annotated[list[ChannelPattern], Field(max_length=MOST_PATTERNS)] | None = _field(
        "Patterns of the channels it may publish and subscribe to. None if not said. Whoever is "
        "subscribed to a channel that is taken away is disconnected.",
        LIVE,
    )
    commands: Annotated[list[CommandRule], Field(min_length=1, max_length=MOST_COMMANDS)] = Field(
        description="Rules in order, beginning with nothing: `+@read` adds a category, `-keys` "
        "takes a command away, `+xinfo|stream` adds a part of one. What the user default may not "
        "do is never granted.",
        json_schema_extra=LIVE,
    )
    passwordFile: AbsolutePath | None = _field(
        "As auth.passwordFile, for this user; generated if not said.", LIVE
    )
    rotatedAt: Instant | None = _field(
        "As auth.rotatedAt, for this user. auth.rotateEvery and auth.grace are for all users.",
        LIVE,
    )


class AuthFields(SpecModel):
    """The customer's password, and further users."""

    passwordFile: AbsolutePath | None = _field(
        "File whose first line is the password; generated if not said. Readable by root only, and "
        "below a folder that limits.passwordFiles of the settings names.",
        LIVE,
    )
    rotatedAt: Instant | None = _field(
        "Each new value draws a new password once; the one before works for `grace` longer.",
        LIVE,
    )
    rotateEvery: Duration | None = _field(
        "Draw a new password whenever the present one is this old.", LIVE
    )
    grace: Duration | None = _field(
        "How long a password that was replaced still works. May be changed while it does; `0s` "
        "ends it at once.",
        LIVE,
    )
    users: Annotated[list[UserFields], Field(max_length=64)] | None = _field(
        "Further users, each with a password of its own. How many there may be is up to "
        "limits.users of the settings. One that is taken out is gone at once, and its clients are "
        "disconnected.",
        LIVE,
    )


class WindowFields(SpecModel):
    """When clients may be disturbed."""

    cron: Cron = Field(
        description="When a window opens: minute, hour, day of month, month, day of week. "
        "`* * * * *` is always open.",
        json_schema_extra=LIVE,
    )
    duration: WindowLength = Field(
        description="How long a window stays open, 1m to 7d. A restart that was begun is "
        "finished; one that takes longer than what remains is not begun.",
        json_schema_extra=LIVE,
    )
    timeZone: TimeZone = Field(
        "UTC", description="Time zone of `cron`, such as Europe/Berlin.", json_schema_extra=LIVE
    )


class MaintenanceFields(SpecModel):
    """When changes may disturb clients."""

    window: WindowFields | None = _field(
        "What needs a restart waits for this window; everything else goes through at once, and "
        "so does the repair of a server that is down. Always open if not said.",
        LIVE,
    )
    openUntil: Instant | None = _field(
        "Until this moment nothing waits, whatever the window says.", LIVE
    )


class SpecFields(SpecModel):
    """What the tenant should be."""

    state: State | None = _field(
        "`running`, `stopped`, or `deleted` (serving stops for good, data stays).", RESTART
    )
    paused: bool | None = _field(
        "Leave everything as it is and only report, until this is false again.", LIVE
    )
    engine: EngineFields | None = _field("The server.", RESTART)
    memory: MemoryFields | None = _field("Memory.", LIVE)
    cpus: Annotated[float, Field(ge=0.05, le=1024)] | None = _field(
        "Processor time at most, in cores; unlimited if not said.", LIVE
    )
    persistence: PersistenceFields | None = _field("Persistence.", LIVE)
    access: AccessFields | None = _field("Listeners, ports and addresses.", RESTART)
    tls: TlsFields | None = _field("Certificate.", LIVE)
    auth: AuthFields | None = _field("Credentials.", LIVE)
    maintenance: MaintenanceFields | None = _field("When changes may disturb clients.", LIVE)
    upgrade: UpgradeFields | None = _field("How the server is replaced.", RESTART)
    restartedAt: Instant | None = _field("Each new value restarts the server once.", RESTART)


class TenantDocument(SpecModel):
    """One document of a file in tenants.d."""

    apiVersion: Literal["cachepilot/v1"] = Field(description="Version of this format.")
    kind: Literal["Tenant"] = Field(description="Kind of document.")
    metadata: Metadata = Field(description="Who the tenant is.")
    spec: SpecFields = Field(
        default_factory=SpecFields, description="What the tenant should be; all defaults if empty."
    )
