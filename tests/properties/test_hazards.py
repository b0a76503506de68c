"""Situations that once lost data, stopped a healthy server or never came to rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.apply.executor import perform
from cachepilot.apply.outcome import Done
from cachepilot.errors import StalledError, UnavailableError
from cachepilot.observe.snapshot import SeenAuthority, SeenServer
from cachepilot.plan.actions import CreateContainer
from cachepilot.plan.planner import plan_tenant
from cachepilot.spec.document import AccessMode, MemoryPolicy, PersistenceMode, State
from cachepilot.spec.rules import DriftMode, Rules
from cachepilot.status.facts import config_applied
from tests.builders import tenant
from tests.fakes import readers
from tests.fakes.scenes import look, plan, settle, settled
from tests.fakes.world import EMPTY, FakeWorld
from tests.fakes.writers import writers_of

NONE, RDB, AOF = PersistenceMode.NONE, PersistenceMode.RDB, PersistenceMode.AOF
OBSERVE = Rules(drift=DriftMode.OBSERVE)
PATIENCE = Rules().stopPatience
WISH = "2026-01-01T00:00:00Z"
MIB = 2**20


def visit(world, spec, *, rules=None, writers=None):
    """Visit as the daemon does, and stop at the first action that is not done."""
    done = []
    for _ in range(3):
        for action in plan(world, spec, rules=rules or Rules()).actions:
            done.append(perform(action, writers or writers_of(world), now=world.tick()))
            if not isinstance(done[-1], Done):
                return done
    return done


def names(actions):
    return [type(action).__name__ for action in actions]


@pytest.mark.parametrize("mode", [NONE, RDB, AOF])
def test_a_loading_server_is_left_alone(mode):
    """It answers nothing about its directives yet, which is not the same as wrong ones."""
    spec = tenant(persistence=mode)
    world = settled(spec)
    seen = look(world, spec)
    loading = replace(seen.server, loading=True, directives=(), users=())

    found = plan_tenant(spec, replace(seen, server=loading), Rules(), seen.at)

    assert found.actions == ()


def crowded(world):
    world.servers["acme"].crowded = True
    world.kept.clear()


def without_socket(world):
    world.servers["acme"].socket = False
    world.kept.clear()


def frozen(world):
    world.freeze("acme")


@pytest.mark.parametrize("meddle", [crowded, without_socket, frozen])
@pytest.mark.parametrize("change", [{"tls_port": 7400}, {"restarted_at": WISH}])
def test_a_planned_stop_never_loses_what_cannot_be_saved(meddle, change):
    world = settled(tenant())
    world.write("acme", 5)
    meddle(world)

    for _ in range(3):
        visit(world, tenant(**change))

    server = world.servers.get("acme")
    assert server is not None
    assert server.data == 5


def test_a_refused_directive_does_not_keep_a_dump_that_a_crash_would_revive():
    base = tenant()
    spec = replace(base, config=(*base.config, ("activedefrag", "yes")))
    world = FakeWorld()
    visit(world, spec)
    world.write("acme", 1)
    spec = replace(spec, restarted_at=WISH)
    for _ in range(3):
        visit(world, spec)
    world.write("acme", 2)

    world.kill("acme")
    for _ in range(3):
        visit(world, spec)

    assert world.servers["acme"].data == EMPTY


def test_a_limit_that_cannot_shrink_yet_gives_a_plan_that_ends(monkeypatch):
    world = settled(tenant(memory_max=256 * MIB, memory_limit=512 * MIB))
    ask = readers.FakeServers.ask
    monkeypatch.setattr(
        readers.FakeServers,
        "ask",
        lambda *given, **more: replace(ask(*given, **more), resident_memory=300 * MIB),
    )
    after = tenant(memory_max=64 * MIB, memory_limit=128 * MIB)
    visit(world, after)
    before = world.effects

    visit(world, after)

    assert world.effects == before


def test_in_observe_mode_a_cut_visit_is_finished_by_the_next():
    world = settled(tenant(), rules=OBSERVE)
    after = tenant(memory_max=64 * MIB)
    first = plan(world, after, rules=OBSERVE).actions[0]
    perform(first, writers_of(world), now=world.tick())

    visit(world, after, rules=OBSERVE)

    assert world.servers["acme"].directives["maxmemory"] == str(64 * MIB)
    assert plan(world, after, rules=OBSERVE).actions == ()


def test_in_observe_mode_an_edit_reaches_a_server_that_could_not_be_asked_at_first():
    world = settled(tenant(), rules=OBSERVE)
    after = tenant(memory_max=64 * MIB)
    without_socket(world)
    visit(world, after, rules=OBSERVE)
    unsure = config_applied(after, look(world, after), OBSERVE)
    world.servers["acme"].socket = True

    late = config_applied(after, look(world, after), OBSERVE)
    visit(world, after, rules=OBSERVE)

    assert world.servers["acme"].directives["maxmemory"] == str(64 * MIB)
    assert [unsure.reason, late.reason] == ["NeverReadBack", "Differs"]
    assert config_applied(after, look(world, after), OBSERVE).reason == "ReadBack"


@pytest.mark.parametrize("cut", range(6))
def test_in_observe_mode_an_edit_that_is_taken_back_halfway_leaves_no_trace(cut):
    world = settled(tenant(), rules=OBSERVE)
    after = tenant(memory_max=64 * MIB)
    done = 0
    for _ in range(2):
        for action in plan(world, after, rules=OBSERVE).actions[: cut - done]:
            perform(action, writers_of(world), now=world.tick())
            done += 1

    visit(world, tenant(), rules=OBSERVE)

    assert world.servers["acme"].directives["maxmemory"] == str(256 * MIB)
    assert plan(world, tenant(), rules=OBSERVE).actions == ()


def test_in_observe_mode_a_directive_that_a_build_refuses_leaves_the_others_to_hands():
    refused = tenant(config=(*tenant().config, ("activedefrag", "yes")))
    world = settled(tenant(), rules=OBSERVE)
    for _ in range(3):
        visit(world, refused, rules=OBSERVE)
    assert config_applied(refused, look(world, refused), OBSERVE).reason == "Differs"

    world.servers["acme"].directives["maxmemory-samples"] = "9"
    (outcome,) = visit(world, refused, rules=OBSERVE)

    assert world.servers["acme"].directives["maxmemory-samples"] == "9"
    assert outcome.reason == "DirectiveRefused"


@pytest.mark.parametrize("cut", range(4))
def test_in_observe_mode_what_stands_in_no_file_is_applied_after_a_cut(cut):
    world = settled(tenant())
    world.servers["acme"].directives["activedefrag"] = "yes"
    for action in plan(world, tenant(), rules=OBSERVE).actions[:cut]:
        perform(action, writers_of(world), now=world.tick())

    for _ in range(2):
        visit(world, tenant(), rules=OBSERVE)
    assert world.servers["acme"].directives["activedefrag"] == "no"
    world.servers["acme"].directives["activedefrag"] = "yes"
    visit(world, tenant(), rules=OBSERVE)

    assert world.servers["acme"].directives["activedefrag"] == "yes"
    assert config_applied(tenant(), look(world, tenant()), OBSERVE).reason == "DriftObserved"


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_in_observe_mode_a_new_certificate_is_served_after_a_cut(cut):
    world = settled(tenant(), rules=OBSERVE)
    after = tenant(names=("127.0.0.1", "cache.example.net", "localhost"))
    for action in plan(world, after, rules=OBSERVE).actions[:cut]:
        perform(action, writers_of(world), now=world.tick())

    visit(world, after, rules=OBSERVE)

    leaf = world.leaves["acme"][world.memory("acme").certificate]
    assert leaf.names == after.names
    assert world.served["acme"] == leaf.fingerprint


@pytest.mark.parametrize("how", ["crash_loop", "kill"])
def test_more_memory_reaches_a_server_that_cannot_come_up_without(how):
    spec = tenant(memory_limit=128 * MIB, persistence=AOF)
    world = settled(spec)
    getattr(world, how)("acme")

    found = names(plan(world, replace(spec, memory_limit=512 * MIB)).actions)

    assert found[0] == "UpdateResources"


def test_an_address_that_goes_away_for_a_moment_restarts_nobody():
    spec = tenant(bind=("127.0.0.1", "192.0.2.7"))
    world = settled(spec)
    starts = world.starts
    world.foreign.add("192.0.2.7")
    visit(world, spec)
    world.foreign.clear()

    visit(world, spec)

    assert world.starts == starts


def test_a_resting_container_whose_network_was_removed_starts_again():
    spec = tenant()
    world = settled(spec)
    settle(world, replace(spec, state=State.STOPPED))
    world.networks.clear()

    visit(world, spec)

    assert world.is_answering("acme")


def test_fewer_subnets_leave_a_server_on_the_last_one_alone():
    world = settled(tenant())
    memory = world.memory("acme")
    moved = replace(memory.reservation, bridge=1)
    world.memories["acme"] = replace(memory, reservation=moved)
    world.vanish("acme")
    fewer = Rules.model_validate_json('{"network": {"subnets": ["10.213.0.0/22"]}}')

    assert "CreateContainer" in names(plan(world, tenant(), rules=fewer).actions)


def test_two_listeners_never_get_one_port():
    world = settled(tenant(access=AccessMode.PLAIN_ONLY, plain_port=7350))

    visit(world, tenant(access=AccessMode.DUAL_MODE, plain_port=7350))

    held = world.memory("acme").reservation
    assert held.plain_port == 7350
    assert held.tls_port != 7350


def test_a_port_may_move_from_one_listener_to_the_other():
    world = settled(tenant(access=AccessMode.TLS_ONLY, tls_port=7400))
    world.listening.add(7400)  # by its own container, as the kernel sees it

    found = plan(world, tenant(access=AccessMode.PLAIN_ONLY, plain_port=7400))

    assert found.blocked is None


@pytest.mark.parametrize(
    "error",
    [UnavailableError("no space left"), StalledError("which year?", reason="AuthorityBroken")],
)
def test_a_renewal_that_fails_does_not_hold_up_the_repair_of_a_dead_server(error):
    spec = tenant(persistence=AOF)
    world = settled(spec)
    world.tick(timedelta(days=70))
    world.kill("acme")
    writers = writers_of(world)

    def refuse(*_, **__):
        raise error

    writers.certificates.issue = refuse
    visit(world, spec, writers=writers)

    assert world.is_answering("acme")


def test_a_lost_state_folder_never_gives_a_fresh_empty_server():
    spec = tenant(persistence=AOF)
    world = settled(spec)
    world.kill("acme")
    world.memories.clear()
    world.disks.clear()
    world.leaves.clear()
    world.authority = SeenAuthority(exists=False)

    visit(world, spec)

    assert "acme" not in world.servers
    assert plan(world, spec).blocked.reason == "RecordMissing"


@pytest.mark.parametrize("rules", [Rules(), OBSERVE])
@pytest.mark.parametrize("change", [{"restarted_at": WISH}, {"tls_port": 7400}])
def test_a_log_that_somebody_switched_off_is_complete_again_before_a_stop(rules, change):
    spec = tenant(persistence=AOF)
    world = settled(spec, rules=rules)
    world.servers["acme"].directives["appendonly"] = "no"
    world.write("acme", 2)

    for _ in range(3):
        visit(world, replace(spec, **change), rules=rules)

    assert world.servers["acme"].data == 2


def test_save_points_that_somebody_removed_are_back_before_a_stop():
    spec = tenant(persistence=RDB)
    world = settled(spec, rules=OBSERVE)
    world.servers["acme"].directives["save"] = ""
    world.write("acme", 2)

    for _ in range(3):
        visit(world, replace(spec, restarted_at=WISH), rules=OBSERVE)

    assert world.servers["acme"].data == 2


def test_an_image_that_nobody_could_look_for_does_not_take_the_server_down(monkeypatch):
    world = settled(tenant())
    monkeypatch.setattr(readers.FakeContainers, "image_id", lambda *_, **__: None)

    visit(world, tenant(image="redis:9.9"))

    assert "acme" in world.servers


@pytest.mark.parametrize("change", [{"state": State.STOPPED}, {"restarted_at": WISH}])
def test_a_server_that_holds_the_last_copy_is_not_stopped(change):
    spec = tenant(persistence=RDB)
    world = settled(spec)
    world.write("acme", 5)
    world.disk("acme").marker = False

    found = plan(world, replace(spec, **change))

    assert found.actions == ()
    assert found.blocked is not None


def holding(monkeypatch, used):
    """Let every server say that it holds so many bytes."""
    ask = readers.FakeServers.ask

    def more(*given, **how):
        found = ask(*given, **how)
        size = {"used_memory": used, "resident_memory": used}
        return replace(found, **size) if isinstance(found, SeenServer) else found

    monkeypatch.setattr(readers.FakeServers, "ask", more)


@pytest.mark.parametrize("policy", [MemoryPolicy.NOEVICTION, MemoryPolicy.ALLKEYS_LRU])
def test_a_shrink_that_has_to_wait_is_not_forced_on_a_server_that_is_down(monkeypatch, policy):
    before = tenant(
        persistence=RDB, memory_max=256 * MIB, memory_limit=512 * MIB, memory_policy=policy
    )
    world = settled(before)
    holding(monkeypatch, 200 * MIB)
    after = replace(before, memory_max=32 * MIB, memory_limit=80 * MIB)
    visit(world, after)
    world.kill("acme")

    visit(world, after)

    assert world.is_answering("acme")
    assert world.containers["acme"].resources.memory == 512 * MIB


def test_a_container_that_is_made_smaller_and_anew_still_loads_what_it_held(monkeypatch):
    before = tenant(memory_max=256 * MIB, memory_limit=312 * MIB)
    world = settled(before)
    holding(monkeypatch, 200 * MIB)
    after = replace(before, memory_max=32 * MIB, memory_limit=52 * MIB, tls_port=7400)

    born = [each for each in plan(world, after).actions if isinstance(each, CreateContainer)]

    assert [each.workload.resources.memory for each in born] == [312 * MIB]


@pytest.mark.parametrize("days", [-400, 100])
def test_a_wrong_clock_does_not_keep_a_server_down(days):
    spec = tenant(persistence=AOF)
    world = settled(spec)
    world.tick(timedelta(days=days))
    world.kill("acme")
    writers = writers_of(world)

    def refuse(*_, **__):
        raise StalledError("is the clock right?", reason="AuthorityBroken")

    writers.certificates.issue = refuse
    visit(world, spec, writers=writers)

    assert world.is_answering("acme")


def test_a_data_folder_put_back_below_a_running_server_does_not_restart_it():
    """Such a server says that its folder is "", and holds the only copy of what came since."""
    spec = tenant(persistence=AOF)
    world = settled(spec)
    seen = look(world, spec)
    told = tuple((name, "" if name == "dir" else value) for name, value in seen.server.directives)

    found = plan_tenant(
        spec, replace(seen, server=replace(seen.server, directives=told)), Rules(), seen.at
    )

    assert "RestartContainer" not in names(found.actions)
    assert found.blocked.reason == "CannotStopSafely"


def test_ports_that_a_cut_visit_left_in_the_ledger_are_given_back():
    world = settled(tenant())
    seen = look(world, tenant())
    host = replace(seen.host, owned_ports=((7400, "acme"),))

    found = plan_tenant(tenant(), replace(seen, host=host), Rules(), seen.at)

    assert names(found.actions)[:1] == ["Reserve"]


def test_a_power_cut_behind_a_change_of_mode_loses_nothing_where_drift_is_observed():
    before = tenant(persistence=RDB)
    world = settled(before, rules=OBSERVE)
    world.write("acme", 1)
    world.disk("acme").dump = 1
    after = replace(before, persistence=AOF, memory_max=64 * MIB)
    for action in plan(world, after, rules=OBSERVE).actions:
        assert isinstance(perform(action, writers_of(world), now=world.tick()), Done)
    world.write("acme", 2)

    world.kill("acme")
    world.boot("acme")
    visit(world, after, rules=OBSERVE)

    assert world.servers["acme"].data == 2


def hanging(script="reads", **spec):
    """Return a world with a memory-only server that answers nothing but its script."""
    world = settled(tenant(**spec))
    world.write("acme", 5)
    world.servers["acme"].script = script
    return world


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
@pytest.mark.parametrize("mode", [NONE, RDB])
def test_a_script_that_wrote_nothing_is_ended_and_the_data_is_saved(state, mode):
    world = hanging(persistence=mode)

    visit(world, tenant(persistence=mode, state=state))
    assert "acme" not in world.servers
    visit(world, tenant(persistence=mode))

    assert world.servers["acme"].data == 5


def test_a_restart_ends_a_script_too_and_loses_nothing():
    world = hanging()
    starts = world.starts

    visit(world, tenant(restarted_at=WISH))

    assert (world.starts, world.servers["acme"].data) == (starts + 1, 5)


def test_a_script_is_left_alone_where_nothing_has_to_stop():
    assert "EndScript" not in names(plan(hanging(), tenant(cpus=0.5)).actions)


def writing(world):
    world.servers["acme"].script = "writes"


def silent(world):
    world.servers["acme"].hangs = True


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
@pytest.mark.parametrize(
    ("meddle", "mode"),
    [(crowded, NONE), (writing, NONE), (writing, RDB), (silent, NONE), (silent, RDB)],
)
def test_what_cannot_be_saved_is_stopped_when_patience_ends_and_that_is_said_before(
    state, meddle, mode
):
    spec = tenant(state=state, persistence=mode)
    world = hanging("", persistence=mode)
    meddle(world)

    said = plan(world, spec)
    visit(world, spec)
    world.tick(PATIENCE - timedelta(minutes=1))
    visit(world, spec)
    assert world.servers["acme"].data == 5
    world.tick(timedelta(minutes=1))
    final = plan(world, spec)
    visit(world, spec)

    assert f"from {said.actions[0].wait[1]:%Y-%m-%d %H:%M:%SZ} on" in said.blocked.message
    assert names(said.actions)[0] == "RememberWait"
    assert (names(final.actions), final.disruption) == (["StopUnsaved"], "data-risk")
    assert "acme" not in world.servers
    assert world.memory("acme").wait is None
    assert plan(world, spec).actions == ()


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
def test_a_server_with_snapshots_that_comes_to_itself_again_is_saved_and_stopped(state):
    world = hanging("", persistence=RDB)
    silent(world)

    visit(world, tenant(persistence=RDB, state=state))
    world.servers["acme"].hangs = False
    visit(world, tenant(persistence=RDB, state=state))
    assert "acme" not in world.servers
    visit(world, tenant(persistence=RDB))

    assert world.servers["acme"].data == 5


@pytest.mark.parametrize("meddle", [crowded, without_socket])
def test_a_server_with_snapshots_that_hears_is_stopped_at_once_and_saves(meddle):
    world = hanging("", persistence=RDB)
    meddle(world)

    visit(world, tenant(persistence=RDB, state=State.STOPPED))

    assert "acme" not in world.servers
    assert world.disk("acme").dump == 5


@pytest.mark.parametrize("change", [{"restarted_at": WISH}, {"tls_port": 7400}, {"paused": True}])
@pytest.mark.parametrize(("meddle", "mode"), [(writing, NONE), (silent, NONE), (silent, RDB)])
def test_a_mere_restart_never_gives_data_up(change, meddle, mode):
    world = hanging("", persistence=mode)
    meddle(world)

    for _ in range(3):
        visit(world, tenant(persistence=mode, **change))
        world.tick(10 * PATIENCE)

    assert world.servers["acme"].data == 5


def test_a_file_that_vanished_is_no_word_that_data_may_be_lost():
    world = hanging("writes")
    world.memories["acme"] = replace(world.memory("acme"), retired=True)

    for _ in range(3):
        visit(world, tenant(state=State.DELETED))
        world.tick(10 * PATIENCE)

    assert world.servers["acme"].data == 5


def test_another_document_waits_anew():
    world = hanging("writes")
    visit(world, tenant(state=State.STOPPED))
    memory = world.memory("acme")
    world.memories["acme"] = replace(memory, generation=memory.generation + 1)
    world.tick(2 * PATIENCE)

    visit(world, tenant(state=State.DELETED))

    assert world.servers["acme"].data == 5


@pytest.mark.parametrize("cut", range(8))
def test_a_crash_while_the_append_only_file_is_given_up_revives_no_older_dump(cut):
    """Docker starts a crashed server at once, before any visit could clean up."""
    spec = tenant(persistence=AOF)
    world = settled(tenant(persistence=RDB))
    world.write("acme", 1)
    settle(world, tenant(persistence=RDB, restarted_at=WISH))
    settle(world, spec)
    world.write("acme", 2)
    assert world.disk("acme").dump == 1
    after, done = tenant(persistence=NONE), 0
    for _ in range(3):
        for action in plan(world, after).actions[: cut - done]:
            perform(action, writers_of(world), now=world.tick())
            done += 1

    world.kill("acme")
    world.boot("acme")
    visit(world, after)

    assert world.servers["acme"].data in (EMPTY, 2)


@pytest.mark.parametrize("change", [{"bind": ("127.0.0.1", "127.0.0.2")}, {"cpus": 0.5}])
def test_a_server_is_not_stopped_for_a_place_that_somebody_else_has(change):
    world = settled(tenant())
    starts, held = world.starts, world.memory("acme").reservation
    world.listening.add(held.tls_port)
    after = tenant(**change)

    visit(world, after)
    waiting = plan(world, after).blocked
    world.listening.clear()
    served = world.is_answering("acme")
    visit(world, after)

    assert served
    assert (waiting.reason if waiting else "") == ("PortInUse" if "bind" in change else "")
    assert world.starts == starts + ("bind" in change)
    assert {at.address for at in world.containers["acme"].shape.published} == set(after.bind)


def test_a_certificate_is_renewed_while_a_server_waits_for_a_place():
    spec = tenant(bind=("127.0.0.1", "127.0.0.2"))
    world = settled(tenant())
    world.listening.add(world.memory("acme").reservation.tls_port)
    world.tick(tenant().certificate_lifetime - timedelta(days=1))

    visit(world, replace(spec, names=tenant().names))

    leaf = world.leaves["acme"][world.memory("acme").certificate]
    assert leaf.not_after > world.now + timedelta(days=30)
    assert world.served["acme"] == leaf.fingerprint
