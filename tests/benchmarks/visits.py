"""What one deep visit costs that finds nothing to do, part by part."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any
from unittest.mock import patch

from cachepilot import clock, reconcile
from cachepilot.adapters.paths import RootPaths
from cachepilot.settings import load_settings
from cachepilot.wiring import build, terms_of
from tests.benchmarks.ground import grounds
from tests.benchmarks.measure import Row, Sample
from tests.benchmarks.simulated import Nobody

NAME = "bench-visit"

# What a visit asks, in its order.
_PARTS = (
    ("memory", "recall"),
    ("certificates", "authority"),
    ("containers", "find"),
    ("files", "look"),
    ("host", "look"),
    ("certificates", "leaf"),
    ("certificates", "has_stale"),
    ("endpoints", "probe"),
    ("server", "ask"),
)


class Spent:
    """Processor and wall seconds by part."""

    def __init__(self) -> None:
        self.processor: dict[str, float] = defaultdict(float)
        self.wall: dict[str, float] = defaultdict(float)

    def clock(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def clocked(*args: Any, **named: Any) -> Any:
            processor, wall = time.thread_time(), time.perf_counter()
            try:
                return call(*args, **named)
            finally:
                self.processor[part] += time.thread_time() - processor
                self.wall[part] += time.perf_counter() - wall

        return clocked


class Clocked:
    """A port whose calls are clocked."""

    def __init__(self, port: Any, names: list[str], part: str, spent: Spent) -> None:
        self._port = port
        for name in names:
            setattr(self, name, spent.clock(f"{part}.{name}", getattr(port, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


def measure_visit(engine: str, tenants: int) -> Iterator[Row]:
    """Visit one Ready tenant again and again, in this process."""
    turns = tenants or 200
    with grounds(engine) as ground:
        ground.save(ground.stage(NAME))
        ground.start()
        ground.settled([NAME])
        ground.stop()
        paths = RootPaths(ground.root)
        settings = load_settings(paths.settings_file)
        parts = build(paths, settings, stopping=threading.Event())
        terms, spent = terms_of(settings), Spent()
        parts.brake.refresh(clock.utc_now())
        world = replace(
            parts.world,
            readers=_clocked(parts.world.readers, spent),
            status=Clocked(parts.world.status, ["read", "publish"], "status", spent),
        )
        with (
            patch.object(reconcile, "plan_tenant", spent.clock("plan", reconcile.plan_tenant)),
            patch.object(reconcile, "summarize", spent.clock("summarize", reconcile.summarize)),
        ):
            for _ in range(5):
                reconcile.reconcile(NAME, world, terms, onlooker=Nobody())
            spent.processor.clear()
            spent.wall.clear()
            visit = spent.clock("whole", reconcile.reconcile)
            outcomes = sum(
                len(visit(NAME, world, terms, onlooker=Nobody()).outcomes) for _ in range(turns)
            )
        parts.connections.close()
    whole = spent.processor.pop("whole") / turns
    split = ", ".join(
        f"{part} {seconds / turns * 1000:.2f}"
        for part, seconds in sorted(spent.processor.items(), key=lambda each: -each[1])
        if seconds / turns >= 0.00001
    )
    yield Row(
        what="deep visit that finds nothing to do: processor",
        ours=Sample(values=(whole,)),
        counters=f"{outcomes} effects in {turns} visits; wall "
        f"{spent.wall['whole'] / turns * 1000:.1f} ms; ms by part: {split}",
    )


def _clocked(readers: Any, spent: Spent) -> Any:
    ports: dict[str, list[str]] = defaultdict(list)
    for port, name in _PARTS:
        ports[port].append(name)
    return replace(
        readers,
        **{
            port: Clocked(getattr(readers, port), names, port, spent)
            for port, names in ports.items()
        },
    )
