from __future__ import annotations

import threading

import pytest

from cachepilot.daemon.chore import Chore
from tests.daemon.heard import Heard

SOON = 20.0


class Work:
    """Counts its turns, and can be made to fail or to take its time."""

    def __init__(self, pause=1000.0):
        self.turns, self.pause, self.errors = 0, pause, []
        self.changed, self.free = threading.Condition(), threading.Event()
        self.free.set()

    def __call__(self):
        with self.changed:
            self.turns += 1
            self.changed.notify_all()
        assert self.free.wait(SOON)
        if self.errors:
            raise self.errors.pop()
        return self.pause

    def await_turns(self, number):
        with self.changed:
            assert self.changed.wait_for(lambda: self.turns >= number, SOON)


@pytest.fixture
def log():
    return Heard()


@pytest.fixture
def begin(log):
    begun = []

    def start(work):
        chore = Chore("chore", work, log, after_error=0.001)
        begun.append((chore, work))
        chore.start()
        return chore

    yield start
    for chore, work in begun:
        work.free.set()
        chore.stop(SOON)


def test_a_chore_is_done_at_once_and_again_when_woken(begin):
    work = Work()
    chore = begin(work)
    work.await_turns(1)

    chore.wake()

    work.await_turns(2)


def test_a_chore_is_done_again_after_its_pause(begin):
    work = Work(pause=0.001)

    begin(work)

    work.await_turns(3)


def test_a_wake_up_in_the_middle_of_a_turn_leads_to_another(begin):
    work = Work()
    work.free.clear()
    chore = begin(work)
    work.await_turns(1)

    chore.wake()
    work.free.set()

    work.await_turns(2)


def test_a_chore_outlives_its_errors(begin, log):
    work = Work()
    work.errors = [KeyError("surprise")]

    begin(work)

    work.await_turns(2)
    assert log.levels() == ["error"]


def test_a_stopped_chore_has_no_further_turn(begin):
    work = Work()
    chore = begin(work)
    work.await_turns(1)

    chore.stop(SOON)
    chore.wake()

    assert work.turns == 1


def test_a_chore_that_never_began_can_be_stopped(log):
    Chore("chore", Work(), log).stop(SOON)
