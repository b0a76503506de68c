"""A server that fails to take the place of another leaves it, its image and its data as before."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.observe.replacement import HeldBack
from cachepilot.observe.snapshot import Liveness
from cachepilot.plan.held_back import keep, target_of
from cachepilot.spec.document import AccessMode, PersistenceMode, State
from cachepilot.spec.upgrade import UpgradeStrategy
from tests.builders import tenant
from tests.fakes.engine import FakeContainerWriter, content_of
from tests.fakes.eventful import EventfulWorld
from tests.fakes.scenes import look, plan
from tests.fakes.visits import Daemon
from tests.fakes.world import FakeWorld
from tests.properties.test_convergence import RULES, complaints, visit

GOOD, NEXT, FAULTY = "redis:7.2", "redis:8.0", "redis:9.0"
WISH = "2026-03-01T12:00:00Z"
BOXED = {"strategy": UpgradeStrategy.HANDOVER}
FAILED = HeldBack(target="", image_id="", kept=None, reason="UpgradeFailed", message="no")
cuts = st.integers(0, 45)
modes = st.sampled_from(PersistenceMode)
faults = st.sampled_from(["broken", "lying"])
specs = st.builds(
    lambda **fields: tenant("acme", image=GOOD, **fields),
    persistence=modes,
    access=st.sampled_from(AccessMode),
    restarted_at=st.sampled_from([None, WISH]),
)
changes = st.sampled_from(
    [{}, {"tls_port": 7400}, {"bind": ("127.0.0.1", "127.0.0.2")}, {"restarted_at": "2026-03-02"}]
)
extras = changes | st.just(BOXED)


def new_world(fault):
    world = FakeWorld(images={GOOD, NEXT, FAULTY})
    getattr(world, fault).add(FAULTY)
    return world


def reason_of(world, spec):
    blocked = plan(world, spec).blocked
    return blocked.reason if blocked else ""


@settings(max_examples=150, deadline=None)
@given(specs, changes, faults, cuts, cuts)
def test_another_bad_image_in_the_middle_of_a_return_does_not_open_the_only_copy(
    before, more, fault, cut, later
):
    world, worse = new_world(fault), "redis:9.1"
    world.images.add(worse)
    world.lying.add(worse)
    visit(world, before)
    world.write("acme", 7)

    visit(world, replace(before, image=FAULTY, **more), cut=cut)
    other = replace(before, image=worse, **more)
    visit(world, other, cut=later)
    visit(world, other)

    assert reason_of(world, other) == "DataDiffers"
    assert world.servers["acme"].data == 7
    assert world.containers["acme"].shape.image == GOOD


@settings(max_examples=150, deadline=None)
@given(specs, st.sampled_from([GOOD, FAULTY]), faults, st.booleans())
def test_the_server_before_comes_back_where_the_author_wants_it_by_now(before, image, fault, made):
    world = died_behind_a_return(before, fault, made=made)
    held = world.memory("acme").reservation
    world.listening |= {held.tls_port, held.plain_port} - {None}
    ports = {
        "tls_port": 7466 if before.access.has_tls else None,
        "plain_port": 7766 if before.access.has_plain else None,
    }

    after = replace(before, image=image, **ports)
    for _ in range(3):
        visit(world, after)

    assert world.servers["acme"].data == 7
    assert world.containers["acme"].shape.image == GOOD
    assert {at.host_port for at in world.containers["acme"].shape.published} == {
        port for port in ports.values() if port
    }


def died_behind_a_return(before, fault, *, made):
    """Return the world of a daemon that died before the server before ran again."""
    for cut in range(60):
        world = new_world(fault)
        visit(world, before)
        world.write("acme", 7)
        visit(world, replace(before, image=FAULTY), cut=cut)
        container = world.containers.get("acme")
        is_made = bool(container) and container.liveness is Liveness.CREATED
        if world.memory("acme").held_back and is_made is made and (made or not container):
            return world
    raise AssertionError("it never dies there")


@settings(max_examples=150, deadline=None)
@given(specs, faults)
def test_a_failure_is_that_of_what_was_asked_for_and_not_of_what_was_possible(before, fault):
    world = new_world(fault)
    world.foreign.add("192.0.2.1")
    visit(world, before)
    world.write("acme", 7)
    after = replace(before, image=FAULTY, bind=("127.0.0.1", "192.0.2.1"))

    visit(world, after)
    starts = world.starts
    visit(world, after)

    assert world.starts == starts
    assert world.servers["acme"].data == 7
    assert world.containers["acme"].shape.image == GOOD
    assert world.memory("acme").held_back is not None


@settings(max_examples=150, deadline=None)
@given(specs, extras, faults, cuts, st.integers(1, 1000))
def test_whatever_is_cut_the_former_server_serves_again_with_all_its_data(
    before, more, fault, cut, data
):
    world = new_world(fault)
    visit(world, before)
    world.write("acme", data)
    after = replace(before, image=FAULTY, **more)

    visit(world, after, cut=cut)
    visit(world, after)

    assert world.servers["acme"].data == data
    assert not world.servers["acme"].writes_paused
    assert world.write("acme", data)
    asked = {"restarted_at": world.memory("acme").restarted_at}
    assert complaints(world, replace(before, **asked)) == []
    assert reason_of(world, after) == ("UpgradeFailed" if fault == "broken" else "DataDiffers")


def fill_the_disk(world):
    for disk in world.disks.values():
        disk.writable = False


@pytest.mark.parametrize("mode", PersistenceMode)
@pytest.mark.parametrize(("fills", "lingers"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("when", range(1, 40))
def test_whatever_happens_in_the_middle_of_a_restart_no_acknowledged_write_is_lost(
    mode, fills, lingers, when
):
    """The disk fills up, or the visit takes longer than the pause; clients never stop writing."""
    world, acknowledged = EventfulWorld(images={GOOD, NEXT}), 7
    before = tenant("acme", image=GOOD, persistence=mode)
    visit(world, before)
    world.write("acme", 7)

    def happen(world):
        nonlocal acknowledged
        if fills:
            fill_the_disk(world)
        if lingers:
            world.end_pauses()
        if world.write("acme", 8):
            acknowledged = 8

    world.events[world.effects + when] = happen
    after = replace(before, image=NEXT)
    visit(world, after)
    if world.is_answering("acme"):
        assert world.write("acme", 9)
        acknowledged = 9
    for disk in world.disks.values():
        disk.writable = True
    for _ in range(3):
        visit(world, after)

    assert world.servers["acme"].data == acknowledged
    assert complaints(world, after) == []


@pytest.mark.parametrize("mode", [PersistenceMode.NONE, PersistenceMode.RDB])
@pytest.mark.parametrize("when", range(1, 40))
def test_a_note_is_forgotten_with_the_stop_that_did_not_come(when, mode):
    """And what was told to end may do so later, with all that it has taken by then."""
    world = EventfulWorld(images={GOOD, NEXT})
    before = tenant("acme", image=GOOD, persistence=mode)
    visit(world, before)
    world.write("acme", 7)
    after = replace(before, image=NEXT)
    world.events[world.effects + when] = fill_the_disk
    visit(world, after)
    for disk in world.disks.values():
        disk.writable = True
    acknowledged = 8 if world.write("acme", 8) else 7
    if world.is_answering("acme") and world.servers["acme"].saves_at_its_end:
        world.shut_down("acme")
    for _ in range(3):
        visit(world, after)

    assert world.servers["acme"].data == acknowledged
    assert complaints(world, after) == []


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
@pytest.mark.parametrize("mode", PersistenceMode)
@pytest.mark.parametrize("when", range(1, 12))
def test_a_stop_that_takes_longer_than_its_pause_loses_nothing(when, mode, state):
    world, acknowledged = EventfulWorld(images={GOOD}), 7
    spec = tenant("acme", image=GOOD, persistence=mode)
    visit(world, spec)
    world.write("acme", 7)

    def linger(world):
        nonlocal acknowledged
        world.end_pauses()
        if world.write("acme", 8):
            acknowledged = 8

    world.events[world.effects + when] = linger
    ended = replace(spec, state=state)
    for _ in range(3):
        visit(world, ended)
    assert "acme" not in world.servers
    for _ in range(3):
        visit(world, spec)

    assert world.servers["acme"].data == acknowledged


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
@pytest.mark.parametrize("mode", PersistenceMode)
@pytest.mark.parametrize("cut", range(1, 30))
def test_a_tenant_in_the_middle_of_a_restart_can_be_stopped_an_hour_later(cut, mode, state):
    world, before = new_world("broken"), tenant("acme", image=GOOD, persistence=mode)
    visit(world, before)
    world.write("acme", 7)
    after = replace(before, image=NEXT)
    visit(world, after, cut=cut)
    world.end_pauses()

    for _ in range(3):
        visit(world, replace(after, state=state))
    assert not any(each.liveness is Liveness.RUNNING for each in world.containers.values())
    for _ in range(3):
        visit(world, after)

    assert world.servers["acme"].data == 7
    assert complaints(world, after) == []


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
def test_a_server_that_cannot_be_asked_is_not_killed_before_it_has_saved(state):
    spec = tenant("acme", image=GOOD, persistence=PersistenceMode.RDB)
    world = FakeWorld(images={GOOD})
    visit(world, spec)
    world.write("acme", 7)
    world.servers["acme"].crowded = True
    world.kept.clear()
    fill_the_disk(world)

    visit(world, replace(spec, state=state))
    assert world.is_answering("acme")
    assert world.servers["acme"].data == 7

    for disk in world.disks.values():
        disk.writable = True
    for wanted in (replace(spec, state=state), spec, spec):
        visit(world, wanted)
    assert world.servers["acme"].data == 7


@pytest.mark.parametrize("cut", range(1, 40))
def test_whoever_leaves_a_sandbox_that_crashes_is_not_put_back_into_it(cut):
    world, before = FakeWorld(images={GOOD}), tenant("acme", image=GOOD, **BOXED)
    visit(world, before)
    after = replace(before, strategy=UpgradeStrategy.RESTART)
    visit(world, after, cut=cut)
    if "acme.sandbox" in world.containers:
        world.end("acme.sandbox", exit_code=1, liveness=Liveness.RESTARTING)

    for _ in range(3):
        visit(world, after)

    assert complaints(world, after) == []
    assert world.memory("acme").held_back is None


@pytest.mark.parametrize("mode", [PersistenceMode.NONE, PersistenceMode.RDB])
@pytest.mark.parametrize("when", range(1, 14))
def test_a_log_that_cannot_be_completed_is_given_up_until_the_next_try(when, mode):
    """Or else the server would try for ever, and refuse writes as soon as it cannot log one."""
    world, before = (
        EventfulWorld(images={GOOD, NEXT}),
        tenant("acme", image=GOOD, persistence=mode),
    )
    visit(world, before)
    world.write("acme", 7)
    after = replace(before, image=NEXT)
    world.events[world.effects + when] = fill_the_disk
    visit(world, after)

    server = world.servers["acme"]
    if server.instance == 1 and world.memory("acme").persistence is mode:
        assert server.directives["appendonly"] == "no"
        assert reason_of(world, after) == ""
    assert world.write("acme", 8)
    for disk in world.disks.values():
        disk.writable = True
    for _ in range(3):
        visit(world, after)

    assert world.servers["acme"].data == 8
    assert complaints(world, after) == []


@pytest.mark.parametrize("mode", [PersistenceMode.NONE, PersistenceMode.RDB])
@pytest.mark.parametrize("cut", range(1, 40))
def test_data_from_before_a_crash_that_lost_it_never_comes_back(cut, mode):
    """On the way back to its own mode, behind a restart."""
    before, others = tenant("acme", image=GOOD, persistence=mode), range(1, 12)
    for again in others:
        world = FakeWorld(images={GOOD, NEXT})
        visit(world, before)
        world.write("acme", 7)
        after = replace(before, image=NEXT)
        visit(world, after, cut=cut)
        if "acme" not in world.servers:
            return
        world.kill("acme")
        world.boot("acme")
        if world.servers["acme"].data == 7:
            return
        world.write("acme", 9)
        visit(world, after, cut=again)
        if "acme" in world.servers:
            world.kill("acme")
            world.boot("acme")
            assert world.servers["acme"].data != 7


@pytest.mark.parametrize("when", range(1, 40))
def test_a_sandbox_that_somebody_ends_once_is_no_failure_of_the_move_into_it(when):
    world, before = EventfulWorld(images={GOOD}), tenant("acme", image=GOOD)
    visit(world, before)
    world.write("acme", 7)
    after = replace(before, **BOXED)

    def end_it_once(world):
        if "acme.sandbox" in world.containers:
            world.end("acme.sandbox", exit_code=137, liveness=Liveness.RESTARTING)

    world.events[world.effects + when] = end_it_once
    for _ in range(4):
        visit(world, after)

    assert world.memory("acme").held_back is None
    assert world.servers["acme"].data == 7
    assert complaints(world, after) == []


@pytest.mark.parametrize("mode", [PersistenceMode.NONE, PersistenceMode.RDB])
@pytest.mark.parametrize("cut", range(1, 20))
def test_a_wish_that_is_withdrawn_leaves_the_mode_and_the_room_as_they_were(cut, mode):
    world, spec = FakeWorld(images={GOOD}), tenant("acme", image=GOOD, persistence=mode)
    visit(world, spec)
    world.write("acme", 7)
    room = world.containers["acme"].resources

    visit(world, replace(spec, restarted_at=WISH), cut=cut)
    for _ in range(3):
        visit(world, spec)

    memory = world.memory("acme")
    assert (memory.persistence, world.disk("acme", memory.instance).append_only) == (mode, None)
    assert world.servers["acme"].data == 7
    assert world.containers["acme"].resources == room
    assert complaints(world, spec) == []


@pytest.mark.parametrize("when", range(2, 40))
def test_a_server_that_somebody_kills_behind_its_note_is_replaced_by_what_it_saved(when):
    """Of what a snapshot's mode never promised, no comparison can be made."""
    world, mode = EventfulWorld(images={GOOD, NEXT}), PersistenceMode.RDB
    before = tenant("acme", image=GOOD, persistence=mode)
    visit(world, before)
    world.write("acme", 7)
    world.disk("acme").dump = 7
    after = replace(before, image=NEXT)
    world.events[world.effects + when - 1] = lambda world: world.write("acme", 8)
    world.events[world.effects + when] = kill_the_server
    for _ in range(3):
        visit(world, after)

    assert world.servers["acme"].data in (7, 8)
    assert complaints(world, after) == []


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("cut", [None, *range(1, 45)])
def test_a_sandbox_that_cannot_be_started_is_left_again(boxed, cut):
    """Whether a tenant moves into it, or its ports move inside one."""
    before = tenant("acme", image=GOOD, **(BOXED if boxed else {}))
    after = replace(before, tls_port=7466, **BOXED)
    world, sandbox = EventfulWorld(images={GOOD}), "acme.sandbox"
    visit(world, before)
    world.write("acme", 7)

    def take_the_port(world):
        wants = {7466} & {at.host_port for at in new_sandbox(world)}
        world.listening |= wants

    def new_sandbox(world):
        found = world.containers.get(sandbox)
        return found.shape.published if found and found.liveness is Liveness.CREATED else ()

    for when in range(1, 100):
        world.events[world.effects + when] = take_the_port
    visit(world, after, cut=cut)
    for _ in range(4):
        visit(world, after)

    assert world.servers["acme"].data == 7
    assert reason_of(world, after) == "RestartFailed"
    ports = {at.host_port for at in world.containers[sandbox if boxed else "acme"].shape.published}
    assert 7466 not in ports
    assert (sandbox in world.containers) is boxed


def kill_the_server(world):
    if "acme" in world.servers:
        world.kill("acme")


def test_what_content_lost_the_data_is_remembered_so_that_another_is_tried():
    world, before = new_world("lying"), tenant("acme", image=GOOD)
    visit(world, before)
    world.write("acme", 7)
    visit(world, replace(before, image=FAULTY))

    held = world.memory("acme").held_back

    assert held.reason == "DataDiffers"
    assert held.image_id == content_of(FAULTY)


@settings(max_examples=100, deadline=None)
@given(specs, faults, cuts)
def test_what_failed_is_not_tried_again_and_the_rest_goes_on(before, fault, cut):
    world = new_world(fault)
    visit(world, before)
    world.write("acme", 5)
    after = replace(before, image=FAULTY)
    visit(world, after, cut=cut)
    visit(world, after)
    starts = world.starts

    changed = replace(after, memory_max=2 * before.memory_max, memory_limit=2**32)
    visit(world, changed)
    visit(world, changed)

    assert world.starts == starts
    assert world.servers["acme"].directives["maxmemory"] == str(changed.memory_max)
    assert plan(world, changed).actions == ()

    last = replace(changed, image=NEXT)
    visit(world, last)
    assert complaints(world, last) == []
    assert world.servers["acme"].data == 5
    assert world.memory("acme").held_back is None


@settings(max_examples=100, deadline=None)
@given(specs, faults, cuts, st.booleans())
def test_a_restart_of_the_server_before_is_no_reason_to_try_the_change_again(
    before, fault, cut, good
):
    """Somebody's hand makes it necessary, and it may fail itself."""
    world = new_world(fault)
    visit(world, before)
    world.write("acme", 5)
    after = replace(before, image=FAULTY)
    visit(world, after)
    failed, container = world.memory("acme").held_back, world.containers["acme"]
    world.containers["acme"] = replace(container, shape=replace(container.shape, pids=7))
    if not good:
        world.broken.add(GOOD)
    made, create = [], FakeContainerWriter.create

    def note(writer, name, workload, **given):
        made.append(workload.shape.image)
        create(writer, name, workload, **given)

    with patch.object(FakeContainerWriter, "create", note):
        visit(world, after, cut=cut)
        visit(world, after)
        world.broken.discard(GOOD)
        visit(world, after)
        visit(world, after)

    assert FAULTY not in made
    assert world.containers["acme"].shape.image == GOOD
    assert world.containers["acme"].shape.pids != 7
    assert world.servers["acme"].data == 5
    held, blocked = world.memory("acme").held_back, plan(world, after).blocked
    assert blocked.message == held.message
    assert held.target == failed.target


@settings(max_examples=50, deadline=None)
@given(specs, st.booleans())
def test_what_failed_in_a_sandbox_is_known_from_an_older_record(before, boxed):
    """It knew neither that a tenant was in a sandbox, nor that its failure was one there."""
    before = replace(before, **BOXED) if boxed else before
    world, after = new_world("broken"), replace(before, image=FAULTY)
    visit(world, before)
    world.write("acme", 5)
    visit(world, after)
    memory = world.memory("acme")
    older = replace(
        memory.held_back or FAILED,
        target=target_of(replace(after, strategy=UpgradeStrategy.RESTART)),
        kept=replace(keep(after, look(world, after), world.containers["acme"]), boxed=None),
    )
    world.memories["acme"] = replace(memory, held_back=older)
    starts = world.starts

    visit(world, after)
    assert world.starts == starts
    assert world.servers["acme"].data == 5
    assert plan(world, after).blocked.message == older.message

    last = replace(after, image=NEXT)
    visit(world, last)
    assert complaints(world, last) == []
    assert world.memory("acme").held_back is None


@settings(max_examples=100, deadline=None)
@given(modes, faults, cuts)
def test_a_wish_tries_once_more(mode, fault, cut):
    world, before = new_world(fault), tenant("acme", image=GOOD, persistence=mode)
    visit(world, before)
    world.write("acme", 5)
    after = replace(before, image=FAULTY)
    visit(world, after, cut=cut)
    visit(world, after)
    getattr(world, fault).clear()
    visit(world, after)
    assert world.containers["acme"].shape.image == GOOD

    again = replace(after, restarted_at=WISH)
    visit(world, again)

    assert complaints(world, again) == []
    assert world.servers["acme"].data == 5


@settings(max_examples=100, deadline=None)
@given(specs, cuts, st.booleans(), st.booleans())
def test_a_host_that_boots_in_the_middle_loses_nothing_that_was_kept(before, cut, faulty, again):
    """Docker starts what ran, each with the files it has; memory-only tenants may be empty."""
    world = new_world("broken")
    visit(world, before)
    world.write("acme", 5)
    after = replace(before, image=FAULTY if faulty else NEXT)
    visit(world, after, cut=cut)
    if world.servers:
        world.kill("acme")
        world.boot("acme")
        if again and world.servers:
            world.write("acme", 6)
    held = world.servers["acme"].data if world.servers else None
    kept = before.persistence is PersistenceMode.AOF

    visit(world, after)

    assert world.containers["acme"].liveness is Liveness.RUNNING
    found = world.servers["acme"].data
    assert found == held or held is None
    assert found in (5, 6) or not kept


@pytest.mark.parametrize("image", [GOOD, "valkey:8.1"])
def test_data_that_an_image_cannot_load_stops_nothing(image):
    world = FakeWorld(images={"redis:8.0", image})
    spec = tenant("acme", image="redis:8.0")
    visit(world, spec)
    world.write("acme", 5)
    starts = world.starts
    after = replace(spec, image=image, cpus=0.5)

    visit(world, after)
    visit(world, after)

    assert reason_of(world, after) == "DataTooNew"
    assert world.starts == starts
    assert world.containers["acme"].resources.cpu_quota == 50_000


def test_a_failure_is_said_with_the_last_words_of_the_server():
    world, daemon = new_world("broken"), None
    spec = tenant("acme", image=GOOD)
    daemon = Daemon(world)
    daemon.visit(spec, RULES)

    daemon.visit(replace(spec, image=FAULTY), RULES)

    stalled = next(c for c in daemon.board.last.conditions if c.type == "Stalled")
    assert stalled.reason == "UpgradeFailed"
    assert "Fatal error loading the DB" in stalled.message
