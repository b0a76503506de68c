"""Visits as the daemon makes them, and a daemon that dies between any two effects."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from cachepilot.apply.ports import Writers
from cachepilot.plan.holding import Turn
from cachepilot.reconcile import Terms, VisitResult, World, reconcile
from cachepilot.spec.digest import fingerprint
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from cachepilot.status.conditions import TenantStatus
from tests.fakes.readers import readers_of
from tests.fakes.world import FakeWorld
from tests.fakes.writers import writers_of


class Killed(BaseException):
    """The daemon is gone in the middle of its work, as after SIGKILL."""


@dataclass
class Budget:
    """How many effects there may be before the daemon dies; None is any number."""

    left: int | None

    def spend(self) -> None:
        if self.left == 0:
            raise Killed
        if self.left is not None:
            self.left -= 1


@dataclass
class Mortal:
    """One write port that asks the budget before each call."""

    port: Any
    budget: Budget

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.port, name)

        def effect(*given, **named):
            self.budget.spend()
            return call(*given, **named)

        return effect


@dataclass
class Board:
    """What is published about one tenant."""

    last: TenantStatus | None = None

    def read(self, tenant_name):
        return self.last

    def publish(self, status):
        self.last = status

    def withdraw(self, tenant_name):
        self.last = None


@dataclass
class Folder:
    """A folder whose only document asks for *spec*."""

    spec: TenantSpec

    def read(self, tenant_name):
        text = repr(self.spec)
        return Reading(
            tenant_name=tenant_name,
            presence=Presence.PRESENT,
            spec=self.spec,
            json=text,
            digest=fingerprint(text),
            source=f"{tenant_name}.yaml",
        )


@dataclass
class Deaf:
    """Somebody who does not listen."""

    def before(self, action):
        pass

    def after(self, outcome):
        pass


@dataclass
class Daemon:
    """Visits one tenant of *world* with the very code that a real daemon runs."""

    world: FakeWorld
    board: Board = field(default_factory=Board)

    def visit(
        self,
        spec: TenantSpec,
        rules: Rules,
        *,
        cut: int | None = None,
        turn: Turn = Turn.ITS_OWN,
    ) -> VisitResult | None:
        """Visit once; None where the daemon died after *cut* effects and another one took over."""
        ports, budget = writers_of(self.world), Budget(cut)
        mortal = {each.name: Mortal(getattr(ports, each.name), budget) for each in fields(Writers)}
        world = World(
            source=Folder(spec),
            readers=readers_of(self.world),
            writers=replace(ports, **mortal),
            status=self.board,
            utc_now=self.world.tick,
        )
        terms = Terms(rules=rules, settings_digest="s1")
        try:
            return reconcile(spec.name, world, terms, onlooker=Deaf(), turn=turn)
        except Killed:
            self.world.kept.clear()  # its connections went with it
            return None
