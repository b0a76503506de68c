"""The loop with real threads and visits that do nothing but wait for the test."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from cachepilot import clock
from cachepilot.daemon.loop import Loop
from cachepilot.plan.actions import PurgeMemory
from cachepilot.reconcile import Requeue
from tests.quiet import is_idle

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON = 20.0


class Visits:
    """A visit that reports its beginning and ends when it is let go."""

    def __init__(self):
        self.begun, self.free = [], threading.Event()
        self.changed = threading.Condition()
        self.together: dict[str, int] = {}
        self.most_together, self.errors = 0, {}
        self.requeue, self.seen_at = Requeue(), NOON
        self.free.set()

    def __call__(self, name, before):
        with self.changed:
            self.begun.append(name)
            self.together[name] = self.together.get(name, 0) + 1
            self.most_together = max(self.most_together, self.together[name])
            self.changed.notify_all()
        before(PurgeMemory(tenant_name=name, cause="why", instance=1))
        assert self.free.wait(SOON)
        with self.changed:
            self.together[name] -= 1
            self.changed.notify_all()
        if name in self.errors:
            raise self.errors[name]
        return SimpleNamespace(requeue=self.requeue, seen_at=self.seen_at, name=name)

    def await_begun(self, number):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.begun) >= number, SOON), self.begun


class Bench:
    def __init__(self, workers, resync):
        self.visits, self.results, self.panics = Visits(), [], []
        self.told = threading.Condition()
        self.loop = Loop(
            utc_now=lambda: datetime.max.replace(tzinfo=UTC),
            visit=self.visits,
            on_result=self._tell(self.results),
            on_panic=lambda name, error: self._tell(self.panics)((name, error)),
            monotonic=clock.monotonic,
            dice=random.Random(1),
            resync=resync,
        )
        self.threads = [
            threading.Thread(target=self.loop.work, args=(f"w{number}",), daemon=True)
            for number in range(workers)
        ]

    def _tell(self, where):
        def tell(what):
            with self.told:
                where.append(what)
                self.told.notify_all()

        return tell

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def await_results(self, number):
        with self.told:
            assert self.told.wait_for(lambda: len(self.results) >= number, SOON)

    def await_quiet(self):
        waiting = threading.Event()
        end = clock.monotonic() + SOON
        while not is_idle(self.loop):
            assert clock.monotonic() < end
            waiting.wait(0.005)

    def stop(self):
        self.visits.free.set()
        self.loop.stop()
        for thread in self.threads:
            if thread.ident:
                thread.join(SOON)
                assert not thread.is_alive()


@pytest.fixture
def make():
    made = []

    def build(workers=2, resync=1000.0):
        made.append(Bench(workers, resync))
        return made[-1]

    yield build
    for bench in made:
        bench.stop()


def test_everybody_who_was_added_is_visited_once(make):
    bench = make(workers=3)
    for name in "abcabc":
        bench.loop.add(name)

    bench.start()
    bench.await_results(3)
    bench.await_quiet()

    assert sorted(bench.visits.begun) == ["a", "b", "c"]
    assert bench.loop.counters.visits == 3


def test_one_tenant_is_never_visited_twice_at_once_and_no_wish_is_lost(make):
    bench = make(workers=4).start()
    bench.visits.free.clear()
    bench.loop.add("a")
    bench.visits.await_begun(1)

    for _ in range(5):
        bench.loop.add("a")
    bench.loop.add("b")
    bench.visits.await_begun(2)
    assert bench.visits.begun == ["a", "b"]
    bench.visits.free.set()

    bench.await_results(3)
    bench.await_quiet()
    assert sorted(bench.visits.begun) == ["a", "a", "b"]
    assert bench.visits.most_together == 1


def test_the_echo_of_what_a_visit_did_leads_to_no_other(make):
    bench = make().start()
    bench.loop.add("a")
    bench.await_results(1)
    bench.await_quiet()

    bench.loop.add("a", happened_at=NOON)
    bench.loop.add("a", happened_at=NOON - timedelta(seconds=1))
    bench.await_quiet()

    assert bench.visits.begun == ["a"]
    bench.loop.add("a", happened_at=NOON + timedelta(microseconds=1))
    bench.await_results(2)


def test_a_hint_during_a_visit_counts_exactly_if_it_is_newer_than_the_look(make):
    bench = make().start()
    bench.visits.free.clear()
    bench.loop.add("a")
    bench.visits.await_begun(1)
    bench.loop.add("a", happened_at=NOON - timedelta(seconds=1))
    bench.visits.free.set()
    bench.await_results(1)
    bench.await_quiet()
    assert bench.visits.begun == ["a"]

    bench.visits.free.clear()
    bench.loop.add("a")
    bench.visits.await_begun(2)
    bench.loop.add("a", happened_at=NOON - timedelta(seconds=1))
    bench.loop.add("a", happened_at=NOON + timedelta(seconds=1))
    bench.visits.free.set()
    bench.await_results(3)
    bench.await_quiet()
    assert bench.visits.begun == ["a"] * 3


def test_a_hint_during_a_visit_counts_even_if_the_visit_before_failed(make):
    """Between visits a failing tenant's own crashes are no news; what happens in one is."""
    bench = make().start()
    bench.visits.requeue = Requeue(failed=True)
    bench.loop.add("a")
    bench.await_results(1)
    bench.await_quiet()
    bench.loop.add("a", happened_at=NOON + timedelta(seconds=1))
    bench.await_quiet()
    assert bench.visits.begun == ["a"]

    bench.visits.free.clear()
    bench.loop.add("a", fresh=True)
    bench.visits.await_begun(2)
    bench.loop.add("a", happened_at=NOON + timedelta(seconds=1))
    bench.visits.requeue = Requeue()
    bench.visits.free.set()
    bench.await_results(3)
    bench.await_quiet()
    assert bench.visits.begun == ["a"] * 3


def test_a_surprise_with_one_tenant_does_not_stop_the_others(make):
    bench = make(workers=1)
    bench.visits.errors["a"] = KeyError("surprise")
    bench.loop.add("a")
    bench.loop.add("b")

    bench.start()
    bench.await_results(1)
    bench.await_quiet()

    assert [result.name for result in bench.results] == ["b"]
    assert [name for name, _ in bench.panics] == ["a"]
    assert bench.loop.counters.panics == 1
    assert not is_idle(bench.loop) or bench.loop.depth() == 0


def test_a_tenant_that_surprised_us_is_tried_again(make):
    bench = make()
    bench.visits.errors["a"] = KeyError("surprise")
    bench.loop.add("a")
    bench.start()
    bench.visits.await_begun(1)
    bench.visits.errors.clear()

    bench.await_results(1)

    assert bench.visits.begun == ["a", "a"]


def test_a_visit_that_asks_for_it_is_repeated_after_its_pause(make):
    bench = make()
    bench.visits.requeue = Requeue(after=timedelta(milliseconds=1))
    bench.loop.add("a")

    bench.start()

    bench.await_results(3)


def test_failures_are_counted_until_one_visit_ends_well(make):
    bench = make()
    bench.visits.requeue = Requeue(failed=True)
    bench.loop.add("a")
    bench.start()
    bench.await_results(2)

    assert bench.loop.counters.failures >= 2


def test_a_settled_tenant_is_looked_at_again_after_the_resync(make):
    bench = make(resync=0.01)
    bench.loop.add("a")

    bench.start()

    bench.await_results(3)


def test_a_shorter_resync_counts_from_the_next_visit_on(make):
    bench = make().start()
    bench.loop.use_resync(0.01)
    bench.loop.add("a")

    bench.await_results(2)


def test_spreading_asks_for_a_visit_within_the_resync(make):
    bench = make(resync=0.02).start()

    for name in "abc":
        bench.loop.spread(name)

    bench.await_results(3)


def test_whoever_is_nobody_is_not_visited_again(make):
    bench = make(resync=0.01)
    bench.visits.requeue = Requeue(ended=True)
    bench.loop.add("a")

    bench.start()
    bench.await_results(1)
    bench.await_quiet()

    assert bench.loop._queue.next_due() is None
    assert bench.visits.begun == ["a"]


def test_whoever_is_named_again_while_being_forgotten_is_visited(make):
    bench = make().start()
    bench.visits.requeue = Requeue(ended=True)
    bench.visits.free.clear()
    bench.loop.add("a")
    bench.visits.await_begun(1)

    bench.loop.add("a", fresh=True)
    bench.visits.free.set()

    bench.await_results(2)


def test_stopping_lets_a_visit_end_and_begins_no_other(make):
    bench = make(workers=1).start()
    bench.visits.free.clear()
    bench.loop.add("a")
    bench.visits.await_begun(1)
    bench.loop.add("b")

    bench.loop.stop()
    bench.visits.free.set()
    for thread in bench.threads:
        thread.join(SOON)

    assert bench.visits.begun == ["a"]
    assert [result.name for result in bench.results] == ["a"]


def test_a_worker_shows_a_heartbeat_and_whom_it_visits(make):
    bench = make(workers=1).start()
    bench.visits.free.clear()
    bench.loop.add("a")
    bench.visits.await_begun(1)

    beat = bench.loop.beats["w0"]
    assert beat.visiting == "a"
    assert not is_idle(bench.loop)
    bench.visits.free.set()
    bench.await_results(1)
    bench.await_quiet()
    assert beat.visiting is None
    assert bench.loop.counters.effects == {"PurgeMemory": 1}


def test_a_fresh_wish_forgets_earlier_failures(make):
    bench = make()
    bench.visits.requeue = Requeue(failed=True)
    bench.loop.add("a")
    bench.start()
    bench.await_results(1)
    bench.visits.requeue = Requeue()

    bench.loop.add("a", fresh=True)

    bench.await_results(2)
