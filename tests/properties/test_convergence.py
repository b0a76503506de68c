"""From any world, however the last visit was cut short, one more visit brings about the spec.

The oracle below knows nothing of plans: it looks at the world and at the spec.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.apply.executor import perform
from cachepilot.apply.outcome import Done
from cachepilot.observe.collect import Questions, collect
from cachepilot.observe.snapshot import Liveness
from cachepilot.plan.planner import plan_tenant
from cachepilot.plan.server_config import managed_directives
from cachepilot.plan.users import CUSTOMER
from cachepilot.spec.document import AccessMode, MemoryPolicy, PersistenceMode, State
from cachepilot.spec.rules import DriftMode, Rules
from tests.builders import tenant
from tests.fakes.readers import readers_of
from tests.fakes.world import EMPTY, FakeWorld
from tests.fakes.writers import writers_of

RULES = Rules()
OBSERVE = Rules(drift=DriftMode.OBSERVE)
MIB = 2**20
ROUNDS = 6

both = st.sampled_from([RULES, OBSERVE])
specs = st.builds(
    lambda **fields: tenant("acme", **fields),
    state=st.sampled_from([State.RUNNING, State.RUNNING, State.STOPPED, State.DELETED]),
    memory_max=st.sampled_from([64 * MIB, 128 * MIB]),
    memory_limit=st.sampled_from([256 * MIB, 512 * MIB]),
    memory_policy=st.sampled_from(MemoryPolicy),
    cpus=st.sampled_from([None, 0.5]),
    persistence=st.sampled_from(PersistenceMode),
    access=st.sampled_from(AccessMode),
    bind=st.sampled_from([("127.0.0.1",), ("127.0.0.1", "127.0.0.2")]),
    names=st.sampled_from([("127.0.0.1", "localhost"), ("cache.example.net",)]),
    tls_port=st.sampled_from([None, 7400]),
    restarted_at=st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    config=st.sampled_from([(), (("maxclients", "100"),), (("databases", "4"),)]),
)


def look(world, spec):
    questions = Questions(
        image=spec.image,
        bind=spec.bind,
        password_file=spec.password_file,
        listeners=spec.listeners,
        directives=managed_directives(spec),
        customer=CUSTOMER,
        grace=spec.grace,
        gateways=frozenset(),
    )
    return collect(spec.name, questions, readers_of(world), now=world.tick())


def plan(world, spec, rules=RULES):
    seen = look(world, spec)
    return plan_tenant(spec, seen, rules, seen.at)


def visit(world, spec, rules=RULES, *, cut=None):
    """Visit as the daemon does; with *cut*, die after that many effects."""
    budget = cut if cut is not None else 10_000
    for _ in range(ROUNDS):
        actions = plan(world, spec, rules).actions
        if not actions:
            return
        for action in actions:
            if budget <= 0:
                return
            outcome = perform(action, writers_of(world), now=world.tick())
            budget -= 1
            if not isinstance(outcome, Done):
                return


def settle(world, spec, rules=RULES):
    """Visit again and again, as backoff does, until a visit finds nothing; visits are bounded."""
    for _ in range(3):
        visit(world, spec, rules)


def complaints(world, spec):
    """Return everything in which *world* is not what *spec* asks for."""
    name = spec.name
    container, server, disk = (
        world.containers.get(name),
        world.servers.get(name),
        world.disk(name),
    )
    if spec.state is State.DELETED:
        return ["a container is left"] if container else []
    if spec.state is State.STOPPED:
        return ["a server runs"] if server else []
    if container is None or server is None or container.liveness is not Liveness.RUNNING:
        return ["nothing runs"]
    held = world.memory(name).reservation
    open_ports = {
        (at.container_port, at.address, at.host_port) for at in container.shape.published
    }
    wanted_ports = set()
    for address in spec.bind:
        if spec.access is not AccessMode.PLAIN_ONLY:
            wanted_ports.add((6380, address, held.tls_port))
        if spec.access is not AccessMode.TLS_ONLY:
            wanted_ports.add((6379, address, held.plain_port))
    live = server.directives
    facts = {
        "ports": open_ports == wanted_ports,
        "pinned port": spec.tls_port in (None, held.tls_port)
        or spec.access is AccessMode.PLAIN_ONLY,
        "memory limit": container.resources.memory == spec.memory_limit,
        "swap": container.resources.swap == spec.memory_limit,
        "cpus": container.resources.cpu_quota == (50_000 if spec.cpus else -1),
        "maxmemory": live["maxmemory"] == str(spec.memory_max),
        "policy": live["maxmemory-policy"] == spec.memory_policy.value,
        "append-only": (live["appendonly"] == "yes") is (spec.persistence is PersistenceMode.AOF),
        "save points": bool(live["save"]) is (spec.persistence is PersistenceMode.RDB),
        "config": all(live[key] == value for key, value in spec.config),
        "users": sorted(server.users)
        == [
            "cachepilot",
            "cachepilot-revision",
            "cachepilot-twin-cachepilot",
            "cachepilot-twin-default",
            "default",
        ],
        "customer": server.users["default"][:2]
        == (True, (str(world.memory(name).credential("default").revision),)),
        "no leftover dump": spec.persistence is not PersistenceMode.NONE or disk.dump is None,
        "no leftover log": spec.persistence is PersistenceMode.AOF or disk.append_only is None,
        "writes": not server.writes_paused,
    }
    if spec.access is not AccessMode.PLAIN_ONLY:
        leaf = world.leaves[name][world.memory(name).certificate]
        facts["names"] = leaf.names == spec.names
        facts["lifetime"] = leaf.not_after > world.now + timedelta(days=1)
        facts["served"] = world.served[name] == leaf.fingerprint
    return [what for what, holds in facts.items() if not holds]


@settings(max_examples=300, deadline=None)
@given(specs)
def test_a_new_tenant_becomes_what_its_spec_says(spec):
    world = FakeWorld()

    settle(world, spec)

    assert complaints(world, spec) == []
    assert plan(world, spec).actions == ()


@settings(max_examples=600, deadline=None)
@given(specs, specs, both, st.integers(0, 40), st.integers(1, 1000))
def test_a_visit_cut_anywhere_is_finished_by_the_next(before, after, rules, cut, data):
    """Data written before the cut survives every change that does not drop persistence."""
    world = FakeWorld()
    settle(world, before, rules)
    if world.servers:
        world.write(before.name, data)

    visit(world, after, rules, cut=cut)
    settle(world, after, rules)

    assert complaints(world, after) == []
    assert plan(world, after, rules).actions == ()
    if before.serves and after.serves:
        assert world.servers[after.name].data == data


@settings(max_examples=300, deadline=None)
@given(specs, specs, both, st.integers(0, 40), st.integers(1, 1000))
def test_a_change_that_is_taken_back_halfway_leaves_no_trace(before, after, rules, cut, data):
    before = replace(before, state=State.RUNNING)
    world = FakeWorld()
    settle(world, before, rules)
    world.write(before.name, data)

    visit(world, after, rules, cut=cut)
    settle(world, before, rules)

    assert complaints(world, before) == []
    assert plan(world, before, rules).actions == ()
    assert world.servers[before.name].data == data


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(specs, both, st.integers(0, 25)), min_size=1, max_size=8))
def test_no_walk_through_specs_loses_data(walk):
    """However often plans change halfway, a server that is never killed keeps its data."""
    first = replace(walk[0][0], state=State.RUNNING)
    world = FakeWorld()
    settle(world, first)
    world.write(first.name, 5)

    for spec, rules, cut in walk:
        visit(world, spec, rules, cut=cut)
    last, rules = replace(walk[-1][0], state=State.RUNNING), walk[-1][1]
    settle(world, last, rules)

    assert complaints(world, last) == []
    assert plan(world, last, rules).actions == ()
    assert world.servers[last.name].data == 5


@settings(max_examples=300, deadline=None)
@given(specs, specs, st.integers(0, 40))
def test_a_server_killed_in_the_middle_of_a_change_loses_at_most_what_its_mode_allows(
    before, after, cut
):
    before = replace(before, state=State.RUNNING, persistence=PersistenceMode.AOF)
    after = replace(after, state=State.RUNNING)
    world = FakeWorld()
    settle(world, before)
    world.write(before.name, 7)

    visit(world, after, cut=cut)
    durable = world.memory(after.name).persistence is not PersistenceMode.NONE
    if world.servers:
        world.kill(after.name)
    settle(world, after)

    assert complaints(world, after) == []
    assert world.servers[after.name].data == 7 or not durable


@settings(max_examples=200, deadline=None)
@given(specs, st.sampled_from(PersistenceMode))
def test_memory_only_servers_never_revive_old_data(spec, earlier):
    """
    After a crash a memory-only server is empty, whatever an earlier life left on disk.
    """
    spec = replace(spec, state=State.RUNNING, persistence=PersistenceMode.NONE)
    world = FakeWorld()
    settle(world, replace(spec, persistence=earlier))
    world.write(spec.name, 3)
    settle(world, spec)
    world.write(spec.name, 4)
    world.disk(spec.name).dump = 3

    world.kill(spec.name)
    settle(world, spec)

    assert world.servers[spec.name].data == EMPTY
    assert complaints(world, spec) == []


@settings(max_examples=200, deadline=None)
@given(specs, specs, st.integers(0, 40))
def test_where_drift_is_observed_only_what_a_hand_changed_stays(before, after, cut):
    before, after = replace(before, state=State.RUNNING), replace(after, state=State.RUNNING)
    world = FakeWorld()
    settle(world, before, OBSERVE)
    visit(world, after, OBSERVE, cut=cut)
    settle(world, after, OBSERVE)
    by_hand = {"maxmemory": "1", "tcp-keepalive": "7"}
    world.servers[after.name].directives |= by_hand

    settle(world, after, OBSERVE)

    assert by_hand.items() <= world.servers[after.name].directives.items()
    assert complaints(world, after) == ["maxmemory"]
    settle(world, after, RULES)
    assert complaints(world, after) == []
