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
from cachepilot.daemon.tenant_metrics import render_tenants
from cachepilot.observe.snapshot import RotationPhase
from cachepilot.status.conditions import TenantStatus


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
        rotation: How far the replacement of the root is, None while there is none.
        rotation_waits: Tenants that it waits for.
        roots: (fingerprint, Unix time of its end) of each root that clients are to trust.
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
    rollout_waiting: int
    rollout_halted: bool
    rotation: RotationPhase | None = None
    rotation_waits: int = 0
    roots: tuple[tuple[str, float], ...] = ()


class DaemonCollector(Collector):
    """Turns counters and facts into metrics.

    Args:
        counters: What the loop has done.
        facts: What the service knows about itself.
    """

    def __init__(self, *, counters: Counters, facts: Callable[[], DaemonFacts]) -> None:
        self._counters = counters
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of this moment."""
        facts = self._facts()
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
            (
                "rollout_waiting_tenants",
                "Tenants that wait for their turn to take new defaults.",
                facts.rollout_waiting,
            ),
            (
                "rollout_halted",
                "Whether a failure halted the rollout of new defaults.",
                facts.rollout_halted,
            ),
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
        yield from _rotation(facts)
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

    def describe(self) -> tuple[Metric, ...]:
        """Return nothing: what exists depends on the moment."""
        return ()


def registry_of(collector: DaemonCollector) -> CollectorRegistry:
    """Return a registry with *collector* and the usual facts about the process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry, statuses: Callable[[], Iterable[TenantStatus]]) -> bytes:
    """Return registry and tenants in the text exposition format."""
    return generate_latest(registry) + render_tenants(statuses()).encode()


def _rotation(facts: DaemonFacts) -> Iterator[Metric]:
    """Yield the ends of all roots, and how far the replacement of one is."""
    ends = GaugeMetricFamily(
        "cachepilot_root_not_after_timestamp_seconds",
        "End of each root that clients are to trust.",
        labels=["fingerprint"],
    )
    for fingerprint, end in facts.roots:
        ends.add_metric([fingerprint], end)
    yield ends
    phases = GaugeMetricFamily(
        "cachepilot_authority_rotation",
        "Whether the replacement of the root is in this phase.",
        labels=["phase"],
    )
    for phase in RotationPhase:
        phases.add_metric([phase.value], float(facts.rotation is phase))
    yield phases
    yield _gauge(
        "cachepilot_authority_rotation_waiting_tenants",
        "Tenants that the replacement of the root waits for.",
        float(facts.rotation_waits),
    )


def _gauge(name: str, text: str, value: float, **labels: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=list(labels))
    gauge.add_metric(list(labels.values()), value)
    return gauge
