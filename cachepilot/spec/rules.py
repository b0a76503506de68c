"""What the host's owner decided for all tenants: defaults, ranges and limits.

Built by :mod:`cachepilot.settings` from the settings file; chapters are handed it as a value.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from cachepilot.spec.directives import EngineConfig, SpecModel
from cachepilot.spec.document import (
    IMAGE_PATTERN,
    AccessMode,
    Address,
    DialledName,
    MemoryPolicy,
    PersistenceMode,
)
from cachepilot.spec.quantities import Duration, Size


class Range(SpecModel):
    """An inclusive range of numbers."""

    first: int = Field(ge=1, le=4_000_000_000, description="Lowest number.")
    last: int = Field(ge=1, le=4_000_000_000, description="Highest number, included.")

    @model_validator(mode="after")
    def _has_members(self) -> Range:
        if self.last < self.first:
            raise ValueError("`last` is lower than `first`")
        return self

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last


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


class Defaults(SpecModel):
    """What a tenant gets where its document is silent."""

    image: Annotated[str, Field(pattern=IMAGE_PATTERN)] = Field(
        "redis:8.0", description="Image of the server."
    )
    config: EngineConfig = Field(
        default_factory=EngineConfig,
        description="Directives of the server, overridden one by one by engine.config.",
    )
    memory: Size = Field(256 * 2**20, description="memory.max")
    policy: MemoryPolicy | None = Field(
        None,
        description="memory.policy; if not said, allkeys-lru without persistence and noeviction "
        "with it.",
    )
    cpus: float | None = Field(
        None, ge=0.05, le=1024, strict=False, description="cpus; unlimited if not said."
    )
    persistence: PersistenceMode = Field(PersistenceMode.NONE, description="persistence.mode")
    access: AccessMode = Field(AccessMode.TLS_ONLY, description="access.mode")
    bind: Annotated[list[Address], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: ["127.0.0.1"], description="access.bind"
    )
    certificateLifetime: Duration = Field(timedelta(days=90), description="tls.lifetime")


class Limits(SpecModel):
    """What no tenant may exceed."""

    memory: Size = Field(64 * 2**30, description="Largest memory.max.")
    minimumMemory: Size = Field(1 * 2**20, description="Smallest memory.max.")
    cpus: float = Field(1024, ge=0.05, strict=False, description="Largest cpus.")
    images: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field()] = Field(
        default_factory=lambda: ["*"],
        description="Shell patterns of the images that tenants may run.",
    )


class Ports(SpecModel):
    """Where ports and user ids come from."""

    tls: Range = Field(Range(first=7300, last=7599), description="Encrypted ports.")
    plain: Range = Field(Range(first=7600, last=7899), description="Unencrypted ports.")
    quarantine: Duration = Field(
        timedelta(hours=24), description="How long a released port or user id is not given again."
    )


class Network(SpecModel):
    """The bridges that tenants share."""

    subnets: Annotated[list[str], Field(min_length=1)] = Field(
        default_factory=lambda: ["10.213.0.0/22", "10.213.4.0/22"],
        description="One bridge for each of these subnets, filled in this order.",
    )
    tenantsPerBridge: int = Field(
        500, ge=1, le=1000, description="The kernel ends at 1,023 ports a bridge."
    )
    allowWildcardBind: bool = Field(
        default=False,
        description="Allow 0.0.0.0 and :: in access.bind. They let neighbours reach a tenant "
        "through the gateway, so add a filter rule first.",
    )


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
    removalGrace: Duration = Field(
        timedelta(minutes=10),
        description="How long after its file vanished a tenant goes on serving.",
    )
