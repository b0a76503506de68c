"""The part of a scrape that grows with the tenants, written as text at once.

A thousand tenants have twenty thousand samples. As objects of a library they take ten times as
long as their text, and a scrape comes every few seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cachepilot.observe.snapshot import Role, SeenServer
from cachepilot.status.conditions import ConditionStatus, ConditionType, TenantStatus

WORDS = (
    "Deleted",
    "Ending",
    "Invalid",
    "NotReady",
    "Paused",
    "Progressing",
    "Ready",
    "Stalled",
    "Starting",
    "Stopped",
    "Stopping",
    "Unknown",
)

_VALUES = {ConditionStatus.TRUE: 1, ConditionStatus.FALSE: 0, ConditionStatus.UNKNOWN: -1}
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a scrape says of one family of samples before the samples."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ("tenant",)

    @property
    def head(self) -> str:
        """The lines that introduce the samples."""
        return f"# HELP {self.name} {self.documentation}\n# TYPE {self.name} gauge\n"


GAUGES = (
    Gauge("cachepilot_tenants", "Tenants by word.", ("word",)),
    Gauge(
        "cachepilot_tenant_condition",
        "1 if the condition is True, 0 if False, -1 if Unknown.",
        ("tenant", "condition"),
    ),
    Gauge(
        "cachepilot_tenant_info",
        "Engine and version of a tenant.",
        ("tenant", "engine", "version", "access", "persistence"),
    ),
    Gauge("cachepilot_tenant_ready", "Whether a tenant serves as its spec says."),
    Gauge(
        "cachepilot_tenant_waiting",
        "Whether a change that disturbs clients waits for its time.",
    ),
    Gauge("cachepilot_tenant_paused", "Whether a tenant is left alone."),
    Gauge("cachepilot_tenant_spec_valid", "Whether the newest document of a tenant is valid."),
    Gauge("cachepilot_tenant_observed_timestamp_seconds", "When a tenant was last looked at."),
    Gauge(
        "cachepilot_tenant_memory_used_bytes",
        "Memory that the server's data and buffers take.",
    ),
    Gauge("cachepilot_tenant_memory_max_bytes", "Memory for data."),
    Gauge("cachepilot_tenant_memory_limit_bytes", "Memory of the whole container."),
    Gauge("cachepilot_tenant_keys", "Keys in all databases."),
    Gauge("cachepilot_tenant_clients", "Connected clients."),
    Gauge("cachepilot_tenant_uptime_seconds", "Age of the server process."),
    Gauge("cachepilot_certificate_not_after_timestamp_seconds", "End of a tenant's certificate."),
)


def render_tenants(statuses: Iterable[TenantStatus]) -> str:
    """Return the samples of all tenants in the text exposition format."""
    found: Mapping[str, list[str]] = {gauge.name: [gauge.head] for gauge in GAUGES}
    words: Counter[str] = Counter(dict.fromkeys(WORDS, 0))
    for status in statuses:
        words[status.word] += 1
        for name, labels, value in _samples_of(status):
            found[name].append(f"{name}{{{labels}}} {float(value)}\n")
    name = GAUGES[0].name
    found[name] += [f'{name}{{word="{word}"}} {count}\n' for word, count in words.items()]
    return "".join("".join(lines) for lines in found.values())


def _samples_of(status: TenantStatus) -> Iterator[tuple[str, str, float]]:
    """Yield name, labels and value of everything that is known of one tenant."""
    tenant = f'tenant="{status.tenant_name}"'
    for condition in status.conditions:
        labels = f'{tenant},condition="{condition.type}"'
        yield "cachepilot_tenant_condition", labels, _VALUES[condition.status]
    yield "cachepilot_tenant_ready", tenant, _is_true(status, ConditionType.READY)
    yield "cachepilot_tenant_spec_valid", tenant, _is_true(status, ConditionType.SPEC_VALID)
    yield "cachepilot_tenant_waiting", tenant, status.waiting is not None
    observed = status.observed_at.timestamp()
    yield "cachepilot_tenant_observed_timestamp_seconds", tenant, observed
    spec, seen = status.spec, status.snapshot
    if spec:
        yield "cachepilot_tenant_paused", tenant, spec.paused
        yield "cachepilot_tenant_memory_max_bytes", tenant, spec.memory_max
    if seen is None:
        return
    if container := seen.container(Role.SERVER):
        yield "cachepilot_tenant_memory_limit_bytes", tenant, container.resources.memory
    if seen.certificate:
        ends = seen.certificate.not_after.timestamp()
        yield "cachepilot_certificate_not_after_timestamp_seconds", tenant, ends
    server = seen.server
    if not isinstance(server, SeenServer):
        return
    yield "cachepilot_tenant_memory_used_bytes", tenant, server.used_memory
    yield "cachepilot_tenant_keys", tenant, server.keys
    yield "cachepilot_tenant_clients", tenant, server.clients
    yield "cachepilot_tenant_uptime_seconds", tenant, server.uptime_seconds
    if spec:
        # The server chose its own words here, so they are not to be trusted.
        version = server.version.translate(_ESCAPES)
        labels = (
            f'{tenant},engine="{server.engine}",version="{version}",'
            f'access="{spec.access}",persistence="{spec.persistence}"'
        )
        yield "cachepilot_tenant_info", labels, 1


def _is_true(status: TenantStatus, condition_type: ConditionType) -> bool:
    condition = status.condition(condition_type)
    return condition is not None and condition.status is ConditionStatus.TRUE
