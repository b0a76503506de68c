"""How long a client waits for an answer to a write while another server takes over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.ground import grounds
from tests.benchmarks.measure import Goal, Row, Sample
from tests.benchmarks.writer import fill, writing

NAME = "bench-takeover"
_SIZES = (64, 1024)
_TURNS = 3


def measure_takeover(engine: str, tenants: int) -> Iterator[Row]:
    """Let servers take over below a client that writes, with little and with much data."""
    turns = tenants or _TURNS
    for size in _SIZES:
        writers = []
        with grounds(engine) as ground:
            ground.save(ground.stage(NAME, **_spec(size, "never")))
            ground.start()
            ground.settled([NAME])
            fill(ground, NAME, size)
            for turn in range(turns):
                with writing(ground, NAME) as writer:
                    staged = ground.stage(NAME, **_spec(size, f"2026-03-01T12:00:{turn:02}Z"))
                    ground.replace_server(staged, NAME)
                writers.append(writer)
        errors = sum(writer.errors for writer in writers)
        lost = sum(writer.lost for writer in writers)
        yield Row(
            what=f"{size} MiB handed over: last answer before → first answer behind",
            ours=Sample(values=tuple(writer.blink for writer in writers)),
            goal=Goal(most=0.250, of="p95"),
            counters=f"{errors} errors and {lost} lost in {turns} hand-overs",
        )
        yield Row(
            what=f"{size} MiB handed over: longest wait while the data is copied",
            ours=Sample(values=tuple(writer.longest for writer in writers)),
        )


def _spec(size: int, wish: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "upgrade": {"strategy": "handover"},
        "memory": {"max": f"{2 * size + 64}MiB", "policy": "noeviction"},
    }
    return spec if wish == "never" else spec | {"restartedAt": wish}
