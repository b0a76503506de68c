"""What must never happen, whatever is seen and whatever is asked for."""

from __future__ import annotations

import copy
import functools
import itertools
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.apply.executor import perform
from cachepilot.apply.outcome import Done
from cachepilot.observe.snapshot import (
    Liveness,
    SeenAuthority,
    SeenServer,
    Snapshot,
    Unknown,
    Unreachable,
)
from cachepilot.plan import actions as a
from cachepilot.plan.actions import Disruption, Plan, describe
from cachepilot.plan.planner import plan_tenant
from cachepilot.spec.document import AccessMode, MemoryPolicy, PersistenceMode, State
from cachepilot.spec.rules import DriftMode, Rules
from tests.builders import tenant
from tests.fakes.scenes import look, settle
from tests.fakes.world import FakeWorld
from tests.fakes.writers import writers_of

MIB = 2**20
CONTAINER_ACTIONS = a.ContainerAction
BIRTHS = a.CreateContainer | a.StartContainer | a.RestartContainer
CANARY = "Canary0Canary0Canary0Canary0Cana"

specs = st.builds(
    lambda **fields: tenant("acme", **fields),
    state=st.sampled_from([*[State.RUNNING] * 4, *State]),
    paused=st.sampled_from([False, False, False, True]),
    image=st.sampled_from(["redis:8.0", "valkey:8.1"]),
    memory_max=st.sampled_from([1 * MIB, 64 * MIB, 256 * MIB]),
    memory_limit=st.sampled_from([128 * MIB, 512 * MIB]),
    memory_policy=st.sampled_from([MemoryPolicy.NOEVICTION, MemoryPolicy.ALLKEYS_LRU]),
    cpus=st.sampled_from([None, 0.5]),
    persistence=st.sampled_from(PersistenceMode),
    access=st.sampled_from(AccessMode),
    bind=st.sampled_from([("127.0.0.1",), ("127.0.0.1", "127.0.0.2"), ("192.0.2.7",)]),
    tls_port=st.sampled_from([None, 7400]),
    password_file=st.sampled_from([None, "/passwords/acme"]),
    restarted_at=st.sampled_from([None, "2026-01-01T00:00:00Z"]),
)
rules = st.builds(Rules, drift=st.sampled_from(DriftMode))


# Trouble is rarer than health, or else one trouble hides all that comes behind it.
MOSTLY = st.sampled_from([True, True, True, True, False])
EARLIER = (
    None,
    *(
        tenant("acme", persistence=mode, access=access, memory_policy=policy)
        for mode, access, policy in itertools.product(
            PersistenceMode, AccessMode, (MemoryPolicy.NOEVICTION, MemoryPolicy.ALLKEYS_LRU)
        )
    ),
    tenant("acme", password_file="/passwords/acme", tls_port=7401),
    tenant("acme", state=State.STOPPED),
    tenant("acme", state=State.DELETED, cpus=0.5),
)


@functools.cache
def quiet_sight(before, has_neighbour) -> Snapshot:
    """Return what is seen after *before* was served and nothing else happened."""
    world = FakeWorld(images={"redis:8.0", "valkey:8.1"})
    world.password_files["/passwords/acme"] = CANARY
    if has_neighbour:
        settle(world, tenant("other", tls_port=7400))
    if before:
        settle(world, before)
    return look(world, before or tenant("acme"))


@st.composite
def snapshots(draw) -> Snapshot:
    """Return what may be seen of a tenant that served another spec, after anything happened."""
    seen = quiet_sight(draw(st.sampled_from(EARLIER)), draw(st.booleans()))
    host = replace(seen.host, foreign_addresses=draw(st.sampled_from([(), ("192.0.2.7",)])))
    seen = replace(seen, host=host)
    container = seen.containers[0] if seen.containers else None
    changes = {}
    if container:
        liveness = draw(st.sampled_from([*[Liveness.RUNNING] * 8, *Liveness]))
        changes["containers"] = (replace(container, liveness=liveness),)
        if liveness is not Liveness.RUNNING:
            changes |= {"server": None, "endpoints": ()}
    if draw(st.integers(0, 4)) == 0:
        changes["containers"] = Unknown("cannot reach Docker")
    if isinstance(seen.server, SeenServer) and "server" not in changes:
        answers = (
            seen.server,
            replace(seen.server, used_memory=300 * MIB, resident_memory=400 * MIB),
            replace(seen.server, loading=True),
            replace(seen.server, directives=(("maxmemory", "0"),), users=()),
            Unreachable("no answer"),
            Unreachable("max number of clients reached", saturated=True),
            Unreachable("BUSY it runs a script", busy=True),
            Unreachable("Timeout reading from socket", silent=True),
        )
        changes["server"] = draw(st.sampled_from(answers))
    files = replace(
        seen.files,
        data_marker=draw(MOSTLY),
        folders_ready=draw(MOSTLY),
        has_dump=draw(st.booleans()),
        has_append_only=draw(st.booleans()),
        configuration=draw(st.sampled_from([seen.files.configuration, None, "another"])),
        users=draw(st.sampled_from([seen.files.users, None, "user default on nopass\n"])),
    )
    memory = replace(
        seen.memory,
        load_once=draw(st.booleans()),
        retired=draw(MOSTLY) is False,
        wait=draw(st.sampled_from([None, None, (0, seen.at), (7, seen.at)])),
        restarted_at=draw(st.sampled_from([None, "2026-01-01T00:00:00Z"])),
    )
    certificate = draw(st.sampled_from([seen.certificate, None]))
    if draw(st.integers(0, 3)) == 0:
        broken = SeenAuthority(exists=False, problem="its key is missing; put it back")
        changes["host"] = replace(seen.host, authority=broken)
    return replace(seen, files=files, memory=memory, certificate=certificate, **changes)


def plan(spec, seen, under, ahead=0):
    return plan_tenant(spec, seen, under, seen.at + timedelta(days=ahead))


days = st.sampled_from([0, 61, 200])
anything = settings(max_examples=200, deadline=None)


@anything
@given(specs, snapshots(), rules)
def test_a_paused_tenant_gets_no_action(spec, seen, under):
    assert plan(replace(spec, paused=True), seen, under) == Plan()


@anything
@given(specs, snapshots(), rules, days)
def test_an_engine_that_is_silent_never_leads_to_any_action(spec, seen, under, ahead):
    blind = replace(seen, containers=Unknown("cannot reach Docker"))

    found = plan(spec, blind, under, ahead)

    assert not any(isinstance(action, CONTAINER_ACTIONS) for action in found.actions)
    assert spec.paused or found.blocked is not None


@anything
@given(specs, snapshots(), rules, days)
def test_no_plan_touches_another_tenant_or_a_container_that_was_not_seen(spec, seen, under, ahead):
    found = plan(spec, seen, under, ahead)

    known = set()
    if not isinstance(seen.containers, Unknown):
        known = {container.container_id for container in seen.containers}
    for action in found.actions:
        assert action.tenant_name == spec.name
        assert getattr(action, "container_id", None) in {None, *known}
    held = {port for port, owner in seen.host.owned_ports if owner != spec.name}
    for action in found.actions:
        if isinstance(action, a.Reserve):
            assert not {action.reservation.tls_port, action.reservation.plain_port} & held


@anything
@given(specs, snapshots(), rules, days)
def test_nothing_is_started_on_data_that_is_missing(spec, seen, under, ahead):
    lost = replace(
        seen,
        memory=replace(seen.memory, data_ready=True),
        files=replace(seen.files, data_marker=False),
    )

    found = plan(spec, lost, under, ahead)

    assert not any(isinstance(action, BIRTHS) for action in found.actions)
    assert not any(isinstance(action, a.PrepareFolders) for action in found.actions)


@anything
@given(specs, snapshots(), rules, days)
def test_planning_is_deterministic_and_leaves_its_inputs_alone(spec, seen, under, ahead):
    before = copy.deepcopy((spec, seen)), repr((spec, seen, under))

    first, again = plan(spec, seen, under, ahead), plan(spec, seen, under, ahead)

    assert first == again
    assert before == ((spec, seen), repr((spec, seen, under)))


@anything
@given(specs, snapshots(), rules, days)
def test_a_plan_is_as_disruptive_as_its_worst_action_and_risks_data_only_at_its_word(
    spec, seen, under, ahead
):
    found = plan(spec, seen, under, ahead)

    order = list(Disruption)
    worst = max((order.index(action.disruption) for action in found.actions), default=0)
    assert order.index(found.disruption) == worst
    if found.disruption is Disruption.DATA_RISK:
        generation, until = seen.memory.wait
        assert not spec.serves
        assert not seen.memory.retired
        assert generation == seen.memory.generation
        assert until <= seen.at + timedelta(days=ahead)
        assert isinstance(seen.server, Unreachable)


@anything
@given(specs, snapshots(), rules, days)
def test_there_is_at_most_one_container_at_any_moment(spec, seen, under, ahead):
    there = 0 if isinstance(seen.containers, Unknown) else len(seen.containers)
    for action in plan(spec, seen, under, ahead).actions:
        there += isinstance(action, a.CreateContainer)
        there -= isinstance(action, a.RemoveContainer)
        assert 0 <= there <= 1


@anything
@given(specs, snapshots(), rules, days)
def test_a_running_server_is_stopped_before_its_container_is_removed(spec, seen, under, ahead):
    stopped = False
    alive = (Liveness.RUNNING, Liveness.PAUSED, Liveness.RESTARTING)
    for action in plan(spec, seen, under, ahead).actions:
        stopped |= isinstance(action, a.StopContainer)
        if isinstance(action, a.RemoveContainer):
            assert stopped or seen.containers[0].liveness not in alive


@anything
@given(specs, snapshots(), rules, days)
def test_a_planned_stop_of_a_server_that_goes_on_comes_behind_a_complete_log_of_its_writes(
    spec, seen, under, ahead
):
    found = plan(spec, seen, under, ahead).actions
    stops = (a.StopContainer, a.RestartContainer)
    at = next((n for n, action in enumerate(found) if isinstance(action, stops)), None)
    answers = isinstance(seen.server, SeenServer) and not seen.server.loading
    if at is None or not answers or not spec.serves or seen.memory.on_trial:
        return

    before = found[:at]
    assert isinstance(before[-1], a.NoteData)
    said = [type(action) for action in before]
    log = a.AwaitRewrite if a.AwaitRewrite in said else a.RewriteAppendOnly
    told = [
        value
        for action in before
        if isinstance(action, a.SetDirectives)
        for name, value in action.directives
        if name == "appendonly"
    ]
    mode = seen.memory.persistence or spec.persistence
    logs = told == ["yes"] or (not told and seen.server.directive("appendonly") == "yes")
    remembered = a.RememberPersistence(
        tenant_name=spec.name, cause=before[said.index(log)].cause, mode=PersistenceMode.AOF
    )
    assert logs
    if mode is not PersistenceMode.AOF:
        # Only once all of it is in the log may a start load that.
        assert said.index(log) < before.index(remembered)
    carried = next(action for action in found if isinstance(action, a.CarryData))
    assert (carried.dump, carried.append_only) == (False, True)


@anything
@given(specs, snapshots(), rules, days)
def test_a_server_that_goes_on_is_told_to_save_only_into_folders_of_its_own(
    spec, seen, under, ahead
):
    found = plan(spec, seen, under, ahead).actions
    saves = (a.SaveDataset, a.SaveInBackground, a.NoteData)
    at = next((n for n, action in enumerate(found) if isinstance(action, saves)), None)
    if at is None or seen.files.folders_ready or not spec.serves:
        return

    assert any(isinstance(action, a.PrepareFolders) for action in found[:at])


@anything
@given(specs, snapshots(), rules, days)
def test_files_of_data_are_only_discarded_where_nothing_may_be_kept_in_them(
    spec, seen, under, ahead
):
    mode = seen.memory.persistence or spec.persistence
    loaded = isinstance(seen.server, SeenServer) and not seen.server.loading
    to_be_loaded = seen.memory.load_once and not loaded
    for action in plan(spec, seen, under, ahead).actions:
        if isinstance(action, a.RememberPersistence):
            mode = action.mode
        if isinstance(action, a.ExpectDump):
            to_be_loaded = action.expected
        if isinstance(action, a.AcceptReplacement):
            to_be_loaded = False  # it was loaded, and the server before still has its own
        if isinstance(action, a.DiscardDump):
            # With an append-only file, no start ever loads a dump; without anything, only one
            # that was saved for it.
            assert mode is not PersistenceMode.RDB
            assert not to_be_loaded
        if isinstance(action, a.DiscardAppendOnly):
            assert mode is not PersistenceMode.AOF


@anything
@given(specs, snapshots(), rules, days)
def test_a_certificate_is_only_signed_by_an_authority_that_is_whole(spec, seen, under, ahead):
    signs = (a.IssueCertificate, a.CreateAuthority)
    if seen.host.authority.problem:
        found = plan(spec, seen, under, ahead).actions
        assert not any(isinstance(action, signs) for action in found)


@anything
@given(specs, snapshots(), rules, days)
def test_no_plan_holds_a_secret(spec, seen, under, ahead):
    found = plan(spec, seen, under, ahead)

    said = [str(found), repr(found), *(describe(action) for action in found.actions)]
    assert CANARY not in "".join(said)
    assert ">" not in "".join(str(getattr(action, "users", "")) for action in found.actions)


@settings(max_examples=60, deadline=None)
@given(specs, specs, st.integers(0, 30))
def test_no_world_ever_serves_two_tenants_or_anothers_ports(before, after, cut):
    """Carry plans out for two tenants in one world, cut anywhere; the neighbour is left alone."""
    world = FakeWorld(images={"redis:8.0", "valkey:8.1"})
    world.password_files["/passwords/acme"] = CANARY
    neighbour = tenant("other", tls_port=7400)
    settle(world, neighbour)
    container, memory = world.containers["other"], world.memory("other")
    budget = cut
    for spec in (before, after):
        local = replace(spec, bind=("127.0.0.1",))
        for _ in range(3):
            seen = look(world, local)
            for action in plan_tenant(local, seen, Rules(), seen.at).actions:
                budget -= 1
                if budget < 0 or not isinstance(
                    perform(action, writers_of(world), now=world.tick()), Done
                ):
                    break

    assert world.containers["other"] == container
    assert world.memory("other") == memory
    assert look(world, neighbour).endpoints[0].problem == ""
