"""How long a client waits for an answer to a write while another server takes over."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.benchmarks.ground import Ground, grounds
from tests.benchmarks.measure import Goal, Row, Sample

NAME = "bench-takeover"
_MEBIBYTE = 2**20
_SIZES = (64, 1024)
_TURNS = 3
_VALUE = 1024
_AT_ONCE = 1000
_PATIENCE = 600.0


@dataclass
class Writer:
    """A client that writes all the time over TLS, and connects again when it has to.

    Attributes:
        longest: Most seconds between two answers where nothing broke.
        blink: Most seconds between two answers around the end of its connection.
    """

    options: dict[str, Any]
    longest: float = 0.0
    blink: float = 0.0
    errors: int = 0
    acknowledged: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        answered, broken = time.perf_counter(), False
        while not self.stopping.is_set():
            with suppress(redis.RedisError, OSError), redis.Redis(**self.options) as client:
                while not self.stopping.is_set():
                    client.set("bench:writer", self.acknowledged + 1)
                    self.acknowledged += 1
                    now = time.perf_counter()
                    if broken:
                        self.blink = max(self.blink, now - answered)
                    else:
                        self.longest = max(self.longest, now - answered)
                    answered, broken = now, False
                    time.sleep(0.001)
                return
            self.errors, broken = self.errors + 1, True
            time.sleep(0.005)


def measure_takeover(engine: str, tenants: int) -> Iterator[Row]:
    """Let servers take over below a client that writes, with little and with much data."""
    turns = tenants or _TURNS
    for size in _SIZES:
        blinks, gaps, errors, lost = [], [], 0, 0
        with grounds(engine) as ground:
            ground.save(ground.stage(NAME, **_spec(size, "never")))
            ground.start()
            ground.settled([NAME])
            _fill(ground, size)
            for turn in range(turns):
                writer = Writer(_options(ground))
                thread = threading.Thread(target=writer.run)
                thread.start()
                time.sleep(0.5)
                _take_over(ground, size, turn)
                time.sleep(0.5)
                writer.stopping.set()
                thread.join()
                blinks.append(writer.blink)
                gaps.append(writer.longest)
                errors += writer.errors
                with redis.Redis(**_options(ground)) as client:
                    lost += int(client.get("bench:writer") or 0) < writer.acknowledged
        yield Row(
            what=f"{size} MiB handed over: last answer before → first answer behind",
            ours=Sample(values=tuple(blinks)),
            goal=Goal(most=0.250, of="p95"),
            counters=f"{errors} errors and {lost} lost in {turns} hand-overs",
        )
        yield Row(
            what=f"{size} MiB handed over: longest wait while the data is copied",
            ours=Sample(values=tuple(gaps)),
        )


def _spec(size: int, wish: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "upgrade": {"strategy": "handover"},
        "memory": {"max": f"{2 * size + 64}MiB", "policy": "noeviction"},
    }
    return spec if wish == "never" else spec | {"restartedAt": wish}


def _options(ground: Ground) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": ground.port(NAME),
        "password": ground.password(NAME),
        "ssl": True,
        "ssl_ca_certs": str(ground.public_ca),
        "socket_timeout": 5,
        "retry": Retry(NoBackoff(), 0),
    }


def _fill(ground: Ground, size: int) -> None:
    with redis.Redis(**_options(ground)) as client:
        for first in range(0, size * _MEBIBYTE // _VALUE, _AT_ONCE):
            client.mset({f"bench:{first + n}": os.urandom(_VALUE) for n in range(_AT_ONCE)})


def _take_over(ground: Ground, size: int, turn: int) -> None:
    before = ground.record(NAME)["memory"]["instance"]
    ground.save(ground.stage(NAME, **_spec(size, f"2026-03-01T12:00:{turn:02}Z")))
    end = time.monotonic() + _PATIENCE
    while True:
        memory = ground.record(NAME)["memory"]
        if memory["instance"] != before and memory["hand_over"] is None:
            return
        if time.monotonic() > end:
            raise RuntimeError(f"no hand-over: {ground.status(NAME)['status']['conditions']}")
        time.sleep(0.05)
