"""What an author's users may do, tried and told, on the fake and on three real engines."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot import clock
from cachepilot.errors import StalledError
from cachepilot.observe.snapshot import SeenServer
from cachepilot.plan.actions import TriedUser
from cachepilot.plan.user_rules import as_acl_user, rules_of
from cachepilot.plan.users import PROBE, strangers, user_differences, wanted_users
from cachepilot.spec.tenant import UserSpec
from tests.contract.bench import ENGINES, UNKNOWN_RULE
from tests.fakes.world import NOON


@pytest.fixture
def bench(hall):
    return hall[0]


@pytest.fixture
def image(hall):
    return hall[1]


@pytest.fixture
def made(bench, image):
    return bench.serve(image=image)


def tell(bench, made, verb, **words):
    return getattr(bench.writers.server, verb)(made.name, instance=1, **words)


def wanted(bench, made):
    return wanted_users(made.spec, bench.readers.memory.recall(made.name), NOON)


APP = UserSpec(
    name="app",
    keys=("app:*", "%R~shared:*", "%W~log:*"),
    channels=("news", "app.*"),
    commands=("+@read", "+set", "+xinfo|stream", "-keys", "+info"),
)
WEB = UserSpec(name="Web.2_x", keys=("*",), channels=("*",), commands=("+@all", "-@write"))


def tried(user, place="spec.auth.users[0]"):
    line = as_acl_user(user, passwords=(), scripting=True)
    return TriedUser(
        name=user.name, place=place, rules=rules_of(user), line=replace(line, name=PROBE)
    )


def verdicts(bench, made):
    kept = bench.readers.memory.recall(made.name).verdicts
    return {(verdict.image_id, verdict.rules): bool(verdict.refusal) for verdict in kept}


def test_users_of_an_author_are_read_back_as_wanted_from_file_and_when_set(bench, image):
    made = bench.serve(image=image, users=(APP, WEB))

    assert list(user_differences(wanted(bench, made), bench.ask(made))) == []
    for user in wanted(bench, made):
        tell(bench, made, "set_user", user=user)
    assert list(user_differences(wanted(bench, made), bench.ask(made))) == []
    assert strangers(wanted(bench, made), bench.ask(made)) == ()


def test_rules_are_tried_on_the_server_and_leave_nothing_but_the_verdict(bench, made):
    unknown = replace(APP, name="odd", commands=("+get", UNKNOWN_RULE))
    trial, image_id = bench.writers.trials, bench.seen(made).image_id
    asked = {"instance": 1, "image": made.spec.image, "image_id": image_id}

    trial.on_server(made.name, **asked, users=(tried(APP), tried(WEB)))
    with pytest.raises(StalledError) as refusal:
        trial.on_server(made.name, **asked, users=(tried(unknown),))

    assert refusal.value.reason == "UserRulesRefused"
    assert not bench.is_real or "nosuchcommand" in str(refusal.value)
    assert verdicts(bench, made) == {
        (image_id, rules_of(APP)): False,
        (image_id, rules_of(WEB)): False,
        (image_id, rules_of(unknown)): True,
    }
    assert bench.user(made, PROBE) is None
    assert list(user_differences(wanted(bench, made), bench.ask(made))) == []


def test_rules_that_are_to_be_replaced_may_be_refused(bench, made):
    unknown = replace(APP, commands=(UNKNOWN_RULE,))
    image_id = bench.seen(made).image_id

    bench.writers.trials.on_server(
        made.name,
        instance=1,
        image=made.spec.image,
        image_id=image_id,
        users=(tried(unknown, place=""),),
    )

    assert verdicts(bench, made) == {(image_id, rules_of(unknown)): True}


def test_rules_are_tried_on_an_image_beside_the_server_that_is_to_be_replaced(bench, image):
    made = bench.serve()
    before = bench.ask(made).run_id
    unknown = replace(APP, name="odd", commands=(UNKNOWN_RULE,))
    asked = {
        "image": image,
        "image_id": bench.readers.containers.image_id(image),
        "uid": made.reservation.uid,
    }

    bench.writers.trials.apart(made.name, **asked, users=(tried(APP),))
    with pytest.raises(StalledError) as refusal:
        bench.writers.trials.apart(made.name, **asked, users=(tried(WEB), tried(unknown)))

    assert refusal.value.reason == "UserRulesRefused"
    image_id = asked["image_id"]
    assert verdicts(bench, made) == {
        (image_id, rules_of(APP)): False,
        (image_id, rules_of(WEB)): False,
        (image_id, rules_of(unknown)): True,
    }
    assert bench.probes() == []
    assert bench.ask(made).run_id == before
    assert len(bench.readers.containers.find(made.name)) == 1


@pytest.mark.docker
def test_an_image_that_runs_no_server_takes_no_rules(real_bench):
    """A server for another program is asked for, so nothing of it can be started."""
    made = real_bench.serve()
    image_id = real_bench.readers.containers.image_id(ENGINES["redis8"])

    with pytest.raises(StalledError, match="valkey-server"):
        real_bench.writers.trials.apart(
            made.name, image="valkey:odd", image_id=image_id, uid=1, users=(tried(APP),)
        )

    assert list(verdicts(real_bench, made).values()) == [True]
    assert real_bench.probes() == []


@pytest.mark.docker
@pytest.mark.parametrize(
    ("rule", "known"),
    [("+hexpire", {"redis8"}), ("+commandlog|help", {"valkey8"}), ("+get", set(ENGINES))],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_differ_in_what_they_know(real_bench, engine, rule, known):
    made = real_bench.serve()
    user = UserSpec(name="app", commands=(rule,))
    image = ENGINES[engine]

    with contextlib.suppress(StalledError):
        real_bench.writers.trials.apart(
            made.name,
            image=image,
            image_id=real_bench.readers.containers.image_id(image),
            uid=made.reservation.uid,
            users=(tried(user),),
        )

    assert list(verdicts(real_bench, made).values()) == [engine not in known]


@pytest.mark.docker
def test_what_a_killed_daemon_was_trying_is_cleared_away_by_the_next(real_bench):
    made = real_bench.serve()
    image = ENGINES["redis8"]
    image_id = real_bench.readers.containers.image_id(image)
    probes = real_bench.parts.probes
    trial = probes.running(made.name, image=image, image_id=image_id, uid=made.reservation.uid)
    with trial:
        assert len(real_bench.probes()) == 2

        probes.discard_all(before=clock.utc_now() - timedelta(minutes=1))
        assert len(real_bench.probes()) == 2  # it is of this very daemon

        probes.discard_all(before=clock.utc_now() + timedelta(minutes=1))
        assert real_bench.probes() == []
    assert isinstance(real_bench.ask(made), SeenServer)
