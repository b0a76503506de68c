"""Whatever interrupts a hand-over, one server is in charge and no acknowledged write is lost.

Clients write wherever they still are or get in. The world in memory loses a write that goes to the
server that does not stay, so whatever was acknowledged must be there in the end.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.observe.memory import HandOverPhase
from cachepilot.observe.snapshot import Liveness
from cachepilot.plan.actions import Disruption
from cachepilot.spec.document import AccessMode, PersistenceMode
from cachepilot.spec.tenant import UserSpec
from cachepilot.spec.upgrade import UpgradeFallback, UpgradeStrategy
from tests.builders import tenant
from tests.fakes.eventful import EventfulWorld
from tests.fakes.scenes import plan
from tests.fakes.writers import FakeHandOverWriter
from tests.properties.test_convergence import OBSERVE, complaints, new_world, visit

NAME = "acme"
WISHES = (
    {"image": "redis:8.2"},
    {"config": (("databases", "4"),)},
    {"restarted_at": "2026-01-02T00:00:00Z"},
)
boxed = st.builds(
    lambda **fields: tenant(NAME, strategy=UpgradeStrategy.HANDOVER, **fields),
    persistence=st.sampled_from(PersistenceMode),
    access=st.sampled_from(AccessMode),
)
# What a running server takes, and what may stand in the same edit.
BESIDE = (
    {},
    {"rotated_at": "2026-01-02T00:00:00Z"},
    {"users": (UserSpec(name="reader", keys=("*",), commands=("+@read",)),)},
    {"memory_max": 24 * 2**20},
)
changes = st.builds(
    lambda wish, beside: {**beside, **wish}, st.sampled_from(WISHES), st.sampled_from(BESIDE)
)
cuts = st.integers(0, 34)


def served(spec):
    world = new_world()
    world.images.add("redis:8.2")
    visit(world, spec)
    assert world.write(NAME, 1)
    return world


def reboot(world, *, joins):
    """Start the machine again; Docker starts what it may, and joins only sometimes."""
    for name in list(world.servers):
        world.kill(name)
    for name, seen in list(world.containers.items()):
        world.end(name, exit_code=255)
        if seen.resources.restart != "no" and not seen.joined:
            world.boot(name)
    for name, seen in list(world.containers.items()):
        if joins and seen.resources.restart != "no" and seen.joined:
            world.boot(name)


@settings(max_examples=400, deadline=None)
@given(boxed, changes, st.lists(cuts, min_size=1, max_size=3))
def test_a_daemon_that_dies_anywhere_loses_no_acknowledged_write(spec, change, deaths):
    world, after = served(spec), replace(spec, **change)
    acknowledged = 1

    for number, cut in enumerate(deaths, start=2):
        visit(world, after, cut=cut)
        world.end_pauses()
        if world.write(NAME, number):
            acknowledged = number
    visit(world, after)

    assert complaints(world, after) == []
    assert plan(world, after).actions == ()
    assert world.servers[NAME].data == acknowledged
    assert world.memory(NAME).instance == 2


@settings(max_examples=400, deadline=None)
@given(boxed, changes, cuts, st.booleans(), st.booleans())
def test_a_reboot_anywhere_leaves_one_server_with_everything_it_logged(
    spec, change, cut, joins, later
):
    spec = replace(spec, persistence=PersistenceMode.AOF)
    world, after = served(spec), replace(spec, **change)

    visit(world, after, cut=cut)
    acknowledged = 1
    if later and world.write(NAME, 2):
        acknowledged = 2
    reboot(world, joins=joins)
    if world.write(NAME, 3):
        acknowledged = 3
    visit(world, after)

    assert complaints(world, after) == []
    assert world.servers[NAME].data == acknowledged


@settings(max_examples=200, deadline=None)
@given(boxed, changes, cuts, st.booleans())
def test_a_memory_only_server_revives_nothing_after_a_reboot_anywhere(spec, change, cut, joins):
    spec = replace(spec, persistence=PersistenceMode.NONE)
    world, after = served(spec), replace(spec, **change)

    visit(world, after, cut=cut)
    reboot(world, joins=joins)
    visit(world, after)

    assert complaints(world, after) == []
    assert world.servers[NAME].data == 0


@pytest.mark.parametrize("cut", range(14, 26))
def test_an_old_server_that_came_up_closed_is_opened_although_hands_are_spared(cut):
    """It read the file of a hand-over that was interrupted, between our look and our writing."""
    spec = tenant(NAME, strategy=UpgradeStrategy.HANDOVER, persistence=PersistenceMode.AOF)
    for when in range(1, 12):
        world = EventfulWorld(images={"redis:8.0", "redis:8.2"})
        visit(world, spec, OBSERVE)
        visit(world, replace(spec, image="redis:8.2"), OBSERVE, cut=cut)
        if world.memory(NAME).instance == 1 and NAME in world.servers:
            world.crash_loop(NAME)
            world.events[world.effects + when] = come_up
        for _ in range(3):
            visit(world, spec, OBSERVE)

        assert complaints(world, spec) == []


def come_up(world):
    if world.containers[NAME].liveness is Liveness.RESTARTING:
        world.boot(NAME)


@settings(max_examples=200, deadline=None)
@given(boxed, changes, cuts)
def test_an_old_server_that_crashes_meanwhile_is_still_in_charge_or_already_gone(
    spec, change, cut
):
    spec = replace(spec, persistence=PersistenceMode.AOF)
    world, after = served(spec), replace(spec, **change)

    visit(world, after, cut=cut)
    acknowledged = 2 if world.write(NAME, 2) else 1
    world.kill(NAME)
    world.boot(NAME)
    if world.write(NAME, 3):
        acknowledged = 3
    visit(world, after)

    assert complaints(world, after) == []
    assert world.servers[NAME].data == acknowledged


@settings(deadline=None)
@given(boxed, changes)
def test_what_is_planned_breaks_connections_and_nothing_more(spec, change):
    world = served(spec)

    assert plan(world, replace(spec, **change)).disruption is Disruption.RECONNECT


@settings(deadline=None)
@given(boxed, changes, st.sampled_from(UpgradeFallback))
def test_without_memory_for_two_it_waits_or_restarts_as_the_spec_says(spec, change, fallback):
    world, after = served(spec), replace(spec, **change, fallback=fallback)
    world.memory_available = 10 * 2**20

    visit(world, after)

    if fallback is UpgradeFallback.RESTART:
        assert complaints(world, after) == []
        assert world.starts == 2
    else:
        assert plan(world, after).blocked.reason == "HandOverNeedsMemory"
        assert world.starts == 1
    assert world.servers[NAME].data == 1


@settings(deadline=None)
@given(boxed, changes)
def test_a_successor_that_dies_never_wins_and_is_not_tried_again(spec, change):
    world, after = served(spec), replace(spec, **change)
    successor = f"{NAME}.successor"
    cut = next(
        cut
        for cut in range(20)
        if successor in (world.servers if visit(world, after, cut=cut) is None else ())
    )
    assert cut
    world.kill(successor)

    for _ in range(3):
        visit(world, after)

    assert plan(world, after).blocked.reason == "HandOverFailed"
    assert set(world.containers) == {NAME, f"{NAME}.sandbox"}
    assert world.servers[NAME].data == 1
    assert world.containers[NAME].liveness is Liveness.RUNNING
    assert world.starts == 2

    visit(world, spec)
    assert complaints(world, spec) == []


@settings(max_examples=200, deadline=None)
@given(boxed, changes)
def test_a_write_that_a_pause_let_through_too_soon_is_kept(spec, change):
    world, after = served(spec), replace(spec, **change)
    promote, let_in = FakeHandOverWriter.promote, []

    def promote_slowly(self, *words, **named):
        promote(self, *words, **named)
        if not let_in:
            world.end_pauses()
            let_in.append(world.write(NAME, 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeHandOverWriter, "promote", promote_slowly)
        for _ in range(3):
            visit(world, after)

    assert let_in == [True]
    assert complaints(world, after) == []
    assert world.servers[NAME].data == 2
    assert world.memory(NAME).instance == 2


def cut_when(world, after, is_so):
    """Return the world whose daemon died at the first moment at which *is_so*."""
    for cut in range(40):
        twin = copy.deepcopy(world)
        visit(twin, after, cut=cut)
        if is_so(twin):
            return twin
    raise AssertionError("it is never so")


def phase_of(world):
    begun = world.memory(NAME).hand_over
    return begun and begun.phase


@pytest.mark.parametrize("mode", PersistenceMode)
def test_writes_are_resumed_by_whoever_can_ask_again(mode):
    spec = tenant(NAME, strategy=UpgradeStrategy.HANDOVER, persistence=mode)
    world, after = served(spec), replace(spec, image="redis:8.2")
    world = cut_when(world, after, lambda each: phase_of(each) is HandOverPhase.WON)
    assert world.servers[NAME].writes_paused

    world.kept.pop(NAME, None)
    world.servers[NAME].crowded = True
    visit(world, after)
    world.servers[NAME].crowded = False
    visit(world, after)

    assert complaints(world, after) == []
    assert plan(world, after).actions == ()
    assert world.write(NAME, 2)


@pytest.mark.parametrize("mode", PersistenceMode)
def test_a_server_that_cannot_be_asked_is_opened_again_before_anything_is_forgotten(mode):
    spec = tenant(NAME, strategy=UpgradeStrategy.HANDOVER, persistence=mode)
    world, after = served(spec), replace(spec, image="redis:8.2")
    world = cut_when(world, after, lambda each: each.servers[NAME].directives["tls-port"] == "0")
    assert phase_of(world) is HandOverPhase.CLOSING

    world.kept.pop(NAME, None)
    world.servers[NAME].crowded = True
    visit(world, spec)
    assert phase_of(world) is HandOverPhase.CLOSING
    world.servers[NAME].crowded = False
    visit(world, spec)

    assert complaints(world, spec) == []
    assert world.memory(NAME).hand_over is None


@settings(max_examples=100, deadline=None)
@given(boxed, changes, st.integers(0, 12))
def test_a_server_that_cannot_be_asked_for_a_moment_is_not_restarted_for_it(spec, change, cut):
    world, after = served(spec), replace(spec, **change)
    visit(world, after, cut=cut)
    run_id = world.servers[NAME].run_id

    world.kept.pop(NAME, None)
    world.servers[NAME].crowded = True
    for _ in range(2):
        visit(world, after)
    assert world.servers[NAME].run_id == run_id
    world.servers[NAME].crowded = False
    assert world.write(NAME, 2)
    visit(world, after)

    assert complaints(world, after) == []
    assert world.servers[NAME].data == 2
    assert world.containers[NAME].joined


def test_a_missed_answer_makes_nobody_try_again_what_failed():
    spec = tenant(NAME, strategy=UpgradeStrategy.HANDOVER, persistence=PersistenceMode.AOF)
    world, after = served(spec), replace(spec, image="redis:8.2")
    world = cut_when(world, after, lambda each: f"{NAME}.successor" in each.servers)
    world.kill(f"{NAME}.successor")
    visit(world, after)
    assert plan(world, after).blocked.reason == "HandOverFailed"

    world.kept.pop(NAME, None)
    world.servers[NAME].crowded = True
    visit(world, after)
    world.servers[NAME].crowded = False

    assert plan(world, after).blocked.reason == "HandOverFailed"


@settings(max_examples=100, deadline=None)
@given(boxed, changes, st.integers(0, 6))
def test_nothing_stays_of_a_successor_that_failed(spec, change, cut):
    world, after = served(spec), replace(spec, **change)
    world = cut_when(world, after, lambda each: f"{NAME}.successor" in each.servers)
    number = world.memory(NAME).hand_over.instance
    world.kill(f"{NAME}.successor")

    visit(world, after, cut=cut)
    visit(world, after)

    assert (NAME, number) not in world.disks
    assert world.memory(NAME).outgoing == ()


@pytest.mark.parametrize("mode", PersistenceMode)
def test_a_script_that_only_reads_is_ended_for_a_hand_over(mode):
    spec = tenant(NAME, strategy=UpgradeStrategy.HANDOVER, persistence=mode)
    world, after = served(spec), replace(spec, image="redis:8.2")
    world.servers[NAME].script = "reads"

    for _ in range(3):
        visit(world, after)

    assert complaints(world, after) == []
    assert world.servers[NAME].data == 1
    assert world.memory(NAME).instance == 2
