"""A host that is shut down or loses its power, and what its clients had been told before."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import redis

from tests.scenarios.waiting import eventually

if TYPE_CHECKING:
    from tests.scenarios.private_engine import PrivateEngine
    from tests.scenarios.tenant import Tenant

_LOST = (redis.RedisError, OSError)
# A log of writes is forced to the disk each second, and up to two may pass while one is slow.
_UNFORCED = 2.0
_BETWEEN_WRITES = 0.02


def go_down(engine: PrivateEngine, *, abruptly: bool) -> None:
    """End an engine with everything in it; its next start is like the first after a boot."""
    if abruptly:
        engine.lose_power()
    else:
        engine.stop()


class Diary:
    """What one client is told yes to, all the time; each entry is a number, and they count up.

    It is written in a new volume after each boot, as for some modes of persistence it is no fault
    if an earlier one is gone.
    """

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._volume = 1
        self._last = 0
        self._acknowledged: dict[int, list[tuple[float, int]]] = {1: []}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def begin(self) -> None:
        self._thread.start()
        eventually(lambda: self._acknowledged[1])

    def end(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def begin_volume(self) -> None:
        """Begin a new one while no server runs, so that nothing is said yes to meanwhile."""
        self._acknowledged[self._volume + 1] = []
        self._volume += 1

    def acknowledged(self, volume: int, *, before: float | None = None) -> set[int]:
        """Return what was said yes to; if *before* is given, only what is on disk at that time.

        Args:
            before: A moment of :func:`time.monotonic`.
        """
        end = float("inf") if before is None else before - _UNFORCED
        return {number for when, number in self._acknowledged[volume] if when <= end}

    def saved(self) -> int:
        """Return the newest number in any snapshot on the disk."""
        found = [0]
        for dump in (self._tenant.folder / "data").glob("*/dump.rdb"):
            _, mark, behind = dump.read_bytes().partition(b"written-")
            found += [int(behind[:8])] if mark else []
        return max(found)

    def held(self, volume: int) -> set[int]:
        """Return what the server has; fail unless it has everything up to some number."""
        with self._tenant.client(self._tenant.listener) as client:
            found = [int(each) for each in client.lrange(f"diary{volume}", 0, -1)]
        assert found == sorted(set(found))
        gaps = {
            each for each in self.acknowledged(volume) - set(found) if each < max(found, default=0)
        }
        assert not gaps, f"volume {volume} lacks {gaps} before {max(found)}"
        return set(found)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._tenant.client(
                    self._tenant.listener, socket_timeout=2, single_connection_client=True
                ) as client:
                    while not self._stopping.is_set():
                        self._write(client)
                        self._stopping.wait(_BETWEEN_WRITES)
            except (*_LOST, AssertionError):
                self._stopping.wait(_BETWEEN_WRITES)

    def _write(self, client: redis.Redis) -> None:
        self._last += 1
        volume, number = self._volume, self._last
        with client.pipeline(transaction=True) as both:
            both.rpush(f"diary{volume}", number)
            # Short enough to stand in a snapshot as it is.
            both.set("newest", f"written-{number:08}")
            both.execute()
        self._acknowledged[volume].append((time.monotonic(), number))
