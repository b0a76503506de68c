"""How long a client waits for an answer to a write while its server is restarted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import docker

from tests.benchmarks.ground import grounds
from tests.benchmarks.measure import Goal, Row, Sample
from tests.benchmarks.writer import fill, writing

NAME = "bench-replaced"
_SIZES = (0, 64, 1024)
_MODES = ("none", "rdb", "aof")
_TURNS = 5
_loaded = re.compile(r"DB loaded from [a-z ]+: ([0-9.]+) seconds")


def measure_replacement(engine: str, tenants: int) -> Iterator[Row]:
    """Restart a server below a client that writes, in each mode, with little and much data."""
    for mode in _MODES:
        for size in _SIZES:
            yield _measure(engine, mode, size, tenants or _TURNS)


def _measure(engine: str, mode: str, size: int, turns: int) -> Row:
    writers, loads, beyond = [], [], []
    with grounds(engine) as ground:
        ground.save(ground.stage(NAME, **_spec(mode, size)))
        ground.start()
        ground.settled([NAME])
        fill(ground, NAME, size)
        for turn in range(turns):
            with writing(ground, NAME) as writer:
                wish = f"2026-03-01T12:00:{turn:02}Z"
                staged = ground.stage(NAME, **_spec(mode, size), restartedAt=wish)
                ground.replace_server(staged, NAME)
            load = _load_seconds(engine)
            writers.append(writer)
            loads.append(load)
            beyond.append(writer.blink - load)
    return Row(
        what=f"{size} MiB in mode {mode} restarted: writes wait, less the time of loading",
        ours=Sample(values=tuple(beyond)),
        goal=Goal(most=1.5, of="p95"),
        counters=f"loading took {Sample(values=tuple(loads))}; "
        f"{sum(writer.lost for writer in writers)} lost in {turns} restarts",
    )


def _spec(mode: str, size: int) -> dict[str, Any]:
    return {
        "memory": {"max": f"{2 * size + 64}MiB", "policy": "noeviction"},
        "persistence": {"mode": mode},
    }


def _load_seconds(engine: str) -> float:
    """Return how long the server that serves says that it loaded."""
    client = docker.DockerClient(base_url=engine, timeout=120)
    try:
        said = client.containers.get(f"cachepilot-{NAME}").logs().decode()
    finally:
        client.close()
    return sum(float(seconds) for seconds in _loaded.findall(said))
