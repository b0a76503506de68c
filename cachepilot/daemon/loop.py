"""The work queue brought to life: workers visit tenants, results decide when again."""

from __future__ import annotations

import random  # noqa: TID251 - only the type; the generator itself is handed in
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cachepilot.daemon.backoff import pause_after
from cachepilot.daemon.queue import WorkQueue
from cachepilot.plan.actions import Action
from cachepilot.reconcile import Requeue, VisitResult
from cachepilot.spec.document import TenantName

_NEVER_AN_ECHO = float("inf")

Visit = Callable[[TenantName, Callable[[Action], None]], VisitResult]
"""Visits one tenant; tells its worker of each action before it is carried out."""


@dataclass(slots=True)
class Beat:
    """When a worker last showed signs of life, and whether it was in a visit."""

    at: float
    visiting: TenantName | None = None


@dataclass(slots=True)
class Counters:
    """What the loop has done since it began; read by the metrics."""

    visits: int = 0
    failures: int = 0
    panics: int = 0
    effects: dict[str, int] = field(default_factory=dict)


class Loop:
    """Visits tenants when they are due, several at a time, one visit a tenant.

    Args:
        visit: Carries out one visit; must not raise anything it knows how to report.
        on_result: Told of each result, in the worker's thread.
        on_panic: Told of an exception that nobody expected.
        monotonic: Seconds that never jump.
        utc_now: The time, to tell echoes of our own actions from news.
        dice: Where jitter comes from.
        resync: Seconds until a settled tenant is looked at again.
    """

    def __init__(
        self,
        *,
        visit: Visit,
        on_result: Callable[[VisitResult], None],
        on_panic: Callable[[TenantName, Exception], None],
        monotonic: Callable[[], float],
        utc_now: Callable[[], datetime],
        dice: random.Random,
        resync: float,
    ) -> None:
        self._visit = visit
        self._on_result = on_result
        self._on_panic = on_panic
        self._monotonic = monotonic
        self._utc_now = utc_now
        self._dice = dice
        self._resync = resync
        self._queue = WorkQueue()
        self._changed = threading.Condition()
        self._stopping = False
        self._failures: dict[TenantName, int] = {}
        self._seen_at: dict[TenantName, datetime] = {}
        self._hinted_at: dict[TenantName, float] = {}
        self.beats: dict[str, Beat] = {}
        self.counters = Counters()

    def use_resync(self, seconds: float) -> None:
        """Take another resync interval from now on."""
        self._resync = seconds

    def add(
        self,
        name: TenantName,
        *,
        after: float = 0.0,
        happened_at: datetime | None = None,
        fresh: bool = False,
    ) -> None:
        """Ask for a visit.

        Args:
            name: Whom to visit.
            after: Seconds to wait first.
            happened_at: When the hint came into being; a hint older than the last look is void,
                which is how the echo of our own actions dies away.
            fresh: Whether something changed that makes earlier failures meaningless.
        """
        with self._changed:
            if happened_at is not None and not self._queue.is_busy(name):
                seen_at = self._seen_at.get(name)
                if seen_at is not None and happened_at <= seen_at <= self._utc_now():
                    return  # unless the clock was set back since: then nothing follows from it
                if self._failures.get(name) and not fresh:
                    return  # its own crashes must not shorten the pause after a failure
            hinted = happened_at.timestamp() if happened_at else _NEVER_AN_ECHO
            self._hinted_at[name] = max(hinted, self._hinted_at.get(name, hinted))
            if fresh:
                self._failures.pop(name, None)
            self._queue.add(name, due=self._monotonic() + after)
            self._changed.notify()

    def spread(self, name: TenantName) -> None:
        """Ask for a visit some time within the resync interval, so that visits spread out."""
        self.add(name, after=self._resync * self._dice.random())

    def work(self, worker: str) -> None:
        """Visit whoever is due until the loop is stopped; runs in a thread of its own."""
        beat = self.beats[worker] = Beat(self._monotonic())
        while (name := self._next(beat)) is not None:
            self._visit_once(name, beat)

    def stop(self) -> None:
        """Let every worker finish the visit it is in, and no other."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def depth(self) -> int:
        """Return how many tenants are due and wait."""
        with self._changed:
            return self._queue.depth(self._monotonic())

    def _next(self, beat: Beat) -> TenantName | None:
        with self._changed:
            while not self._stopping:
                now = self._monotonic()
                beat.at, beat.visiting = now, None
                if (name := self._queue.take(now)) is not None:
                    beat.visiting = name
                    self._hinted_at.pop(name, None)
                    return name
                due = self._queue.next_due()
                # Woken at least once a second, so that an idle worker still shows a heartbeat.
                self._changed.wait(min(1.0, max(0.0, due - now)) if due is not None else 1.0)
            return None

    def _visit_once(self, name: TenantName, beat: Beat) -> None:
        def before(action: Action) -> None:
            beat.at = self._monotonic()
            kind = type(action).__name__
            with self._changed:
                self.counters.effects[kind] = self.counters.effects.get(kind, 0) + 1

        result: VisitResult | None = None
        try:
            result = self._visit(name, before)
            self._on_result(result)
        except Exception as error:  # noqa: BLE001 - one tenant's surprise must not stop the others
            self._on_panic(name, error)
        with self._changed:
            self._settle(name, result)
            self._changed.notify()

    def _settle(self, name: TenantName, result: VisitResult | None) -> None:
        self.counters.visits += 1
        keep_again = True
        if result is None:
            self.counters.panics += 1
            requeue = Requeue(failed=True)
        else:
            requeue = result.requeue
            self._seen_at[name] = result.seen_at
            hinted = self._hinted_at.pop(name, None)
            keep_again = hinted is None or hinted > result.seen_at.timestamp()
        self._queue.finish(name, keep_again=keep_again)
        if requeue.ended:
            # Whoever was named again meanwhile is in the queue again; nobody else looks back.
            for memory in (self._failures, self._seen_at):
                memory.pop(name, None)
            return
        self._queue.add(name, due=self._monotonic() + self._pause(name, requeue))

    def _pause(self, name: TenantName, requeue: Requeue) -> float:
        if requeue.failed:
            self.counters.failures += 1
            self._failures[name] = self._failures.get(name, 0) + 1
            return pause_after(self._failures[name], jitter=self._dice.random())
        self._failures.pop(name, None)
        resync = self._resync * (0.9 + 0.2 * self._dice.random())
        return resync if requeue.after is None else min(requeue.after.total_seconds(), resync)
