"""The allow-list of ``spec.engine.config``: each directive with its type, range and meaning.

Names and meanings follow the commented configuration files that Redis 7.0 and Valkey 8.1 ship.
Only directives that every supported engine knows are listed: an unknown one keeps a server from
starting.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from cachepilot.spec.quantities import Size

LIVE: dict[str, Any] = {"x-disruption": "none"}
RESTART: dict[str, Any] = {"x-disruption": "restart"}

_EVENT_CLASSES = frozenset("KEg$lshzxetdmnA")


class SpecModel(BaseModel):
    """Base of everything an author writes: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BufferLimit(SpecModel):
    """When a client that reads too slowly is disconnected; 0 means no limit."""

    hard: Size | Literal[0] = Field(default=0, description="Disconnect at once above this size.")
    soft: Size | Literal[0] = Field(
        default=0, description="Disconnect when above this size for `seconds` in a row."
    )
    seconds: int = Field(default=0, ge=0, le=86_400, description="How long the soft limit waits.")

    def as_directive(self) -> str:
        """Return the three numbers as the server writes them."""
        return f"{self.hard} {self.soft} {self.seconds}"


class BufferLimits(SpecModel):
    """Output buffer limits per class of client."""

    normal: BufferLimit | None = Field(default=None, description="Ordinary clients.")
    pubsub: BufferLimit | None = Field(default=None, description="Clients subscribed to channels.")


def _known_event_classes(text: str) -> str:
    if unknown := sorted(set(text) - _EVENT_CLASSES):
        raise PydanticCustomError(
            "keyspace_events",
            "unknown event class {unknown}; known are K E g $ l s h z x e t d m n A",
            {"unknown": " ".join(unknown)},
        )
    if text and not {"K", "E"} & set(text):
        raise PydanticCustomError(
            "keyspace_events", "needs K or E, otherwise no event is ever delivered"
        )
    return text


class EngineConfig(SpecModel):
    """Directives of the server that a tenant may tune; all of them are optional."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )

    active_expire_effort: int | None = Field(
        None, ge=1, le=10, description="How hard to look for expired keys.", json_schema_extra=LIVE
    )
    activedefrag: bool | None = Field(
        None,
        description="Defragment memory while serving. Not every build can; one that cannot is "
        "reported in ConfigApplied and goes on serving.",
        json_schema_extra=LIVE,
    )
    client_output_buffer_limit: BufferLimits | None = Field(
        None, description="When slow readers are disconnected.", json_schema_extra=LIVE
    )
    databases: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Number of databases for SELECT.",
        json_schema_extra=RESTART,
    )
    hz: int | None = Field(
        None,
        ge=1,
        le=500,
        description="How often background work runs, a second. Low values keep an idle tenant "
        "cheap; the server raises it by itself while many clients are connected.",
        json_schema_extra=LIVE,
    )
    latency_monitor_threshold: int | None = Field(
        None,
        ge=0,
        le=3_600_000,
        description="Record events slower than this (ms); 0 is off.",
        json_schema_extra=LIVE,
    )
    lazyfree_lazy_eviction: bool | None = Field(
        None, description="Free evicted values in the background.", json_schema_extra=LIVE
    )
    lazyfree_lazy_expire: bool | None = Field(
        None, description="Free expired values in the background.", json_schema_extra=LIVE
    )
    lazyfree_lazy_server_del: bool | None = Field(
        None, description="Free overwritten values in the background.", json_schema_extra=LIVE
    )
    lazyfree_lazy_user_del: bool | None = Field(
        None, description="Let DEL behave like UNLINK.", json_schema_extra=LIVE
    )
    lazyfree_lazy_user_flush: bool | None = Field(
        None,
        description="Let FLUSHALL and FLUSHDB free in the background.",
        json_schema_extra=LIVE,
    )
    lfu_decay_time: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Minutes until a key's use counter is halved.",
        json_schema_extra=LIVE,
    )
    lfu_log_factor: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="How slowly a key's use counter grows.",
        json_schema_extra=LIVE,
    )
    maxclients: int | None = Field(
        None,
        ge=10,
        le=10_000,
        description="Connections at most; further ones are refused.",
        json_schema_extra=LIVE,
    )
    maxmemory_samples: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Keys looked at to find one to evict.",
        json_schema_extra=LIVE,
    )
    notify_keyspace_events: Annotated[str, AfterValidator(_known_event_classes)] | None = Field(
        None,
        description="Classes of keyspace events to publish, such as KEx; empty is off.",
        json_schema_extra=LIVE,
    )
    slowlog_log_slower_than: int | None = Field(
        None,
        ge=-1,
        le=3_600_000_000,
        description="Log commands slower than this (microseconds); 0 logs all, -1 none.",
        json_schema_extra=LIVE,
    )
    slowlog_max_len: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Entries kept in the slow log.",
        json_schema_extra=LIVE,
    )
    stop_writes_on_bgsave_error: bool | None = Field(
        None, description="Refuse writes while snapshots fail.", json_schema_extra=LIVE
    )
    tcp_keepalive: int | None = Field(
        None,
        ge=0,
        le=86_400,
        description="Seconds between keep-alive probes; 0 is off.",
        json_schema_extra=LIVE,
    )
    timeout: int | None = Field(
        None,
        ge=0,
        le=31_536_000,
        description="Close idle clients after seconds; 0 is never.",
        json_schema_extra=LIVE,
    )
    appendfsync: Literal["always", "everysec", "no"] | None = Field(
        None, description="When an append-only file reaches the disk.", json_schema_extra=LIVE
    )

    def as_directives(self) -> dict[str, str]:
        """Return the directives that were written, in the server's own words."""
        found: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            directive = name.replace("_", "-")
            if isinstance(value, BufferLimits):
                classes = {"normal": value.normal, "pubsub": value.pubsub}
                found[directive] = " ".join(
                    f"{kind} {limit.as_directive()}" for kind, limit in classes.items() if limit
                )
            elif isinstance(value, bool):
                found[directive] = "yes" if value else "no"
            elif value is not None:
                found[directive] = str(value)
        return {name: text for name, text in found.items() if text or name.startswith("notify")}
