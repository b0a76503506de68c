"""A client that writes while its server is replaced, and how long it has to wait."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.benchmarks.ground import Ground

_MEBIBYTE = 2**20
_VALUE = 1024
_AT_ONCE = 1000
_KEY = "bench:writer"
# How long it writes before and after whatever is measured.
_MARGIN = 0.5


@dataclass
class Writer:
    """A client that writes all the time over TLS, and connects again when it has to.

    Attributes:
        longest: Most seconds between two answers where nothing broke.
        blink: Most seconds between two answers around the end of its connection.
        lost: Whether a write that was answered is gone.
    """

    options: dict[str, Any]
    longest: float = 0.0
    blink: float = 0.0
    errors: int = 0
    acknowledged: int = 0
    lost: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        answered, broken = time.perf_counter(), False
        while not self.stopping.is_set():
            with suppress(redis.RedisError, OSError), redis.Redis(**self.options) as client:
                while not self.stopping.is_set():
                    client.set(_KEY, self.acknowledged + 1)
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


@contextmanager
def writing(ground: Ground, name: str) -> Iterator[Writer]:
    """Write to *name* from a little before to a little after a block."""
    writer = Writer(client_options(ground, name))
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        time.sleep(_MARGIN)
        yield writer
        time.sleep(_MARGIN)
    finally:
        writer.stopping.set()
        thread.join()
    with redis.Redis(**client_options(ground, name)) as client:
        writer.lost = int(client.get(_KEY) or 0) < writer.acknowledged


def client_options(ground: Ground, name: str) -> dict[str, Any]:
    """Return how a customer connects: over TLS, and without a second try."""
    return {
        "host": "127.0.0.1",
        "port": ground.port(name),
        "password": ground.password(name),
        "ssl": True,
        "ssl_ca_certs": str(ground.public_ca),
        "socket_timeout": 5,
        "retry": Retry(NoBackoff(), 0),
    }


def fill(ground: Ground, name: str, mebibytes: int) -> None:
    """Give *name* data that no compression makes smaller."""
    with redis.Redis(**client_options(ground, name)) as client:
        for first in range(0, mebibytes * _MEBIBYTE // _VALUE, _AT_ONCE):
            client.mset({f"bench:{first + n}": os.urandom(_VALUE) for n in range(_AT_ONCE)})
