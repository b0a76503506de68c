from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cachepilot.daemon.queue import WorkQueue

NAMES = st.sampled_from(["a", "b", "c"])
SPANS = st.integers(0, 5)


class QueueMachine(RuleBasedStateMachine):
    """Does to a queue and to a list of wishes the same things; they must never disagree."""

    def __init__(self):
        super().__init__()
        self.queue, self.now = WorkQueue(), 0
        self.due: dict[str, float] = {}
        self.again: dict[str, float | None] = {}

    def wish(self, name, due):
        if name in self.again:
            before = self.again[name]
            self.again[name] = due if before is None else min(before, due)
        else:
            self.due[name] = min(due, self.due.get(name, due))

    @rule(name=NAMES, span=SPANS)
    def add(self, name, span):
        self.queue.add(name, due=self.now + span)
        self.wish(name, self.now + span)

    @rule(span=SPANS)
    def pass_time(self, span):
        self.now += span

    @rule()
    def take(self):
        ready = {due for due in self.due.values() if due <= self.now}
        name = self.queue.take(self.now)
        assert (name is None) is (not ready)
        if name is not None:
            assert name not in self.again, "two visits to one tenant at once"
            assert self.due.pop(name) == min(ready), "somebody waited longer"
            self.again[name] = None

    @precondition(lambda self: self.again)
    @rule(data=st.data(), keep=st.booleans())
    def finish(self, data, keep):
        name = data.draw(st.sampled_from(sorted(self.again)))
        self.queue.finish(name, keep_again=keep)
        again = self.again.pop(name)
        if again is not None and keep:
            self.wish(name, again)

    @invariant()
    def agrees(self):
        assert self.queue.next_due() == min(self.due.values(), default=None)
        assert self.queue.depth(self.now) == sum(due <= self.now for due in self.due.values())
        assert {name for name in "abc" if self.queue.is_busy(name)} == set(self.again)

    def teardown(self):
        """Nobody who was asked for is lost: once time comes, each is taken exactly once."""
        for name in sorted(self.again):
            self.queue.finish(name)
            if self.again[name] is not None:
                self.due[name] = self.again[name]
        taken = []
        while (name := self.queue.take(1_000_000)) is not None:
            taken.append(name)
        assert sorted(taken) == sorted(self.due)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
