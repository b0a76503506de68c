"""Outside its window a tenant's server is never disturbed, and nothing is forgotten until then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.observe.snapshot import Liveness
from cachepilot.plan.holding import Turn
from cachepilot.spec.document import State
from cachepilot.spec.maintenance import Window
from tests.fakes.scenes import plan
from tests.fakes.texts import parse_configuration
from tests.fakes.visits import Daemon
from tests.properties.test_convergence import (
    HARMS,
    RULES,
    complaints,
    cuts,
    insistent,
    new_world,
    specs,
    vanish,
    visit,
)

# The world begins on a Thursday at noon.
WINDOW = Window(cron="0 3 * * 0", duration=timedelta(hours=2), time_zone="UTC")
OPENING = datetime(2026, 1, 4, 3, tzinfo=UTC)
KIND = [harm for harm in HARMS if harm is not vanish]
running = specs.map(lambda spec: replace(spec, state=State.RUNNING, window=WINDOW))


@settings(max_examples=60, deadline=None)
@given(running, st.lists(st.tuples(running, cuts), min_size=1, max_size=4), st.integers(1, 1000))
def test_edits_disturb_nobody_until_the_window_opens_and_then_all_hold(before, edits, data):
    world = new_world()
    visit(world, before)
    world.write("acme", data)
    starts, container = world.starts, world.containers["acme"].container_id

    for after, cut in edits:
        visit(world, after, cut=cut)
        visit(world, after)
        server = world.servers["acme"]
        assert (world.starts, world.containers["acme"].container_id) == (starts, container)
        assert (server.data, server.writes_paused) == (data, False)
        written = world.disk("acme").configuration
        shapes = [each.shape for each in world.containers.values()]
        inside = {str(at.container_port) for shape in shapes for at in shape.published}
        for text in (server.directives, parse_configuration(written)):
            assert {text["port"], text["tls-port"]} - {"0"} == inside
        assert plan(world, after).actions == ()

    world.now = OPENING
    visit(world, after)
    assert complaints(world, after) == []
    assert plan(world, after).actions == ()
    assert plan(world, after).held is None
    assert world.servers["acme"].data == data


@settings(max_examples=60, deadline=None)
@given(running, running, st.lists(st.sampled_from(HARMS), min_size=1, max_size=3), cuts)
def test_whatever_is_down_is_repaired_without_waiting(before, after, harms, cut):
    world = new_world()
    visit(world, before)
    visit(world, after, cut=cut)
    for harm in harms:
        harm(world)

    visit(world, after)

    assert world.containers["acme"].liveness is Liveness.RUNNING
    assert world.servers["acme"].writes_paused is False
    assert plan(world, after).actions == ()
    after = insistent(world, after)
    world.now = OPENING
    visit(world, after)
    assert complaints(world, after) == []


@settings(max_examples=60, deadline=None)
@given(running, running, cuts)
def test_a_window_that_closes_in_the_middle_leaves_nothing_half_done(before, after, cut):
    world = new_world()
    visit(world, before)
    world.write("acme", 5)
    world.now = OPENING
    visit(world, after, cut=cut)
    world.now = OPENING + timedelta(days=1)

    visit(world, after)

    assert world.containers["acme"].liveness is Liveness.RUNNING
    assert world.servers["acme"].data == 5
    assert not world.servers["acme"].writes_paused
    assert plan(world, after).actions == ()
    world.now = OPENING + timedelta(days=7)
    visit(world, after)
    assert complaints(world, after) == []


# Turns -------------------------------------------------------------------------------------------

EVERYTHING = frozenset({"image", "access", "bind", "databases"})
inheriting = specs.map(
    lambda spec: replace(
        spec, state=State.RUNNING, inherited=EVERYTHING, tls_port=None, plain_port=None
    )
)


@settings(max_examples=60, deadline=None)
@given(
    inheriting, st.lists(st.tuples(inheriting, cuts), min_size=1, max_size=4), st.integers(1, 9)
)
def test_new_defaults_replace_nobody_before_its_turn_and_all_hold_in_it(before, edits, data):
    """Wishes of the document's own replace it all the same, with the defaults as they are."""
    world = new_world()
    visit(world, before)
    world.write("acme", data)
    image, published = world.containers["acme"].shape.image, published_by(world)

    for after, cut in edits:
        Daemon(world).visit(after, RULES, cut=cut, turn=Turn.ANOTHERS)
        Daemon(world).visit(after, RULES, turn=Turn.ANOTHERS)
        found = world.containers["acme"].shape.image, published_by(world)
        assert found == (image, published)
        assert (world.servers["acme"].data, world.servers["acme"].writes_paused) == (data, False)
        served = {"image": before.image, "access": before.access, "bind": before.bind}
        own = replace(after, config=_with_databases(after, world), **served)
        wrong = [each for each in complaints(world, own) if each != "names"]
        assert wrong == []

    visit(world, after)
    assert complaints(world, after) == []
    assert world.servers["acme"].data == data


def published_by(world):
    return {at for each in world.containers.values() for at in each.shape.published}


def _with_databases(spec, world):
    live = world.servers["acme"].directives["databases"]
    return (
        *((key, value) for key, value in spec.config if key != "databases"),
        ("databases", live),
    )


@settings(max_examples=60, deadline=None)
@given(inheriting, inheriting, st.sampled_from(HARMS), st.sampled_from(Turn))
def test_whatever_a_hand_did_is_repaired_whoevers_turn_it_is(before, after, harm, turn):
    world = new_world()
    visit(world, before)
    Daemon(world).visit(after, RULES, turn=turn)
    harm(world)

    Daemon(world).visit(after, RULES, turn=turn)
    Daemon(world).visit(after, RULES, turn=turn)

    assert world.containers["acme"].liveness is Liveness.RUNNING
    assert not world.servers["acme"].writes_paused
    if turn is Turn.NOBODYS and harm is not vanish:
        assert world.containers["acme"].shape.image == before.image
    visit(world, after)
    assert complaints(world, after) == []
