"""Before a planned restart every write is logged, with room for that and nothing of the new."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cachepilot.observe.snapshot import Liveness
from cachepilot.plan.actions import (
    CreateContainer,
    NoteData,
    RememberPersistence,
    RewriteAppendOnly,
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


def test_a_server_that_logs_already_is_told_what_it_lacks_and_gets_room():
    before = tenant("acme", persistence=NONE, memory_max=64 * MIB, memory_limit=limit(NONE))
    seen = look(settled(before), before)
    memory = replace(seen.memory, persistence=AOF, load_once=True)
    told = dict(seen.server.directives) | {"appendonly": "yes", "save": "3600 1"}
    server = replace(seen.server, directives=tuple(told.items()))
    wanted = replace(before, restarted_at="2026-03-01T12:00:00Z")

    found = plan_tenant(wanted, replace(seen, memory=memory, server=server), RULES, NOON)

    (room,) = of_kind(found, UpdateResources)
    assert room.resources.memory == limit(AOF)
    noted = found.actions.index(of_kind(found, NoteData)[0])
    said = [a.directives for a in found.actions[:noted] if isinstance(a, SetDirectives)]
    # A snapshot of everything, as it ends, would be made while nobody may write.
    assert said == [(("save", ""), ("shutdown-on-sigterm", "default"))]
    assert [type(a) for a in found.actions[noted - 1 : noted]] == [RewriteAppendOnly]


def test_clients_get_in_before_the_mode_changes_back():
    spec = tenant("acme", persistence=RDB)
    seen = look(settled(spec), spec)
    told = dict(seen.server.directives) | {"appendonly": "yes", "save": "", "bind": "127.0.0.1"}
    server = replace(seen.server, directives=tuple(told.items()))
    left = replace(seen, memory=replace(seen.memory, persistence=AOF), server=server)

    found = plan_tenant(spec, left, RULES, NOON)

    assert of_kind(found, SetDirectives)[0].cause == "bind is 127.0.0.1"
    said = [name for a in of_kind(found, SetDirectives) for name, _ in a.directives]
    assert said == ["bind", "save", "appendonly"]


def test_a_container_that_is_being_removed_is_made_anew_with_the_room_it_had():
    spec = tenant("acme", persistence=RDB, memory_max=64 * MIB, memory_limit=limit(RDB))
    seen = look(settled(spec), spec)
    (container,) = seen.containers
    roomy = replace(container.resources, memory=900 * MIB, swap=900 * MIB)
    dead = replace(container, liveness=Liveness.DEAD, resources=roomy)

    found = plan_tenant(
        spec, replace(seen, containers=(dead,), server=None, endpoints=()), RULES, NOON
    )

    (made,) = of_kind(found, CreateContainer)
    assert made.workload.resources.memory == 900 * MIB


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
