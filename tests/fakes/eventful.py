"""A world that does not wait for the daemon: things happen in the middle of its effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tests.fakes.world import FakeWorld


@dataclass
class EventfulWorld(FakeWorld):
    """A world with *events* by the number of the effect that has begun but is not carried out."""

    events: dict[int, Callable[[FakeWorld], object]] = field(default_factory=dict)

    def tick(self, span=timedelta(milliseconds=10)):
        if event := self.events.pop(self.effects, None):
            event(self)
        return super().tick(span)
