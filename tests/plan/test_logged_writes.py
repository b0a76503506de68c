"""Before a planned restart every write is logged, with room for that and nothing of the new."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cachepilot.plan.actions import (
    NoteData,
    RememberPersistence,
    SetDirectives,
    UpdateResources,
    WriteConfiguration,
)
from cachepilot.plan.planner import plan_tenant
from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.headroom import container_limit
from tests.builders import tenant
from tests.fakes.scenes import RULES, look, plan, settle, settled
from tests.fakes.world import NOON

MIB = 2**20
NONE, RDB, AOF = PersistenceMode.NONE, PersistenceMode.RDB, PersistenceMode.AOF


def of_kind(found, kind):
    return [action for action in found.actions if isinstance(action, kind)]


def limit(mode):
    return container_limit(64 * MIB, mode, RULES.headRoom)


@pytest.mark.parametrize("mode", [NONE, RDB])
def test_whoever_must_not_fork_gets_room_for_it_and_gives_it_back(mode):
    before = tenant("acme", persistence=mode, memory_max=64 * MIB, memory_limit=limit(mode))
    world = settled(before)
    wanted = replace(before, restarted_at="2026-03-01T12:00:00Z")

    found = plan(world, wanted)

    raised = [action.resources.memory for action in of_kind(found, UpdateResources)]
    assert raised == ([limit(AOF)] if mode is NONE else [])
    if raised:
        log = next(
            a for a in of_kind(found, SetDirectives) if ("appendonly", "yes") in a.directives
        )
        room = of_kind(found, UpdateResources)[0]
        assert found.actions.index(room) < found.actions.index(log)
    settle(world, wanted)
    assert world.containers["acme"].resources.memory == limit(mode)


def test_a_server_that_holds_more_than_it_should_gets_room_for_what_it_holds():
    before = tenant("acme", persistence=NONE, memory_max=64 * MIB, memory_limit=limit(NONE))
    seen = look(settled(before), before)
    full = replace(seen.server, used_memory=400 * MIB, resident_memory=500 * MIB)
    wanted = replace(before, restarted_at="2026-03-01T12:00:00Z")

    found = plan_tenant(wanted, replace(seen, server=full), RULES, NOON)

    (room,) = of_kind(found, UpdateResources)
    assert room.resources.memory == 820 * MIB


@pytest.mark.parametrize("mode", [NONE, RDB])
def test_what_only_a_restart_changes_is_not_in_the_file_of_the_server_that_logs(mode):
    before = tenant("acme", persistence=mode, config=(("databases", "16"),))
    world = settled(before)

    found = plan(world, replace(before, config=(("databases", "8"),)))

    (own,) = [a for a in of_kind(found, WriteConfiguration) if a.instance == 1]
    assert "databases 16\n" in own.text
    assert "appendonly yes\n" in own.text
    remembered = of_kind(found, RememberPersistence)[0]
    noted = of_kind(found, NoteData)[0]
    places = [found.actions.index(action) for action in (own, remembered, noted)]
    assert remembered.mode is AOF
    assert places == sorted(places)
