"""Whole situations in the world in memory, made by visits as the daemon makes them."""

from __future__ import annotations

from cachepilot.apply.executor import perform
from cachepilot.apply.outcome import Done
from cachepilot.observe.collect import Questions, collect
from cachepilot.observe.snapshot import Snapshot
from cachepilot.plan.actions import Plan
from cachepilot.plan.logins import customer_logins, list_password_files
from cachepilot.plan.planner import plan_tenant
from cachepilot.plan.server_config import managed_directives
from cachepilot.plan.users import expected_users
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from tests.builders import tenant
from tests.fakes.readers import readers_of
from tests.fakes.world import FakeWorld
from tests.fakes.writers import writers_of

RULES = Rules()
_MOST_ROUNDS = 12


def look(world: FakeWorld, spec: TenantSpec) -> Snapshot:
    """Return what a visit would see."""
    questions = Questions(
        image=spec.image,
        bind=spec.bind,
        password_files=list_password_files(spec),
        listeners=spec.listeners,
        directives=managed_directives(spec),
        users=expected_users(spec),
        logins=customer_logins(spec),
        grace=spec.grace,
        gateways=frozenset(),
    )
    return collect(spec.name, questions, readers_of(world), now=world.tick())


def plan(world: FakeWorld, spec: TenantSpec, *, rules: Rules = RULES) -> Plan:
    """Return what a visit would do."""
    seen = look(world, spec)
    return plan_tenant(spec, seen, rules, seen.at)


def settle(world: FakeWorld, spec: TenantSpec, *, rules: Rules = RULES) -> FakeWorld:
    """Visit until nothing is left to do."""
    for _ in range(_MOST_ROUNDS):
        actions = plan(world, spec, rules=rules).actions
        if not actions:
            return world
        for action in actions:
            outcome = perform(action, writers_of(world), now=world.tick())
            assert isinstance(outcome, Done), outcome
    raise AssertionError(f"visits go on for ever: {plan(world, spec, rules=rules)}")


def settled(spec: TenantSpec | None = None, *, rules: Rules = RULES) -> FakeWorld:
    """Return a world in which *spec* is served."""
    return settle(FakeWorld(), spec or tenant(), rules=rules)
