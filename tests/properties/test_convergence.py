"""From any world, however the last visit was cut short, one more visit brings about the spec.

Visits are the daemon's own. The oracle below knows nothing of plans: it looks at the world and at
the spec.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.observe.snapshot import Liveness, SeenClients, SeenRoot
from cachepilot.spec.document import (
    AccessMode,
    ClientCertificates,
    MemoryPolicy,
    PersistenceMode,
    State,
)
from cachepilot.spec.rules import DriftMode, Rules
from cachepilot.spec.tenant import UserSpec
from cachepilot.spec.upgrade import UpgradeStrategy
from tests.builders import tenant
from tests.fakes.scenes import plan
from tests.fakes.texts import parse_configuration, parse_users
from tests.fakes.visits import Daemon
from tests.fakes.world import EMPTY, FakeWorld

RULES = Rules()
OBSERVE = Rules(drift=DriftMode.OBSERVE)
MIB = 2**20
FILE = "/passwords/acme"
BY_HAND = {"maxmemory": "1", "tcp-keepalive": "7"}

APP = UserSpec(name="app", keys=("app:*", "%R~all:*"), channels=("app",), commands=("+@read",))
WEB = UserSpec(name="web", commands=("+@all", "-keys"), rotated_at="2026-03-01T00:00:00Z")
cuts = st.integers(0, 60)

both = st.sampled_from([RULES, OBSERVE])
specs = st.builds(
    lambda **fields: tenant("acme", **fields),
    state=st.sampled_from([State.RUNNING, State.RUNNING, State.STOPPED, State.DELETED]),
    image=st.sampled_from(["redis:7.2", "redis:7.2", "valkey:8.1"]),
    memory_max=st.sampled_from([64 * MIB, 128 * MIB]),
    memory_limit=st.sampled_from([256 * MIB, 512 * MIB]),
    memory_policy=st.sampled_from(MemoryPolicy),
    cpus=st.sampled_from([None, 0.5]),
    persistence=st.sampled_from(PersistenceMode),
    access=st.sampled_from(AccessMode),
    bind=st.sampled_from([("127.0.0.1",), ("127.0.0.1", "127.0.0.2")]),
    names=st.sampled_from([("127.0.0.1", "localhost"), ("cache.example.net",)]),
    client_certificates=st.sampled_from(ClientCertificates),
    clients=st.sampled_from([("app",), ("app", "web"), ("web",)]),
    clients_rotated_at=st.sampled_from([None, None, "2026-03-01T00:00:00Z"]),
    tls_port=st.sampled_from([None, 7400]),
    plain_port=st.sampled_from([None, 7700]),
    password_file=st.sampled_from([None, None, FILE]),
    rotated_at=st.sampled_from([None, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]),
    grace=st.sampled_from([timedelta(0), timedelta(hours=24)]),
    scripting=st.booleans(),
    users=st.sampled_from([(), (), (APP,), (WEB, APP), (replace(APP, commands=("+get",)),)]),
    strategy=st.sampled_from(UpgradeStrategy),
    restarted_at=st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    config=st.sampled_from([(), (("maxclients", "100"),), (("databases", "4"),)]),
)


def lose_configuration(world):
    world.disk("acme").configuration = None


def lose_users(world):
    world.disk("acme").users = None


def lose_certificate(world):
    world.leaves.pop("acme", None)


def lose_sandbox(world):
    if "acme.sandbox" in world.containers:
        world.vanish("acme.sandbox")


def end_sandbox(world):
    if "acme.sandbox" in world.containers:
        world.kill("acme.sandbox")


def restart_sandbox(world):
    """Start it again behind our back: it gets a network of its own, without the server."""
    if "acme.sandbox" in world.containers:
        world.kill("acme.sandbox")
        world.boot("acme.sandbox")


def detach(world):
    """Take containers off their network, or die before they were put on it."""
    for name, seen in world.containers.items():
        if not seen.joined:
            world.containers[name] = replace(seen, shape=replace(seen.shape, bridge=""))


def reboot(world):
    """Start the machine again; Docker comes up, and starts nothing that joins another network."""
    for name in list(world.containers):
        world.kill(name)
    for name, seen in world.containers.items():
        if seen.resources.restart != "no" and not seen.joined:
            world.boot(name)


def vanish(world):
    if "acme" in world.containers:
        world.vanish("acme")


def rename(world):
    if "acme" in world.containers:
        world.rename("acme", "by-hand")


def freeze(world):
    if "acme" in world.servers:
        world.freeze("acme")


def kill(world):
    if "acme" in world.servers:
        world.kill("acme")


def crash_loop(world):
    if "acme" in world.servers:
        world.crash_loop("acme")


def update_resources(world):
    if seen := world.containers.get("acme"):
        wrong = replace(seen.resources, memory=999 * MIB, swap=-1, cpu_quota=1000)
        world.containers["acme"] = replace(seen, resources=wrong)


def add_user(world):
    if server := world.servers.get("acme"):
        server.users["stray"] = (True, (), "~*", "&*", "+@all")


def open_user(world):
    if server := world.servers.get("acme"):
        server.users["default"] = (True, ("unknown",), "~*", "&*", "+@all")


def edit_commands(world):
    if server := world.servers.get("acme"):
        server.users["default"] = (*server.users["default"][:4], "+@all")


def edit_twin(world):
    if server := world.servers.get("acme"):
        # Not as above: whoever edits both alike goes unnoticed, see ADR 9.
        server.users["cachepilot-twin-default"] = (False, (), "", "", "+@read")


def open_the_door(world):
    server = world.servers.get("acme")
    if server and server.directives.get("tls-auth-clients"):
        server.directives["tls-auth-clients"] = "no"
        server.ask_clients(anew=False)


def lose_a_client(world):
    if seen := world.clients.get("acme"):
        world.clients["acme"] = replace(seen, certificates=(), names=())


def join_root(world):
    """Let clients trust another root besides, as a rotation does."""
    if world.authority.exists:
        other = SeenRoot(fingerprint=f"root{world.effects}", not_after=world.authority.not_after)
        roots = (world.authority.roots[0], other)
        world.authority = replace(world.authority, roots=roots)


def promote_root(world):
    """Let another root sign."""
    if world.authority.exists:
        signer = SeenRoot(fingerprint=f"new{world.effects}", not_after=world.authority.not_after)
        world.authority = replace(
            world.authority,
            fingerprint=signer.fingerprint,
            roots=(signer, world.authority.roots[0]),
        )


def set_directives(world):
    if server := world.servers.get("acme"):
        server.directives |= BY_HAND


HARMS = [
    lose_configuration,
    lose_users,
    lose_certificate,
    vanish,
    rename,
    lose_sandbox,
    end_sandbox,
    restart_sandbox,
    detach,
    freeze,
    kill,
    crash_loop,
    update_resources,
    add_user,
    open_user,
    edit_commands,
    edit_twin,
    lose_a_client,
    join_root,
    promote_root,
]
# What happens before and behind the cut. Where drift is only observed, directives that a hand has
# set stay; that has a test of its own.
_some = st.lists(st.sampled_from(HARMS), max_size=3)
_any = st.lists(st.sampled_from([*HARMS, set_directives, open_the_door]), max_size=3)
troubles = st.one_of(
    st.tuples(st.just(RULES), _any, _any), st.tuples(st.just(OBSERVE), _some, _some)
)


def new_world():
    world = FakeWorld(images={"redis:7.2", "redis:8.0", "valkey:8.1"})
    world.password_files[FILE] = "Password0of0a0file0000000000000"
    return world


def visit(world, spec, rules=RULES, *, cut=None):
    """Visit once as the daemon does; with *cut*, die after that many effects."""
    return Daemon(world).visit(spec, rules, cut=cut)


OURS = ("default", "cachepilot", "cachepilot-metrics", "cachepilot-backup")


def has_user(live, wanted, credential):
    """Return whether a server has *wanted*, no more and no less."""
    enabled, passwords, keys, channels, commands = live
    return (
        enabled
        and str(credential.revision) in passwords
        and keys == " ".join(key if key[0] == "%" else f"~{key}" for key in wanted.keys)
        and channels == " ".join(f"&{channel}" for channel in wanted.channels)
        and commands.startswith(" ".join(("-@all", *wanted.commands, "-@admin -@dangerous")))
    )


def insistent(world, spec):
    """Return *spec* with a wish to try again what a hand made fail; it serves as before so far."""
    if not (spec.serves and world.memory(spec.name).held_back):
        return spec
    assert world.is_answering(spec.name)
    return replace(spec, restarted_at="2026-01-09T00:00:00Z")


def complaints(world, spec):
    """Return everything in which *world* is not what *spec* asks for."""
    name = spec.name
    container, server, disk = (
        world.containers.get(name),
        world.servers.get(name),
        world.disk(name),
    )
    if spec.state is State.DELETED:
        return ["a container is left"] if world.containers else []
    if spec.state is State.STOPPED:
        is_up = any(one.liveness is Liveness.RUNNING for one in world.containers.values())
        return ["a server runs"] if server or is_up else []
    if container is None or server is None or container.liveness is not Liveness.RUNNING:
        return ["nothing runs"]
    memory = world.memory(name)
    held, shape = memory.reservation, container.shape
    keeper, is_boxed = container, spec.strategy is UpgradeStrategy.HANDOVER
    if is_boxed:
        keeper = world.containers.get(f"{name}.sandbox")
        if keeper is None or keeper.liveness is not Liveness.RUNNING:
            return ["no sandbox runs"]
    published = keeper.shape.published
    open_ports = {(at.container_port, at.address, at.host_port) for at in published}
    wanted_ports = set()
    for address in spec.bind:
        if spec.access is not AccessMode.PLAIN_ONLY:
            wanted_ports.add((6380, address, held.tls_port))
        if spec.access is not AccessMode.TLS_ONLY:
            wanted_ports.add((6379, address, held.plain_port))
    if missing := [user.name for user in spec.users if user.name not in server.users]:
        return [f"no users {missing}"]
    live, written = server.directives, parse_configuration(disk.configuration or "")
    on, passwords, *_ = server.users["default"]
    documented = memory.credential("default").revision
    facts = {
        "image": shape.image == spec.image,
        "program": shape.command[0] == f"{spec.image.split(':')[0]}-server",
        "user id": shape.user == f"{held.uid}:{held.uid}",
        "bridge": keeper.shape.bridge == f"cachepilot-{held.bridge}"
        and keeper.shape.bridge in world.networks,
        "sandbox": shape.bridge == ("sandbox" if is_boxed else f"cachepilot-{held.bridge}"),
        "joined": container.joined == (keeper.container_id if is_boxed else ""),
        "reached": world.is_reached(name),
        "hand-over": memory.hand_over is None,
        "folders": set(world.disks) == {(name, memory.instance)},
        "containers": set(world.containers) == ({name, f"{name}.sandbox"} if is_boxed else {name}),
        "container name": container.name == "cachepilot-acme",
        "ports": open_ports == wanted_ports,
        "pinned port": spec.tls_port in (None, held.tls_port)
        or spec.access is AccessMode.PLAIN_ONLY,
        "pinned plain port": spec.plain_port in (None, held.plain_port)
        or spec.access is AccessMode.TLS_ONLY,
        "memory limit": container.resources.memory == spec.memory_limit,
        "swap": container.resources.swap == spec.memory_limit,
        "cpus": container.resources.cpu_quota == (50_000 if spec.cpus else -1),
        "maxmemory": live["maxmemory"] == str(spec.memory_max),
        "keepalive": live["tcp-keepalive"] == "300",
        "policy": live["maxmemory-policy"] == spec.memory_policy.value,
        "append-only": (live["appendonly"] == "yes") is (spec.persistence is PersistenceMode.AOF),
        "save points": bool(live["save"]) is (spec.persistence is PersistenceMode.RDB),
        "config": all(live[key] == value for key, value in spec.config),
        "configuration on disk": written.items() <= live.items() and "maxmemory" in written,
        "further users": [
            user.name
            for user in spec.users
            if not has_user(server.users[user.name], user, memory.credential(user.name))
        ]
        == [],
        "no forgotten password": {kept.user for kept in memory.credentials}
        == {*OURS, *(user.name for user in spec.users)},
        "users": sorted(server.users)
        == sorted(
            [
                "cachepilot-revision",
                *(
                    f"{prefix}{name}"
                    for prefix in ("", "cachepilot-twin-")
                    for name in (*OURS, *(user.name for user in spec.users))
                ),
            ]
        ),
        "users on disk": disk.users is not None and parse_users(disk.users) == server.users,
        "customer": on and str(documented) in passwords and "unknown" not in passwords,
        "one password": len(passwords) == 1 or bool(spec.grace),
        "password file": ((name, "default", documented) in world.adopted)
        is bool(spec.password_file),
        "rotation": bool(spec.password_file) or spec.rotated_at in (None, memory.rotated_at),
        "restart": spec.restarted_at in (None, memory.restarted_at),
        "no leftover dump": spec.persistence is not PersistenceMode.NONE or disk.dump is None,
        "no leftover log": spec.persistence is PersistenceMode.AOF or disk.append_only is None,
        "writes": not server.writes_paused,
    }
    if spec.access is not AccessMode.PLAIN_ONLY:
        leaf = world.leaves.get(name, {}).get(memory.certificate)
        facts["leaf on disk"] = leaf is not None
        facts["signer"] = leaf is not None and leaf.authority == world.authority.fingerprint
        facts["bundle"] = leaf is not None and leaf.roots == world.authority.bundle
        facts["names"] = leaf is not None and leaf.names == spec.names
        facts["lifetime"] = leaf is not None and leaf.not_after > world.now + timedelta(days=1)
        asked = {"off": "no", "optional": "optional", "required": "yes"}[spec.client_certificates]
        facts["asks clients"] = live["tls-auth-clients"] == asked
        facts["tickets"] = asked == "no" or server.tickets == {asked}
        authority = world.clients["acme"].authority if asked != "no" else ""
        facts["trusts clients"] = leaf is not None and leaf.clients == authority
        facts["shows itself"] = bool(live["tls-client-cert-file"]) is (asked != "no")
        facts["served"] = leaf is not None and world.served[name] == leaf.fingerprint
    clients = world.clients.get(name, SeenClients())
    facts["clients"] = tuple(each.name for each in clients.certificates) == spec.clients
    facts["signed clients"] = {each.authority for each in clients.certificates} <= {
        clients.authority
    }
    wish = spec.clients_rotated_at
    facts["clients rotated"] = wish in (None, memory.clients_rotated_at)
    return [what for what, holds in facts.items() if not holds]


@settings(max_examples=200, deadline=None)
@given(specs)
def test_a_new_tenant_becomes_what_its_spec_says(spec):
    world = new_world()

    visit(world, spec)

    assert complaints(world, spec) == []
    assert plan(world, spec).actions == ()


@settings(max_examples=400, deadline=None)
@given(specs, specs, both, st.integers(0, 40), st.integers(1, 1000))
def test_a_visit_cut_anywhere_is_finished_by_the_next(before, after, rules, cut, data):
    """Data written before the cut survives every change that does not drop persistence."""
    world = new_world()
    visit(world, before, rules)
    if world.servers:
        world.write(before.name, data)

    visit(world, after, rules, cut=cut)
    visit(world, after, rules)

    assert complaints(world, after) == []
    assert plan(world, after, rules=rules).actions == ()
    if before.serves and after.serves:
        assert world.servers[after.name].data == data


@settings(max_examples=200, deadline=None)
@given(specs, specs, both, st.integers(0, 40), st.integers(1, 1000))
def test_a_change_that_is_taken_back_halfway_leaves_no_trace(before, after, rules, cut, data):
    before = replace(before, state=State.RUNNING)
    world = new_world()
    visit(world, before, rules)
    world.write(before.name, data)

    visit(world, after, rules, cut=cut)
    visit(world, before, rules)

    assert complaints(world, before) == []
    assert plan(world, before, rules=rules).actions == ()
    assert world.servers[before.name].data == data


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(specs, both, st.integers(0, 25)), min_size=1, max_size=8))
def test_no_walk_through_specs_loses_data(walk):
    """However often plans change halfway, a server that is never killed keeps its data."""
    first = replace(walk[0][0], state=State.RUNNING)
    world = new_world()
    visit(world, first)
    world.write(first.name, 5)

    for spec, rules, cut in walk:
        visit(world, spec, rules, cut=cut)
    last, rules = replace(walk[-1][0], state=State.RUNNING), walk[-1][1]
    visit(world, last, rules)

    assert complaints(world, last) == []
    assert plan(world, last, rules=rules).actions == ()
    assert world.servers[last.name].data == 5


@settings(max_examples=200, deadline=None)
@given(specs, specs, st.integers(0, 40))
def test_a_server_killed_in_the_middle_of_a_change_loses_at_most_what_its_mode_allows(
    before, after, cut
):
    before = replace(before, state=State.RUNNING, persistence=PersistenceMode.AOF)
    after = replace(after, state=State.RUNNING)
    world = new_world()
    visit(world, before)
    world.write(before.name, 7)

    visit(world, after, cut=cut)
    durable = world.memory(after.name).persistence is not PersistenceMode.NONE
    if world.servers:
        world.kill(after.name)
    visit(world, after)

    assert complaints(world, after) == []
    assert world.servers[after.name].data == 7 or not durable


@settings(max_examples=200, deadline=None)
@given(specs, st.sampled_from(PersistenceMode))
def test_memory_only_servers_never_revive_old_data(spec, earlier):
    """
    After a crash a memory-only server is empty, whatever an earlier life left on disk.
    """
    spec = replace(spec, state=State.RUNNING, persistence=PersistenceMode.NONE)
    world = new_world()
    visit(world, replace(spec, persistence=earlier))
    world.write(spec.name, 3)
    visit(world, spec)
    world.write(spec.name, 4)
    world.disk(spec.name).dump = 3

    world.kill(spec.name)
    visit(world, spec)

    assert world.servers[spec.name].data == EMPTY
    assert complaints(world, spec) == []


@settings(max_examples=200, deadline=None)
@given(specs, specs, st.integers(0, 40))
def test_where_drift_is_observed_only_what_a_hand_changed_stays(before, after, cut):
    before, after = replace(before, state=State.RUNNING), replace(after, state=State.RUNNING)
    world = new_world()
    visit(world, before, OBSERVE)
    visit(world, after, OBSERVE, cut=cut)
    visit(world, after, OBSERVE)
    set_directives(world)

    visit(world, after, OBSERVE)

    assert BY_HAND.items() <= world.servers[after.name].directives.items()
    assert complaints(world, after) == ["maxmemory", "keepalive", "configuration on disk"]
    visit(world, after, RULES)
    assert complaints(world, after) == []


@settings(max_examples=400, deadline=None)
@given(specs, specs, troubles, cuts)
def test_whatever_hands_harmed_before_and_behind_a_cut_is_mended_by_one_visit(
    before, after, trouble, cut
):
    rules, earlier, later = trouble
    world = new_world()
    visit(world, before, rules)
    for harm in earlier:
        harm(world)
    visit(world, after, rules, cut=cut)
    for harm in later:
        harm(world)

    visit(world, after, rules)
    after = insistent(world, after)
    visit(world, after, rules)

    assert complaints(world, after) == []
    assert plan(world, after, rules=rules).actions == ()


@pytest.mark.parametrize("access", AccessMode)
@pytest.mark.parametrize("boxed", [False, True])
def test_a_container_that_lost_its_name_and_its_network_gets_both_back(access, boxed):
    strategy = UpgradeStrategy.HANDOVER if boxed else UpgradeStrategy.RESTART
    world, spec = new_world(), tenant("acme", access=access, strategy=strategy)
    visit(world, spec)
    rename(world)
    detach(world)

    visit(world, spec)

    assert complaints(world, spec) == []
    assert world.starts == 1


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_sandbox_that_is_lost_while_its_tenant_moves_in_keeps_nobody_down(cut):
    world, before = new_world(), tenant("acme")
    boxed = replace(before, strategy=UpgradeStrategy.HANDOVER)
    visit(world, before)
    visit(world, boxed, cut=cut)
    lose_sandbox(world)

    visit(world, boxed)
    boxed = insistent(world, boxed)
    visit(world, boxed)

    assert complaints(world, boxed) == []


@pytest.mark.parametrize("harm", [*HARMS, set_directives, open_the_door])
def test_every_harm_is_seen_by_the_oracle(harm):
    """Or else the test above would prove nothing about it."""
    asks = {"client_certificates": ClientCertificates.REQUIRED, "clients": ("app",)}
    world = new_world()
    spec = tenant("acme", strategy=UpgradeStrategy.HANDOVER, **asks)
    visit(world, spec)
    assert complaints(world, spec) == []

    harm(world)

    assert complaints(world, spec) != []


@settings(max_examples=200, deadline=None)
@given(specs, both, cuts)
def test_a_wish_for_a_restart_is_served_once_wherever_its_visit_was_cut(spec, rules, cut):
    spec = replace(spec, state=State.RUNNING, restarted_at="2026-01-01T00:00:00Z")
    world = new_world()
    visit(world, spec, rules)
    starts = world.starts
    after = replace(spec, restarted_at="2026-01-02T00:00:00Z")

    visit(world, after, rules, cut=cut)
    for _ in range(2):
        visit(world, after, rules)

    if spec.strategy is UpgradeStrategy.RESTART:
        assert world.starts == starts + 1
    else:
        # A server that never served may have been started in vain.
        assert world.memory("acme").instance == 2


@settings(max_examples=200, deadline=None)
@given(specs, specs, troubles, cuts)
def test_a_paused_tenant_is_left_as_it_is(before, after, trouble, cut):
    rules, earlier, later = trouble
    world = new_world()
    visit(world, before, rules, cut=cut if earlier else None)
    for harm in later:
        harm(world)
    world.disk("acme")
    found = copy.deepcopy((world.containers, world.servers, world.disks, world.leaves))

    visit(world, replace(after, paused=True), rules)

    assert (world.containers, world.servers, world.disks, world.leaves) == found
