"""Names waiting for a visit: each at most once, and never two visits to one tenant at a time.

No threads and no clock in here; the loop brings both.
"""

from __future__ import annotations

import heapq

from cachepilot.spec.document import TenantName


class WorkQueue:
    """Holds when each tenant is due, in seconds of a clock that never jumps."""

    def __init__(self) -> None:
        self._due: dict[TenantName, float] = {}
        self._heap: list[tuple[float, TenantName]] = []
        self._busy: dict[TenantName, float | None] = {}

    def add(self, name: TenantName, *, due: float) -> None:
        """Ask for a visit at *due* or earlier; during a visit this asks for another one."""
        if name in self._busy:
            again = self._busy[name]
            self._busy[name] = due if again is None else min(again, due)
        elif due < self._due.get(name, float("inf")):
            self._due[name] = due
            heapq.heappush(self._heap, (due, name))

    def take(self, now: float) -> TenantName | None:
        """Return somebody who is due and mark the visit as begun, or None."""
        self._skip_outdated()
        if not self._heap or self._heap[0][0] > now:
            return None
        _, name = heapq.heappop(self._heap)
        del self._due[name]
        self._busy[name] = None
        return name

    def finish(self, name: TenantName, *, keep_again: bool = True) -> None:
        """Mark the visit as ended; what was asked for meanwhile counts if *keep_again*."""
        again = self._busy.pop(name)
        if again is not None and keep_again:
            self.add(name, due=again)

    def next_due(self) -> float | None:
        """Return when the next visit is due, or None."""
        self._skip_outdated()
        return self._heap[0][0] if self._heap else None

    def is_busy(self, name: TenantName) -> bool:
        """Return whether somebody is being visited."""
        return name in self._busy

    def depth(self, now: float) -> int:
        """Return how many are due and wait."""
        return sum(1 for due in self._due.values() if due <= now)

    def _skip_outdated(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
