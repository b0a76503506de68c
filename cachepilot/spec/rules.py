"""What the host's owner decided for all tenants: defaults, ranges and limits.

Built by :mod:`cachepilot.settings` from the settings file; chapters are handed it as a value.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from cachepilot.spec.directives import EngineConfig, SpecModel
from cachepilot.spec.document import AccessMode, MemoryPolicy, PersistenceMode, WindowFields
from cachepilot.spec.quantities import Duration, Size
from cachepilot.spec.scalars import AbsolutePath, Address, DialledName, Image


def _subnet(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError:
        raise PydanticCustomError(
            "subnet", "expected an IPv4 network such as 10.213.0.0/22"
        ) from None


Subnet = Annotated[
    str,
    AfterValidator(_subnet),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9.]+/[0-9]+$", "examples": ["10.0.0.0/22"]}
    ),
]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=255)]


# Of the network itself, its gateway, and broadcast.
_OWN_ADDRESSES = 3


class Range(SpecModel):
    """An inclusive range of numbers."""

    first: int = Field(ge=1, le=4_000_000_000, description="Lowest number.")
    last: int = Field(ge=1, le=4_000_000_000, description="Highest number, included.")

    @model_validator(mode="after")
    def _has_members(self) -> Range:
        if self.last < self.first:
            raise PydanticCustomError("range", "`last` is lower than `first`")
        return self

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last


class PortRange(Range):
    """An inclusive range of ports."""

    first: int = Field(ge=1024, le=65_535, description="Lowest port.")
    last: int = Field(ge=1024, le=65_535, description="Highest port, included.")


class HeadRoom(SpecModel):
    """How much more than memory.max a container needs; see docs/reference/head-room.md."""

    base: Size = Field(16 * 2**20, description="The server itself, without any data.")
    buffers: float = Field(
        0.10, ge=0, le=4, description="Client and replication buffers, as a share of memory.max."
    )
    copyOnWrite: float = Field(
        0.80,
        ge=0,
        le=2,
        description="Pages copied while a fork saves, as a share of memory.max; it counts only "
        "where the persistence mode forks.",
    )


class EngineDefaults(SpecModel):
    """Which server runs where a document does not say."""

    image: Image = Field("redis:8.0", description="Image of the server.")
    config: EngineConfig = Field(
        default_factory=EngineConfig,
        description="Directives of the server; a document overrides them one by one.",
    )


class MemoryDefaults(SpecModel):
    """How much a tenant may hold where its document does not say."""

    max: Size = Field(256 * 2**20, description="Memory for data.")
    policy: MemoryPolicy | None = Field(
        None,
        description="What is evicted; if not said, allkeys-lru without persistence and noeviction "
        "with it.",
    )


class PersistenceDefaults(SpecModel):
    """What survives the server where a document does not say."""

    mode: PersistenceMode = Field(PersistenceMode.NONE, description="What survives.")


class AccessDefaults(SpecModel):
    """How clients reach a tenant where its document does not say."""

    mode: AccessMode = Field(AccessMode.TLS_ONLY, description="Which listeners are open.")
    bind: Annotated[list[Address], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: ["127.0.0.1"],
        description="Addresses of this host on which the ports are published.",
    )


class TlsDefaults(SpecModel):
    """The certificate of a tenant whose document does not say."""

    lifetime: Duration = Field(
        timedelta(days=90), description="How long a certificate is valid, 1h to 3650d."
    )


class AuthDefaults(SpecModel):
    """How passwords of a tenant change whose document does not say."""

    grace: Duration = Field(
        timedelta(hours=24), description="How long a password that was replaced still works."
    )
    rotateEvery: Duration | None = Field(
        None, description="How old a generated password gets; it stays for good if not said."
    )


class MaintenanceDefaults(SpecModel):
    """When changes may disturb clients of a tenant whose document does not say."""

    window: WindowFields | None = Field(
        None, description="What needs a restart waits for this window; always open if not said."
    )


class Defaults(SpecModel):
    """What a tenant gets where its document is silent; laid out like the document itself."""

    engine: EngineDefaults = Field(default_factory=EngineDefaults, description="The server.")
    memory: MemoryDefaults = Field(default_factory=MemoryDefaults, description="Memory.")
    cpus: float | None = Field(
        None, ge=0.05, le=1024, description="Processor time at most, in cores."
    )
    persistence: PersistenceDefaults = Field(
        default_factory=PersistenceDefaults, description="Persistence."
    )
    access: AccessDefaults = Field(
        default_factory=AccessDefaults, description="Listeners and addresses."
    )
    tls: TlsDefaults = Field(default_factory=TlsDefaults, description="Certificate.")
    auth: AuthDefaults = Field(default_factory=AuthDefaults, description="Passwords.")
    maintenance: MaintenanceDefaults = Field(
        default_factory=MaintenanceDefaults, description="When changes may disturb clients."
    )


class Limits(SpecModel):
    """What no tenant may exceed."""

    memory: Size = Field(64 * 2**30, description="Largest memory.max.")
    minimumMemory: Size = Field(1 * 2**20, description="Smallest memory.max.")
    containerMemory: Size | None = Field(
        None, description="Largest memory.limit; if not said, memory.limit is not bounded."
    )
    cpus: float | None = Field(
        None,
        ge=0.05,
        le=1024,
        description="Largest cpus; also what a tenant gets whose cpus nobody says.",
    )
    images: Annotated[list[Pattern], Field(min_length=1, max_length=256)] = Field(
        default_factory=lambda: ["*"],
        description="Shell patterns of the images that tenants may run.",
    )
    extraNames: Annotated[list[Pattern], Field(max_length=256)] = Field(
        default_factory=lambda: ["*"],
        description="Shell patterns of the names and addresses that tls.extraNames may hold; "
        "none if empty.",
    )
    passwordFiles: Annotated[list[AbsolutePath], Field(max_length=256)] = Field(
        default_factory=lambda: ["/etc/cachepilot/passwords"],
        description="Folders below which an auth.passwordFile must lie, also once links are "
        "followed; none may be named if empty.",
    )
    users: int = Field(
        16,
        ge=0,
        le=32,
        description="Users at most in auth.users; the user default is not counted.",
    )


class Ports(SpecModel):
    """Where ports come from."""

    tls: PortRange = Field(PortRange(first=7300, last=7599), description="Encrypted ports.")
    plain: PortRange = Field(PortRange(first=7600, last=7899), description="Unencrypted ports.")
    quarantine: Duration = Field(
        timedelta(hours=24), description="How long a released port or user id is not given again."
    )

    @model_validator(mode="after")
    def _apart(self) -> Ports:
        if self.tls.first <= self.plain.last and self.plain.first <= self.tls.last:
            raise PydanticCustomError("ports", "the ranges `tls` and `plain` overlap")
        return self


class Network(SpecModel):
    """The bridges that tenants share."""

    subnets: Annotated[list[Subnet], Field(min_length=1, max_length=256)] = Field(
        default_factory=lambda: ["10.213.0.0/22", "10.213.4.0/22"],
        description="One bridge for each of these subnets, filled in this order. Each has room "
        "for tenantsPerBridge and 3 addresses more.",
    )
    tenantsPerBridge: int = Field(
        500, ge=1, le=1000, description="The kernel ends at 1,023 ports a bridge."
    )
    allowWildcardBind: bool = Field(
        default=False,
        description="Allow 0.0.0.0 and :: in access.bind. They let neighbours reach a tenant "
        "through the gateway, so add a filter rule first.",
    )

    @property
    def gateways(self) -> frozenset[str]:
        """The bridges' own addresses: the first of each subnet."""
        return frozenset(str(ipaddress.IPv4Network(text)[1]) for text in self.subnets)

    @model_validator(mode="after")
    def _fit(self) -> Network:
        networks = sorted(ipaddress.IPv4Network(text) for text in self.subnets)
        needed = self.tenantsPerBridge + _OWN_ADDRESSES
        for network in networks:
            if network.num_addresses < needed:
                raise PydanticCustomError(
                    "subnet_size",
                    "the subnet {subnet} has {size} addresses; tenantsPerBridge {tenants} needs "
                    "{needed}: one for each tenant, and those of network, gateway and broadcast",
                    {
                        "subnet": str(network),
                        "size": network.num_addresses,
                        "tenants": self.tenantsPerBridge,
                        "needed": needed,
                    },
                )
        for lower, upper in pairwise(networks):
            if lower.overlaps(upper):
                raise PydanticCustomError(
                    "subnets",
                    "the subnets {lower} and {upper} overlap",
                    {"lower": str(lower), "upper": str(upper)},
                )
        return self


class DriftMode(StrEnum):
    """What happens when somebody changed a running server by hand."""

    REVERT = "revert"
    OBSERVE = "observe"


class Rules(SpecModel):
    """Everything about the host that deciding needs to know."""

    defaults: Defaults = Field(default_factory=Defaults, description="Defaults of every tenant.")
    limits: Limits = Field(default_factory=Limits, description="Limits of every tenant.")
    headRoom: HeadRoom = Field(
        default_factory=HeadRoom, description="The rule behind memory.limit."
    )
    ports: Ports = Field(default_factory=Ports, description="Port ranges.")
    uids: Range = Field(
        Range(first=700_000, last=709_999), description="User ids, one for each tenant."
    )
    network: Network = Field(default_factory=Network, description="Bridges.")
    hostNames: Annotated[list[DialledName], Field(max_length=64)] = Field(
        default_factory=list,
        description="Names of this host that clients dial; they stand in every certificate.",
    )
    scripting: bool = Field(
        default=True, description="Whether customers may run Lua scripts and functions."
    )
    drift: DriftMode = Field(
        DriftMode.REVERT, description="Whether changes by hand are reverted or only reported."
    )
    stopPatience: Duration = Field(
        timedelta(minutes=10),
        description="How long a stop or deletion waits for a server that cannot be asked to save; "
        "then what is only in memory is lost.",
    )
    removalGrace: Duration = Field(
        timedelta(minutes=10),
        description="How long after its file vanished a tenant goes on serving.",
    )
