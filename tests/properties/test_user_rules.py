"""Rules are tried before they hold: a refusal changes nothing, and nobody is ever left open.

The images below differ in what they know; the world in memory refuses to start a server whose file
has a rule that its image does not know, as real ones do.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.plan.actions import TryRules, TryRulesApart, interrupts
from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import UserSpec
from cachepilot.status.conditions import ConditionType
from tests.builders import tenant
from tests.fakes.scenes import plan
from tests.fakes.visits import Daemon
from tests.fakes.world import FakeWorld

# Versions whose data nobody knows to be too new for another.
KNOWS = {"redis:9.0": {"+new", "+odd"}, "redis:9.1": {"+odd"}, "valkey:9.1": {"+new"}}
RULES = ("+get", "+set", "+new", "+odd")

wanted_users = st.lists(
    st.builds(
        UserSpec,
        name=st.sampled_from(["app", "web"]),
        keys=st.sampled_from([(), ("*",)]),
        commands=st.sampled_from([(rule,) for rule in RULES]),
    ),
    max_size=2,
    unique_by=lambda user: user.name,
).map(tuple)
specs = st.builds(
    lambda **fields: tenant("acme", persistence=PersistenceMode.AOF, **fields),
    image=st.sampled_from(sorted(KNOWS)),
    users=wanted_users,
)


def new_world():
    unknown = {image: set(rules) for image, rules in KNOWS.items()}
    return FakeWorld(images=set(KNOWS), unknown_rules=unknown)


def knows(image, users):
    return not any(KNOWS[image] & set(user.commands) for user in users)


def visit(daemon, spec, cut=None):
    """Visit until a refusal is known and all else is done, as the queue does."""
    for _ in range(3):
        daemon.visit(spec, Rules(), cut=cut)
        if cut is not None:
            return


def users_of(world):
    users = world.servers["acme"].users
    return {name: users[name] for name in ("app", "web") if name in users}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(specs, st.one_of(st.none(), st.integers(0, 25))), max_size=6), specs)
def test_whatever_was_wished_before_the_last_wish_is_fulfilled_or_stops_nothing(walk, last):
    world = new_world()
    daemon = Daemon(world)
    visit(daemon, tenant("acme", image="redis:9.0", persistence=PersistenceMode.AOF))
    world.write("acme", 7)
    for spec, cut in walk:
        visit(daemon, spec, cut)

    visit(daemon, last)

    server, container = world.servers["acme"], world.containers["acme"]
    status = daemon.board.last
    assert server.data == 7
    assert all(not passwords or enabled for enabled, passwords, *_ in users_of(world).values())
    assert plan(world, last).actions == ()
    if knows(last.image, last.users):
        assert container.shape.image == last.image
        assert status.word == "Ready"
        live = users_of(world)
        assert {name: value[4].split()[1] for name, value in live.items()} == {
            user.name: user.commands[0] for user in last.users
        }
    else:
        told = status.condition(ConditionType.STALLED)
        assert told.reason == "UserRulesRefused"
        assert "spec.auth.users[" in told.message
        assert status.condition(ConditionType.CREDENTIALS_APPLIED).status == "False"


@settings(max_examples=200, deadline=None)
@given(specs, specs, st.integers(0, 25))
def test_a_refusal_leaves_users_and_server_as_they_were(before, after, cut):
    world = new_world()
    daemon = Daemon(world)
    before = replace(before, users=tuple(u for u in before.users if knows(before.image, (u,))))
    visit(daemon, before)
    world.write("acme", 7)
    starts, users, image = world.starts, users_of(world), world.containers["acme"].shape.image
    if knows(after.image, after.users):
        return

    visit(daemon, after, cut)
    visit(daemon, after)

    assert (world.starts, world.containers["acme"].shape.image) == (starts, image)
    for user in after.users:
        if user.name in users and not knows(after.image, (user,)):
            assert users_of(world)[user.name] == users[user.name]
    assert users_of(world).keys() <= {user.name for user in after.users}
    world.kill("acme")
    visit(daemon, after)
    assert world.servers["acme"].data == 7


@settings(max_examples=200, deadline=None)
@given(specs, specs)
def test_no_rule_is_tried_twice_on_one_image_and_none_holds_untried(before, after):
    world = new_world()
    daemon, tried = Daemon(world), []

    def look(spec):
        for _ in range(4):
            actions = plan(world, spec).actions
            trials = [each for each in actions if isinstance(each, TryRules | TryRulesApart)]
            tried.extend((t.image_id, user.rules) for t in trials for user in t.users)
            if trials:
                first = next((n for n, each in enumerate(actions) if interrupts(each)), 99)
                assert max(actions.index(trial) for trial in trials) < first
            daemon.visit(spec, Rules())

    look(before)
    look(after)

    assert len(tried) == len(set(tried))


def test_a_user_that_was_taken_out_is_gone_from_everywhere():
    world = new_world()
    daemon = Daemon(world)
    app = UserSpec(name="app", commands=("+get",), rotated_at="2026-03-01T00:00:00Z")
    spec = tenant("acme", image="redis:9.0", users=(app,))
    visit(daemon, spec)
    assert "app" in users_of(world)

    visit(daemon, replace(spec, users=()))

    memory = world.memory("acme")
    assert users_of(world) == {}
    assert "app" not in world.disk("acme").users
    assert not memory.credentials_of("app")
    assert (memory.rules, memory.rotations) == ((), ())
    assert "app" not in {user.name for user in daemon.board.last.users}
