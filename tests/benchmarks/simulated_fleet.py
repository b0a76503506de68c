"""What the daemon costs where nothing, or very little, has to be done: 1,000 imagined tenants."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cachepilot.adapters.systemd import Notifier
from cachepilot.daemon.comparison import by_tenant
from cachepilot.daemon.service import Service
from cachepilot.wiring import Parts
from tests.benchmarks.ground import Daemon, Ground
from tests.benchmarks.measure import Goal, Row, Sample, Stopwatch
from tests.benchmarks.simulated import FLEETS, CountedContainers, assemble, quiet_log, save
from tests.quiet import is_idle

TENANTS = 1000
_PATIENCE = 60.0
_IDLE_SECONDS = 60.0


@contextmanager
def serving(ground: Ground) -> Iterator[tuple[Service, Parts]]:
    """Run the daemon's service in a thread of this process, so that its counters can be read."""
    parts, world, settings, stopping = assemble(ground.root)
    service = Service(parts, settings, notifier=Notifier({}), log=quiet_log(), stopping=stopping)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        end = time.monotonic() + _PATIENCE
        while not (service._compared and is_idle(service._loop)):
            if time.monotonic() > end or not thread.is_alive():
                raise RuntimeError("the service does not come to rest")
            time.sleep(0.05)
        yield service, parts
    finally:
        stopping.set()
        thread.join(_PATIENCE)
        save(world, ground.root)


def measure_resync(_engine: str, tenants: int) -> Iterator[Row]:
    """Compare everything with one listing, and list the folder, where nothing changed."""
    tenants = tenants or TENANTS
    ground, births = FLEETS.get(tenants)
    processor = sum(births.processor) / len(births.processor)
    yield Row(
        what="our own part of a birth (imagined engine)",
        ours=births.sample(),
        counters=f"{processor * 1000:.1f} ms processor each",
    )
    with serving(ground) as (service, _):
        yield from compare(service, f"{tenants} imagined")


def compare(service: Service, whom: str) -> Iterator[Row]:
    """Measure a no-op resync of *service*, against the engine's listing alone."""
    ours, floor, files = Stopwatch(), Stopwatch(), Stopwatch()
    counters = service._loop.counters
    effects, visits = sum(counters.effects.values()), counters.visits
    containers = service._parts.world.readers.containers
    for _ in range(7):
        with floor.lap():
            by_tenant(containers.glance())
        with ours.lap():
            service._compare()
        with files.lap():
            service._refresh()
    effects, visits = sum(counters.effects.values()) - effects, counters.visits - visits
    for what, watch in (("comparison", ours), ("folder listed again", files)):
        yield Row(
            what=f"no-op resync, {whom}: {what}",
            ours=watch.sample(),
            floor=floor.sample() if watch is ours else None,
            floor_is="listing alone",
            goal=Goal(most=0.3, of="p50"),
            counters=f"{effects} effects, {visits} visits in 7; "
            f"{watch.processor[0] * 1000:.0f} ms processor",
        )


def measure_one_edit(_engine: str, tenants: int) -> Iterator[Row]:
    """Edit one file among many and count the work."""
    tenants = tenants or TENANTS
    latency, counts = {}, ""
    for number in (10, tenants):
        ground, _ = FLEETS.get(number)
        with serving(ground) as (service, parts):
            latency[number], counts = _edit(ground, service, parts)
    yield Row(
        what=f"one edit among {tenants} → in force and published (imagined engine)",
        ours=latency[tenants],
        floor=latency[10],
        floor_is="among 10:",
        counters=counts,
    )


def _edit(ground: Ground, service: Service, parts: Parts) -> tuple[Sample, str]:
    name, watch = "bench-0003", Stopwatch()
    containers = parts.world.readers.containers
    if not isinstance(containers, CountedContainers):
        raise TypeError("the engine is not the imagined one")
    parsed, asked = [], []
    for turn in range(10):
        # Old enough to be trusted by its stamp, and beyond what the last edit set in motion.
        time.sleep(1.2)
        staged = ground.stage(name, engine={"config": {"slowlog-max-len": 200 + turn}})
        before = parts.files.work.files_parsed, containers.asked[name]
        generation = parts.records.recall(name).generation
        with watch.lap():
            ground.save(staged)
            while True:
                status = service._fleet.read(name)
                if status.observed_generation > generation and status.word == "Ready":
                    break
                time.sleep(0.0005)
        time.sleep(0.3)
        parsed.append(parts.files.work.files_parsed - before[0])
        asked.append(containers.asked[name] - before[1])
    return watch.sample(), (
        f"parses {max(parsed)} (goal 1), inspects {max(asked)} (goal ≤ 2) at most in 10 edits"
    )


def measure_restart(_engine: str, tenants: int) -> Iterator[Row]:
    """Start a daemon's process over a fleet that nobody touched."""
    tenants = tenants or TENANTS
    ground, _ = FLEETS.get(tenants)
    empty = Ground("")
    ready, processor, first_effects, floor = [], [], [], []
    try:
        empty.write_settings(listen={"port": 0}, docker={"socket": "unix:///nowhere"})
        for _ in range(5):
            blank = simulated_daemon(empty)
            floor.append(blank.ready_after)
            blank.stop()
            daemon = simulated_daemon(ground)
            ready.append(daemon.ready_after)
            processor.append(daemon.processor_seconds())
            time.sleep(2.0)
            found = daemon.metrics()
            first_effects.append((daemon.effects(), int(found["cachepilot_reconcile_total"])))
            daemon.stop()
    finally:
        empty.close()
    effects, visits = max(first_effects)
    yield Row(
        what=f"daemon's process started over {tenants} unchanged tenants → READY",
        ours=Sample(values=tuple(ready)),
        floor=Sample(values=tuple(floor)),
        floor_is="over none:",
        goal=Goal(most=1.5, of="p50"),
        counters=f"{statistics.median(processor):.2f} s processor; "
        f"{effects} effects, {visits} visits in its first 2 s",
    )


def measure_idle(_engine: str, tenants: int) -> Iterator[Row]:
    """Let a daemon with idle tenants run for a minute; its spread-out visits really happen."""
    tenants = tenants or TENANTS
    ground, _ = FLEETS.get(tenants)
    daemon, scrapes = simulated_daemon(ground), Stopwatch()
    try:
        yield from idle_rows(daemon, f"{tenants} imagined idle tenants")
        used = daemon.processor_seconds()
        for _ in range(20):
            with scrapes.lap():
                daemon.metrics()
        used = (daemon.processor_seconds() - used) / 20
        yield Row(
            what=f"/metrics of {tenants} imagined tenants, answered and read",
            ours=scrapes.sample(),
            counters=f"{used * 1000:.0f} ms processor of the daemon each",
        )
    finally:
        daemon.stop()


def idle_rows(daemon: Daemon, whom: str, seconds: float = _IDLE_SECONDS) -> Iterator[Row]:
    """Watch a daemon that has nothing to do."""
    time.sleep(5.0)
    visits, effects = daemon.metrics()["cachepilot_reconcile_total"], daemon.effects()
    used, began = daemon.processor_seconds(), time.perf_counter()
    time.sleep(seconds)
    used, span = daemon.processor_seconds() - used, time.perf_counter() - began
    memory = daemon.resident_megabytes()
    visits = daemon.metrics()["cachepilot_reconcile_total"] - visits
    effects = daemon.effects() - effects
    counters = f"{visits:.0f} visits, {effects} effects in {span:.0f} s"
    yield Row(
        what=f"daemon, {whom}: processor",
        ours=Sample(values=(100 * used / span,), unit="% of a core"),
        goal=Goal(most=1.0, of="p50"),
        counters=counters,
    )
    yield Row(
        what=f"daemon, {whom}: memory",
        ours=Sample(values=(memory,), unit="MB"),
        goal=Goal(most=150, of="p50"),
        counters=counters,
    )


def simulated_daemon(ground: Ground) -> Daemon:
    command = [sys.executable, "-m", "tests.benchmarks.simulated_daemon", str(ground.root)]
    return Daemon(command, ground.root, metrics_port=ground.metrics_port)
