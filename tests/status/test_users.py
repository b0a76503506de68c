"""Who can log in and what they may is told once the server has it, and never more than that."""

from __future__ import annotations

from dataclasses import replace

from cachepilot.adapters.status_format import parse_tenant, render_tenant
from cachepilot.observe.user_memory import KeptRules
from cachepilot.plan.actions import RememberRules
from cachepilot.spec.tenant import UserSpec
from cachepilot.status.conditions import ConditionStatus, ConditionType
from tests.builders import tenant
from tests.fakes.scenes import look, plan, settled
from tests.status.test_facts import reading, status

APP = UserSpec(
    name="app", keys=("a:*", "%R~b"), channels=("news",), commands=("+@all", "-set", "+eval")
)
SPEC = tenant(users=(APP,))
SEEN = look(settled(SPEC), SPEC)


def published(seen=SEEN, spec=SPEC, **changes):
    found = status(spec=spec, seen=seen, reading=reading(spec=spec), **changes)
    assert parse_tenant(render_tenant(found)).users == found.users
    return {user.name: user for user in found.users}


def test_a_user_may_what_the_server_has_and_nobody_gets_more():
    denied = "-@admin -@dangerous"
    extras = "+info +keys +flushdb +flushall +sort +sort_ro"
    assert published()["app"].may == f"~a:* %R~b &news +@all -set +eval {denied} {extras}"

    without = published(spec=replace(SPEC, scripting=False))["app"].may

    assert without == f"~a:* %R~b &news +@all -set {denied} -@scripting {extras}"


def test_rights_that_are_asked_for_are_not_shown_before_the_server_has_them():
    asked = replace(APP, commands=("+get",))
    assert "+@all" in published(spec=replace(SPEC, users=(asked,)))["app"].may


def test_what_an_older_daemon_let_pass_is_not_shown_as_granted():
    kept = KeptRules(user="app", keys=(), channels=(), commands=("+get", "+client|kill"))
    seen = replace(SEEN, memory=replace(SEEN.memory, rules=(kept,)))
    assert published(seen)["app"].may == "+get -@admin -@dangerous"


def test_a_user_is_told_once_the_server_has_it():
    world = settled(tenant())
    actions = plan(world, SPEC).actions
    assert any(isinstance(action, RememberRules) for action in actions)
    world = settled(tenant())
    seen = look(world, SPEC)
    drawn = next(each for each in SEEN.memory.credentials if each.user == "app")
    memory = replace(seen.memory, credentials=(drawn, *seen.memory.credentials))

    assert "app" not in published(replace(seen, memory=memory))
    assert "app" in published()
    assert {"default", "cachepilot-metrics"} <= published(replace(seen, memory=memory)).keys()


def test_a_user_without_a_password_is_not_applied():
    """The server has it as nobody can log in as, which is read back as it was set."""
    credentials = tuple(each for each in SEEN.memory.credentials if each.user != "app")
    server = replace(
        SEEN.server,
        users=tuple(
            replace(user, flags=("off",), passwords=()) if user.name == "app" else user
            for user in SEEN.server.users
        ),
    )
    seen = replace(SEEN, server=server, memory=replace(SEEN.memory, credentials=credentials))

    found = status(spec=SPEC, seen=seen, reading=reading(spec=SPEC))

    applied = found.condition(ConditionType.CREDENTIALS_APPLIED)
    assert (applied.status, applied.reason) == (ConditionStatus.FALSE, "Differs")
    assert applied.message == "user app: it has no password yet"
