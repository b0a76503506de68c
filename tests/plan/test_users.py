from __future__ import annotations

from dataclasses import replace

import pytest

from cachepilot.observe.memory import Memory, SeenCredential
from cachepilot.observe.snapshot import SeenServer
from cachepilot.plan.users import (
    BACKUP,
    CUSTOMER,
    DAEMON,
    MARKER,
    METRICS,
    OWN_USERS,
    render_users,
    strangers,
    twin_of,
    user_differences,
    wanted_users,
)
from cachepilot.spec.tenant import UserSpec
from tests.builders import tenant
from tests.fakes.scenes import look, plan, settled
from tests.fakes.world import NOON

SPEC = tenant()
SEEN = look(settled(), SPEC)
ANSWERS = SEEN.server
assert isinstance(ANSWERS, SeenServer)
WANTED = wanted_users(SPEC, SEEN.memory, NOON)


def edited(name, **changes):
    users = (replace(user, **changes) if user.name == name else user for user in ANSWERS.users)
    return replace(ANSWERS, users=tuple(users))


def test_each_user_has_a_twin_that_nobody_can_log_in_as():
    found = {user.name: user for user in WANTED}

    assert found.keys() == {*OWN_USERS, *map(twin_of, OWN_USERS), MARKER}
    for name in OWN_USERS:
        twin = found[twin_of(name)]
        assert twin.commands == found[name].commands
        assert (twin.enabled, twin.passwords, twin.keys, twin.channels) == (False, (), "", "")


def test_a_user_without_a_password_is_never_open():
    users = {user.name: user for user in wanted_users(SPEC, Memory(), NOON)}

    assert not users[CUSTOMER].enabled
    assert "nopass" not in render_users(tuple(users.values()))
    assert render_users(tuple(users.values())).startswith("user default off ")


def test_the_newest_revision_of_each_password_is_the_only_one_accepted():
    credentials = (
        SeenCredential(user=CUSTOMER, revision=3),
        SeenCredential(user=DAEMON, revision=1),
        SeenCredential(user=CUSTOMER, revision=2),
    )

    users = {user.name: user for user in wanted_users(SPEC, Memory(credentials=credentials), NOON)}

    assert users[CUSTOMER].passwords == (3,)
    assert users[DAEMON].passwords == (1,)


@pytest.mark.parametrize("name", [DAEMON, METRICS, BACKUP])
def test_none_of_our_own_can_name_a_customers_key(name):
    user = next(user for user in WANTED if user.name == name)

    assert (user.keys, user.channels) == ("", "")
    assert user.rules(())[1:3] == ("resetkeys", "resetchannels")


def test_a_server_of_an_older_daemon_is_told_whom_it_lacks():
    """Nothing but users is set, so nobody who is connected notices."""
    new = {METRICS, BACKUP, twin_of(METRICS), twin_of(BACKUP)}
    older = tuple(user for user in ANSWERS.users if user.name not in new)

    found = {
        user.name: why for user, why in user_differences(WANTED, replace(ANSWERS, users=older))
    }

    assert found == dict.fromkeys(new, "the server does not have it")


@pytest.mark.parametrize("scripting", [True, False])
def test_scripts_are_forbidden_by_the_host_only(scripting):
    users = wanted_users(tenant(scripting=scripting), SEEN.memory, NOON)
    customer = next(user for user in users if user.name == CUSTOMER)

    assert ("-@scripting" in customer.commands) is not scripting


def test_nothing_differs_on_a_server_that_was_left_alone():
    assert list(user_differences(WANTED, ANSWERS)) == []
    assert strangers(WANTED, ANSWERS) == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"passwords": ("2",)}, "password changed"),
        ({"passwords": ("1", "unknown")}, "password changed"),
        ({"passwords": ()}, "password changed"),
        ({"flags": ("off",)}, "flags changed"),
        ({"flags": ("nopass", "on")}, "flags changed"),
        ({"keys": "~own:*"}, "keys changed"),
        ({"channels": ""}, "channels changed"),
        ({"commands": "+@all"}, "commands changed"),
        ({"keys": "", "commands": "+@all"}, "keys, commands changed"),
    ],
)
def test_whatever_somebody_edited_is_named(changes, why):
    found = {
        user.name: reason for user, reason in user_differences(WANTED, edited(CUSTOMER, **changes))
    }

    twin = {twin_of(CUSTOMER): "commands changed"} if "commands" in changes else {}
    assert found == {CUSTOMER: why, **twin}


def test_an_edited_twin_is_mended_with_its_user():
    found = {
        user.name
        for user, _ in user_differences(WANTED, edited(twin_of(DAEMON), commands="+@all"))
    }

    assert found == {DAEMON, twin_of(DAEMON)}


def test_other_rules_reach_a_server_on_which_user_and_twin_still_agree():
    other = wanted_users(replace(SPEC, scripting=not SPEC.scripting), SEEN.memory, NOON)

    found = [user.name for user, _ in user_differences(other, ANSWERS)]

    # In this order: a visit that is cut before the marker tells the same again.
    assert found == [CUSTOMER, twin_of(CUSTOMER), MARKER]


def test_a_user_that_the_server_does_not_have_is_set():
    without = tuple(user for user in ANSWERS.users if user.name != twin_of(CUSTOMER))

    found = {
        user.name: why for user, why in user_differences(WANTED, replace(ANSWERS, users=without))
    }

    assert found == {twin_of(CUSTOMER): "the server does not have it"}


def test_strangers_are_named_in_order():
    more = tuple(replace(ANSWERS.users[0], name=name) for name in ("zoe", "eve"))

    assert strangers(WANTED, replace(ANSWERS, users=(*ANSWERS.users, *more))) == ("eve", "zoe")


@pytest.mark.parametrize(
    ("before", "after", "notice"),
    [
        (("a", "b"), ("a",), "reconnect"),
        (("*",), ("a",), "reconnect"),
        (("a",), (), "reconnect"),
        (("a",), ("a", "b"), "none"),
        (("a",), ("*",), "none"),
        ((), ("a",), "none"),
    ],
)
def test_a_plan_says_whether_subscribers_are_disconnected(before, after, notice):
    spec = tenant(users=(UserSpec(name="app", channels=before, commands=("+@pubsub",)),))
    world = settled(spec)

    found = plan(world, replace(spec, users=(replace(spec.users[0], channels=after),)))

    assert found.disruption.value == notice
    assert "(app)" in str(found)
