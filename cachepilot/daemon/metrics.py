"""What Prometheus scrapes: computed from the newest status at scrape time, never sprinkled.

A series of a tenant lives exactly as long as the tenant. Names follow the naming rules of
Prometheus: base units, timestamps instead of ages, counters ending in ``_total``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from cachepilot import __version__
from cachepilot.daemon.loop import Counters
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """What the service knows about itself at the moment of a scrape.

    Attributes:
        spec_files: (state, number) for valid, invalid and ignored files.
        heartbeat: Unix time of the loop's last sign of life.
        last_resync: Unix time of the last complete comparison; 0 before the first.
        reload_ok: Whether the newest settings are in force.
        reload_time: Unix time of the last successful load of the settings.
        authority_ends: Unix time, None while there is no authority.
    """

    docker_up: bool
    queue_depth: int
    active_workers: int
    spec_problems: int
    orphans: int
    heartbeat: float
    last_resync: float
    reload_ok: bool
    reload_time: float
    authority_ends: float | None


class FleetCollector(Collector):
    """Turns statuses and counters into metrics.

    Args:
        statuses: The newest status of every tenant.
        counters: What the loop has done.
        facts: What the service knows about itself.
    """

    def __init__(
        self,
        *,
        statuses: Callable[[], Iterable[TenantStatus]],
        counters: Counters,
        facts: Callable[[], DaemonFacts],
    ) -> None:
        self._statuses = statuses
        self._counters = counters
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of this moment."""
        yield from self._collect_daemon(self._facts())
        yield from _collect_tenants(tuple(self._statuses()))

    def describe(self) -> tuple[Metric, ...]:
        """Return nothing: what exists depends on the tenants."""
        return ()

    def _collect_daemon(self, facts: DaemonFacts) -> Iterator[Metric]:
        yield _gauge(
            "cachepilot_build_info",
            "Version of the daemon.",
            1,
            version=__version__,
            python=platform.python_version(),
        )
        gauges = (
            ("docker_up", "Whether the Docker Engine answers.", facts.docker_up),
            ("workqueue_depth", "Tenants that are due and wait for a visit.", facts.queue_depth),
            ("active_workers", "Visits under way.", facts.active_workers),
            ("spec_problems", "Mistakes in the folder of tenants.", facts.spec_problems),
            ("orphan_containers", "Labelled containers of no known tenant.", facts.orphans),
            ("loop_heartbeat_timestamp_seconds", "Last sign of life.", facts.heartbeat),
            ("last_resync_timestamp_seconds", "Last full comparison.", facts.last_resync),
            ("settings_last_reload_successful", "Newest settings in force.", facts.reload_ok),
            (
                "settings_last_reload_success_timestamp_seconds",
                "Last good load of the settings.",
                facts.reload_time,
            ),
        )
        for name, text, value in gauges:
            yield _gauge(f"cachepilot_{name}", text, float(value))
        if facts.authority_ends is not None:
            yield _gauge(
                "cachepilot_authority_not_after_timestamp_seconds",
                "End of the certificate authority.",
                facts.authority_ends,
            )
        counted = self._counters
        for name, text, value in (
            ("reconcile", "Visits to tenants.", counted.visits),
            (
                "reconcile_errors",
                "Visits that ended with a reason to try again.",
                counted.failures,
            ),
            ("reconcile_panics", "Visits that ended with an unexpected error.", counted.panics),
        ):
            counter = CounterMetricFamily(f"cachepilot_{name}", text)
            counter.add_metric([], value)
            yield counter
        effects = CounterMetricFamily(
            "cachepilot_effects", "Actions performed, by kind.", labels=["action"]
        )
        for kind, number in sorted(dict(counted.effects).items()):
            effects.add_metric([kind], number)
        yield effects


def registry_of(collector: FleetCollector) -> CollectorRegistry:
    """Return a registry with *collector* and the usual facts about the process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Return the text exposition format."""
    return generate_latest(registry)


def _collect_tenants(statuses: tuple[TenantStatus, ...]) -> Iterator[Metric]:
    tenants = GaugeMetricFamily("cachepilot_tenants", "Tenants by word.", labels=["word"])
    for word in WORDS:
        tenants.add_metric([word], sum(1 for status in statuses if status.word == word))
    yield tenants
    conditions = GaugeMetricFamily(
        "cachepilot_tenant_condition",
        "1 if the condition is True, 0 if False, -1 if Unknown.",
        labels=["tenant", "condition"],
    )
    info = GaugeMetricFamily(
        "cachepilot_tenant_info",
        "Engine and version of a tenant.",
        labels=["tenant", "engine", "version", "access", "persistence"],
    )
    numbers = {name: _per_tenant(f"cachepilot_{name}", text) for name, text in _NUMBERS.items()}
    for status in statuses:
        for condition in status.conditions:
            conditions.add_metric([status.tenant_name, condition.type], _VALUES[condition.status])
        for name, value in _numbers_of(status):
            numbers[name].add_metric([status.tenant_name], value)
        seen = status.snapshot.server if status.snapshot else None
        if isinstance(seen, SeenServer) and status.spec:
            spec = status.spec
            labels = [status.tenant_name, seen.engine, seen.version, spec.access, spec.persistence]
            info.add_metric([str(label) for label in labels], 1)
    yield conditions
    yield info
    yield from numbers.values()


_VALUES = {ConditionStatus.TRUE: 1, ConditionStatus.FALSE: 0, ConditionStatus.UNKNOWN: -1}

_NUMBERS = {
    "tenant_ready": "Whether a tenant serves as its spec says.",
    "tenant_paused": "Whether a tenant is left alone.",
    "tenant_spec_valid": "Whether the newest document of a tenant is valid.",
    "tenant_observed_timestamp_seconds": "When a tenant was last looked at.",
    "tenant_memory_used_bytes": "Memory that the server's data and buffers take.",
    "tenant_memory_max_bytes": "Memory for data.",
    "tenant_memory_limit_bytes": "Memory of the whole container.",
    "tenant_keys": "Keys in all databases.",
    "tenant_clients": "Connected clients.",
    "tenant_uptime_seconds": "Age of the server process.",
    "certificate_not_after_timestamp_seconds": "End of a tenant's certificate.",
}


def _numbers_of(status: TenantStatus) -> Iterator[tuple[str, float]]:
    yield "tenant_ready", _is_true(status, ConditionType.READY)
    yield "tenant_spec_valid", _is_true(status, ConditionType.SPEC_VALID)
    yield "tenant_observed_timestamp_seconds", status.observed_at.timestamp()
    if status.spec:
        yield "tenant_paused", status.spec.paused
        yield "tenant_memory_max_bytes", status.spec.memory_max
    seen = status.snapshot
    if seen is None:
        return
    if container := seen.container(Role.SERVER):
        yield "tenant_memory_limit_bytes", container.resources.memory
    if seen.certificate:
        ends = seen.certificate.not_after.timestamp()
        yield "certificate_not_after_timestamp_seconds", ends
    if isinstance(seen.server, SeenServer):
        yield "tenant_memory_used_bytes", seen.server.used_memory
        yield "tenant_keys", seen.server.keys
        yield "tenant_clients", seen.server.clients
        yield "tenant_uptime_seconds", seen.server.uptime_seconds


def _is_true(status: TenantStatus, condition_type: ConditionType) -> bool:
    condition = status.condition(condition_type)
    return condition is not None and condition.status is ConditionStatus.TRUE


def _gauge(name: str, text: str, value: float, **labels: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=list(labels))
    gauge.add_metric(list(labels.values()), value)
    return gauge


def _per_tenant(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["tenant"])
