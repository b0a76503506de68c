"""Clients that read and write while something changes, and remember every word of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import redis

from tests.scenarios.waiting import eventually

if TYPE_CHECKING:
    from tests.scenarios.tenant import Tenant

_KEYS = 200
_PAUSE = 0.002
_LOST = (redis.RedisError, OSError)


@dataclass
class Worker:
    """One client with keys of its own, so that the order of its writes is known.

    Attributes:
        acknowledged: For each key the newest value that the server said yes to.
        unanswered: For each key the values whose fate nobody knows.
        longest_gap: Most seconds between two answers to writes.
        blinks: Seconds from an error to the next answer.
        wrong: Reads that gave neither the newest value nor one of unknown fate.
    """

    tenant: Tenant
    name: str
    listener: str | None
    acknowledged: dict[str, int] = field(default_factory=dict)
    unanswered: dict[str, set[int]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    blinks: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    writes: int = 0
    longest_gap: float = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop; reconnect as an ordinary client does."""
        silent_since, answered = 0.0, time.monotonic()
        while not stopping.is_set():
            try:
                with self._connection() as client:
                    while not stopping.is_set():
                        self._step(client)
                        self.longest_gap = max(self.longest_gap, time.monotonic() - answered)
                        answered = time.monotonic()
                        if silent_since:
                            self.blinks.append(time.monotonic() - silent_since)
                            silent_since = 0.0
                        stopping.wait(_PAUSE)
            except _LOST as error:
                silent_since = silent_since or time.monotonic()
                self.errors.append(f"{self.name}: {type(error).__name__}: {error}")
                stopping.wait(0.01)

    def check(self, client: redis.Redis) -> list[str]:
        """Return each key that does not hold what the server once acknowledged."""
        keys = sorted(self.acknowledged)
        held = client.mget(keys) if keys else []
        return [
            f"{key} is {value}, wanted {self._possible(key)}"
            for key, value in zip(keys, held, strict=True)
            if (value and int(value)) not in self._possible(key)
        ]

    @contextmanager
    def _connection(self) -> Iterator[redis.Redis]:
        listener = self.listener or self.tenant.listener
        with self.tenant.client(listener, client_name=self.name) as client:
            yield client

    def _step(self, client: redis.Redis) -> None:
        self.writes += 1
        key = f"load:{self.name}:{self.writes % _KEYS}"
        self.unanswered.setdefault(key, set()).add(self.writes)
        client.set(key, self.writes)
        self.unanswered.pop(key)
        self.acknowledged[key] = self.writes
        found = client.get(key)
        if (found and int(found)) != self.writes:
            self.wrong.append(f"{key} is {found}, was set to {self.writes}")

    def _possible(self, key: str) -> set[int]:
        return {self.acknowledged[key], *self.unanswered.get(key, ())}


class Load:
    """Several workers at once.

    Args:
        tenant: Whom to keep busy.
        listeners: One worker for each: a listener's name, or None for whichever is open.
    """

    def __init__(self, tenant: Tenant, *listeners: str | None) -> None:
        self._tenant = tenant
        self._stopping = threading.Event()
        self.workers = [
            Worker(tenant, f"w{number}", listener) for number, listener in enumerate(listeners)
        ]
        self._threads = [
            threading.Thread(target=worker.run, args=(self._stopping,)) for worker in self.workers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, writes: int = 20) -> None:
        """Return once every worker has written that often again."""
        goals = [len(worker.blinks) + worker.writes + writes for worker in self.workers]

        def is_reached() -> bool:
            reached = zip(self.workers, goals, strict=True)
            assert all(worker.writes >= goal for worker, goal in reached), self.errors[-3:]
            return True

        eventually(is_reached)

    @property
    def errors(self) -> list[str]:
        return [error for worker in self.workers for error in worker.errors]

    @property
    def most_errors(self) -> int:
        """How many errors the worker met that met most."""
        return max(len(worker.errors) for worker in self.workers)

    @property
    def longest_gap(self) -> float:
        return max(worker.longest_gap for worker in self.workers)

    @property
    def longest_blink(self) -> float:
        return max((blink for worker in self.workers for blink in worker.blinks), default=0.0)

    def lost(self) -> list[str]:
        """Return every acknowledged write that is gone, and every read that was wrong."""
        with self._tenant.client(self._tenant.listener) as client:
            lost = [each for worker in self.workers for each in worker.check(client)]
        return lost + [wrong for worker in self.workers for wrong in worker.wrong]
