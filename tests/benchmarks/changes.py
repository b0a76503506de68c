"""How soon an edit is in force on a server that goes on serving."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import redis

from tests.benchmarks.ground import Ground, grounds
from tests.benchmarks.measure import Goal, Row, Sample

NAME = "bench-live"
_PATIENCE = 30.0


def measure_live_edit(engine: str, tenants: int) -> Iterator[Row]:
    """Save an edit and ask the server until it answers with the new value."""
    turns = tenants or 20
    with grounds(engine) as ground:
        ground.save(ground.stage(NAME))
        ground.start()
        ground.settled([NAME])
        with _admin(ground) as admin:
            run_id = admin.info("server")["run_id"]
            config = [_edit(ground, admin, "slowlog-max-len", 200 + n) for n in range(turns)]
            memory = [_edit(ground, admin, "maxmemory", (17 + n) * 2**20) for n in range(turns)]
            directive_floor = [_set(admin, 500 + n) for n in range(turns)]
            memory_floor = [_update(engine, admin, (40 + n) * 2**20) for n in range(turns)]
            restarts = int(admin.info("server")["run_id"] != run_id)
    for what, ours, floor_is, floor in (
        ("engine.config", config, "bare CONFIG SET + GET", directive_floor),
        (
            "memory.max, with the container's limit",
            memory,
            "bare update + CONFIG SET",
            memory_floor,
        ),
    ):
        yield Row(
            what=f"{what} saved → in force on the server",
            ours=Sample(values=tuple(ours)),
            floor=Sample(values=tuple(floor)),
            floor_is=floor_is,
            goal=Goal(most=0.150, of="p95"),
            counters=f"{restarts} restarts (run_id) in {2 * turns} edits; debounce 50 ms",
        )


def _edit(ground: Ground, admin: redis.Redis, directive: str, value: int) -> float:
    spec: dict[str, Any] = {"engine": {"config": {"slowlog-max-len": value}}}
    if directive == "maxmemory":
        spec = {"memory": {"max": f"{value // 2**20}MiB"}}
    staged = ground.stage(NAME, **spec)
    time.sleep(0.5)
    began = time.perf_counter()
    ground.save(staged)
    while admin.config_get(directive)[directive] != str(value):
        if time.perf_counter() - began > _PATIENCE:
            raise RuntimeError(f"{directive} is never {value}")
        time.sleep(0.001)
    took = time.perf_counter() - began
    time.sleep(0.5)
    ground.settled([NAME])
    return took


def _set(admin: redis.Redis, value: int) -> float:
    began = time.perf_counter()
    admin.config_set("slowlog-max-len", value)
    admin.config_get("slowlog-max-len")
    return time.perf_counter() - began


def _update(engine: str, admin: redis.Redis, maxmemory: int) -> float:
    client = docker.APIClient(base_url=engine, version="auto")
    limit = 3 * maxmemory
    began = time.perf_counter()
    client.update_container(f"cachepilot-{NAME}", mem_limit=limit, memswap_limit=limit)
    admin.config_set("maxmemory", maxmemory)
    took = time.perf_counter() - began
    client.close()
    return took


@contextmanager
def _admin(ground: Ground) -> Iterator[redis.Redis]:
    """Connect as the daemon does, for questions."""
    folder = os.open(ground.folder(NAME) / "run/1", os.O_PATH)
    try:
        with redis.Redis(
            unix_socket_path=f"/proc/self/fd/{folder}/redis.sock",
            username="cachepilot",
            password=ground.password(NAME, "cachepilot"),
            decode_responses=True,
        ) as connection:
            yield connection
    finally:
        os.close(folder)
