"""What waits for a maintenance window, what goes through at once, and what is in force between."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.observe.memory import HandOverPhase
from cachepilot.observe.replacement import LearnedImage
from cachepilot.observe.snapshot import Liveness
from cachepilot.plan.actions import (
    CreateContainer,
    EnsureImage,
    FenceServer,
    SetDirectives,
    StartContainer,
    StopContainer,
    UpdateResources,
    WriteConfiguration,
    interrupts,
)
from cachepilot.plan.files import project
from cachepilot.plan.holding import Turn
from cachepilot.plan.planner import plan_tenant
from cachepilot.plan.server_config import render, wanted_directives
from cachepilot.spec.document import AccessMode, PersistenceMode, State
from cachepilot.spec.maintenance import Window
from cachepilot.spec.upgrade import UpgradeStrategy
from tests.builders import tenant
from tests.fakes.engine import content_of
from tests.fakes.scenes import RULES, look, plan, settle, settled
from tests.fakes.visits import Daemon
from tests.fakes.world import NOON, FakeWorld

# It is Thursday noon.
CLOSED = Window(cron="0 3 * * 0", duration=timedelta(hours=2), time_zone="Europe/Berlin")
OPEN = Window(cron="0 11 * * *", duration=timedelta(hours=2), time_zone="UTC")
MIB = 2**20
DISTURBING = {
    "image": {"image": "redis:8.2"},
    "access": {"access": AccessMode.DUAL_MODE},
    "pinned port": {"tls_port": 7444},
    "bind": {"bind": ("127.0.0.1", "127.0.0.2")},
    "databases": {"config": (("databases", "32"), ("hz", "2"))},
    "wish": {"restarted_at": "2026-01-01T11:00:00Z"},
}


def world_of(spec, **more):
    return settle(FakeWorld(images={"redis:8.0", "redis:8.2"}, **more), spec)


def disturbs(found):
    return any(map(interrupts, found.actions))


@pytest.mark.parametrize("what", DISTURBING)
def test_what_disturbs_waits_until_the_window_opens(what):
    before = tenant(window=CLOSED)
    wanted, world = replace(before, **DISTURBING[what]), world_of(tenant(window=CLOSED))
    found = plan(world, wanted)
    assert not found.actions
    assert found.held
    assert found.held.until == datetime(2026, 1, 4, 2, tzinfo=UTC)
    assert "2026-01-04 02:00Z (2026-01-04 03:00 Europe/Berlin)" in found.held.message
    assert any(map(interrupts, found.held.actions))

    world.now = found.held.until
    assert disturbs(plan(world, wanted))
    assert plan(settle(world, wanted), wanted).held is None


@pytest.mark.parametrize("what", DISTURBING)
def test_what_is_live_goes_through_at_once_and_the_files_fit_what_runs(what):
    before = tenant(window=CLOSED)
    world = world_of(before)
    wanted = replace(before, memory_max=512 * MIB, memory_limit=1024 * MIB, **DISTURBING[what])
    kinds = [type(action) for action in plan(world, wanted).actions]
    assert kinds == [WriteConfiguration, UpdateResources, SetDirectives]
    settle(world, wanted)
    live = replace(before, memory_max=512 * MIB)
    directives = wanted_directives(live, certificate=1, persistence=PersistenceMode.NONE)
    if what != "bind":  # another name stands in the certificate
        assert world.disk("acme").configuration == render(directives)
    assert world.containers["acme"].shape.image == "redis:8.0"


def test_a_listener_that_closes_stays_open_until_the_window():
    before = tenant(access=AccessMode.DUAL_MODE, window=CLOSED)
    world = world_of(before)
    wanted = replace(before, access=AccessMode.PLAIN_ONLY)
    assert plan(world, wanted).actions == ()
    assert plan(world, replace(wanted, access=AccessMode.TLS_ONLY)).actions == ()


def test_names_of_addresses_that_are_still_served_stay_in_the_certificate():
    before = tenant(bind=("127.0.0.1",), window=CLOSED)
    wanted = replace(before, bind=("127.0.0.2",), names=("127.0.0.2", "localhost"))
    world = world_of(before)
    held = plan(world, wanted).held
    assert held
    assert held.spec.names == ("127.0.0.1", "127.0.0.2", "localhost")
    settle(world, wanted)
    assert world.leaves["acme"][2].names == held.spec.names


@pytest.mark.parametrize("liveness", [Liveness.EXITED, Liveness.CREATED, Liveness.RESTARTING])
def test_a_server_that_is_down_is_repaired_with_all_that_waits(liveness):
    world = world_of(tenant(window=CLOSED))
    world.containers["acme"] = replace(world.containers["acme"], liveness=liveness)
    world.servers.pop("acme", None)
    found = plan(world, tenant(window=CLOSED, image="redis:8.2"))
    assert found.held is None
    assert CreateContainer in {type(action) for action in found.actions}


def test_a_birth_does_not_wait():
    found = plan(FakeWorld(), tenant(window=CLOSED))
    assert StartContainer in {type(action) for action in found.actions}


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
def test_an_end_that_is_written_down_does_not_wait(state):
    found = plan(world_of(tenant(window=CLOSED)), tenant(window=CLOSED, state=state))
    assert StopContainer in {type(action) for action in found.actions}


def test_nothing_waits_in_an_open_window_or_without_one():
    for window in (OPEN, None):
        found = plan(world_of(tenant(window=window)), tenant(window=window, image="redis:8.2"))
        assert found.held is None
        assert disturbs(found)


def test_what_takes_longer_than_the_rest_of_the_window_is_not_begun():
    brief = Window(cron="0 12 * * *", duration=timedelta(minutes=10), time_zone="UTC")
    before = tenant(window=brief)
    world = world_of(before)
    wanted, seen = replace(before, image="redis:8.2"), look(world, before)
    huge = replace(seen.server, used_memory=15_000 * MIB)  # five minutes at least
    wide = replace(seen, server=huge, image_exists=True)
    assert plan_tenant(wanted, wide, RULES, NOON).held is None
    assert plan_tenant(wanted, wide, RULES, NOON + timedelta(minutes=6)).held
    small = replace(seen, image_exists=True)
    assert plan_tenant(wanted, small, RULES, NOON + timedelta(minutes=6)).held is None
    assert plan_tenant(wanted, small, RULES, NOON + timedelta(minutes=10)).held


def test_a_person_can_say_now():
    before = tenant(window=CLOSED)
    world = world_of(before)
    wanted = replace(before, image="redis:8.2", open_until="2026-01-01T13:00:00+01:00")
    assert plan(world, wanted).held  # that was at noon, sharp
    assert disturbs(plan(world, replace(wanted, open_until="2026-01-01T13:00:00Z")))


def test_a_clock_that_jumps_is_taken_at_its_word():
    before = tenant(window=CLOSED)
    world, wanted = world_of(before), replace(before, image="redis:8.2")
    assert plan(world, wanted).held
    world.now = datetime(2031, 1, 5, 2, 30, tzinfo=UTC)
    assert disturbs(plan(world, wanted))
    world.now = datetime(2020, 1, 5, 12, tzinfo=UTC)
    held = plan(world, wanted).held
    assert held
    assert held.until == datetime(2020, 1, 12, 2, tzinfo=UTC)


def test_an_image_is_fetched_before_the_window_opens():
    world = settled(tenant(window=CLOSED))
    found = plan(world, tenant(window=CLOSED, image="redis:7.0", inherited=frozenset()))
    assert [type(action) for action in found.actions] == [EnsureImage]
    assert found.held
    assert EnsureImage not in {type(action) for action in found.held.actions}


def test_a_replacement_that_was_begun_is_finished():
    before = tenant(window=CLOSED)
    world, wanted = world_of(before), replace(before, tls_port=7444)
    memory = world.memories["acme"]
    moved = replace(memory.reservation, tls_port=7444)
    world.memories["acme"] = project(memory, moved, ())
    assert disturbs(plan(world, wanted))


def test_a_wish_that_waits_is_served_once():
    before = tenant(window=CLOSED)
    world = world_of(before)
    wanted = replace(before, restarted_at="2026-01-01T11:00:00Z")
    settle(world, wanted)
    assert world.memories["acme"].restarted_at is None
    world.now = datetime(2026, 1, 4, 2, tzinfo=UTC)
    assert StopContainer in {type(action) for action in plan(world, wanted).actions}
    settle(world, wanted)
    assert world.memories["acme"].restarted_at == wanted.restarted_at
    assert plan(world, wanted).actions == ()


def test_what_blocks_the_restart_is_told_while_it_waits():
    before = tenant(window=CLOSED)
    world = world_of(before)
    world.listening.add(7444)
    found = plan(world, replace(before, tls_port=7444, image="redis:8.2"))
    assert found.held
    assert found.blocked
    assert found.blocked.reason == "PortInUse"


# Turns -------------------------------------------------------------------------------------------

DEFAULTS = {
    name: change for name, change in DISTURBING.items() if name not in ("pinned port", "wish")
}


def inherits(**fields):
    return tenant(**fields, inherited=frozenset({"image", "access", "bind", "databases"}))


def planned(world, spec, turn):
    seen = look(world, spec)
    return plan_tenant(spec, seen, RULES, seen.at, turn=turn)


@pytest.mark.parametrize("what", DEFAULTS)
def test_a_new_default_waits_for_its_turn_and_what_is_live_does_not(what):
    world = world_of(inherits())
    wanted = replace(inherits(memory_max=512 * MIB, memory_limit=1024 * MIB), **DEFAULTS[what])
    found = planned(world, wanted, Turn.ANOTHERS)
    kinds = [type(action) for action in found.actions]
    assert kinds == [WriteConfiguration, UpdateResources, SetDirectives]
    assert found.held
    assert (found.held.reason, found.held.until) == ("WaitingForTurn", None)
    assert any(map(interrupts, found.held.actions))
    assert disturbs(planned(world, wanted, Turn.ITS_OWN))


@pytest.mark.parametrize("what", DEFAULTS)
def test_what_a_document_says_itself_waits_for_nobody(what):
    world = world_of(tenant(inherited=frozenset()))
    wanted = replace(tenant(inherited=frozenset()), **DEFAULTS[what])
    for turn in Turn:
        assert str(planned(world, wanted, turn)) == str(planned(world, wanted, Turn.ITS_OWN))


def test_a_restart_of_its_own_keeps_the_default_that_is_served():
    world = world_of(inherits())
    wanted = inherits(image="valkey:8.1", restarted_at="2026-01-01T11:00:00Z")
    found = planned(world, wanted, Turn.ANOTHERS)
    made = [each for each in found.actions if isinstance(each, CreateContainer)]
    assert StopContainer in {type(action) for action in found.actions}
    assert [each.workload.shape.image for each in made] == ["redis:8.0"]
    assert found.held


@pytest.mark.parametrize(
    ("turn", "image"), [(Turn.ANOTHERS, "valkey:8.1"), (Turn.NOBODYS, "redis:8.0")]
)
def test_a_server_that_is_down_takes_new_defaults_unless_they_did_harm(turn, image):
    world = world_of(inherits())
    world.kill("acme")
    found = planned(world, inherits(image="valkey:8.1"), turn)
    made = [each for each in found.actions if isinstance(each, CreateContainer)]
    assert [each.workload.shape.image for each in made] == ([image] if made else [])
    assert bool(made) is (image == "valkey:8.1")
    assert StartContainer in {type(action) for action in found.actions}


def test_a_birth_takes_the_defaults_whoevers_turn_it_is():
    for turn in Turn:
        found = planned(FakeWorld(), inherits(), turn)
        assert found.held is None
        assert StartContainer in {type(action) for action in found.actions}


def test_a_closed_window_comes_before_the_turn():
    world = world_of(inherits(window=CLOSED))
    found = planned(world, inherits(window=CLOSED, image="valkey:8.1"), Turn.ANOTHERS)
    assert found.held
    assert found.held.reason == "WaitingForWindow"


def test_a_wish_of_its_own_waits_for_the_window_although_a_new_default_is_blocked():
    world = world_of(inherits(window=CLOSED))
    world.listening.add(world.memory("acme").reservation.tls_port)
    wanted = inherits(
        window=CLOSED,
        bind=("127.0.0.1", "127.0.0.2"),
        restarted_at="2026-01-01T11:00:00Z",
    )
    for turn in (Turn.ANOTHERS, Turn.NOBODYS):
        found = planned(world, wanted, turn)
        assert not disturbs(found)
        assert found.held
        assert found.held.reason == "WaitingForWindow"


@pytest.mark.parametrize("wish", [{}, {"image": "redis:8.2"}])
def test_a_hand_over_that_nothing_undoes_does_not_begin_in_a_closed_window(wish):
    spec = tenant(window=CLOSED, strategy=UpgradeStrategy.HANDOVER)
    world = world_of(spec)
    seen = world.containers["acme"]
    world.containers["acme"] = replace(seen, shape=replace(seen.shape, pids=7))
    found = plan(world, replace(spec, **wish))
    assert not {FenceServer, StopContainer} & {type(action) for action in found.actions}
    assert found.held
    assert found.held.reason == "WaitingForWindow"


@pytest.mark.parametrize("away", [timedelta(seconds=45), timedelta(hours=5)])
@pytest.mark.parametrize("cut", range(3, 13))
def test_a_hand_over_that_is_left_alone_until_the_window_is_closed_waits_for_the_next(away, cut):
    spec = tenant(window=OPEN, strategy=UpgradeStrategy.HANDOVER)
    world, wanted = world_of(spec), replace(spec, image="redis:8.2")
    world.write("acme", 7)
    world.now = NOON + timedelta(minutes=59, seconds=30)
    daemon = Daemon(world)
    assert daemon.visit(wanted, RULES, cut=cut) is None
    assert world.memory("acme").hand_over.phase is HandOverPhase.PREPARING

    world.now += away
    result = daemon.visit(wanted, RULES)

    waits = away > timedelta(minutes=1)
    assert world.containers["acme"].shape.image == ("redis:8.0" if waits else "redis:8.2")
    assert world.servers["acme"].data == 7
    assert "acme.successor" not in world.containers
    assert world.memory("acme").hand_over is None
    reasons = {each.reason for each in result.status.conditions}
    assert ("WaitingForWindow" in reasons) is waits


@pytest.mark.parametrize("turn", Turn)
def test_an_image_that_cannot_load_the_data_holds_no_restart_up_that_it_is_not_meant_for(turn):
    world, older = world_of(inherits()), "redis:7.2"
    world.images.add(older)
    world.memories["acme"] = replace(
        world.memory("acme"),
        learned=LearnedImage(image_id=content_of(older), engine="redis", version="7.2"),
    )
    seen = world.containers["acme"]
    world.containers["acme"] = replace(seen, shape=replace(seen.shape, pids=7))

    found = planned(world, inherits(image=older), turn)

    is_meant = turn is Turn.ITS_OWN
    assert disturbs(found) is not is_meant
    assert (found.blocked.reason if found.blocked else "") == ("DataTooNew" if is_meant else "")


def test_a_default_image_that_nobody_has_is_no_tenants_business_before_its_turn():
    for window in (None, CLOSED):
        world = world_of(inherits(window=window))
        found = planned(world, inherits(window=window, image="redis:none"), Turn.ANOTHERS)
        assert (found.actions, found.blocked) == ((), None)
