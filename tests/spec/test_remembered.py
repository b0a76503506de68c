"""A document that was valid once is read on when rules of users become stricter."""

from __future__ import annotations

import json

import pytest

from cachepilot.spec.digest import canonical_json
from cachepilot.spec.parse import Parsed, parse_json
from cachepilot.spec.remembered import parse_remembered
from cachepilot.spec.rules import Rules
from tests.builders import rules, written


def text(*users, **spec):
    return canonical_json(written("acme", auth={"users": list(users)}, **spec))


def user(name="app", **fields):
    return {"name": name, "commands": ["+@read"], **fields}


def remembered(source, under=None):
    found = parse_remembered(source, under or Rules(), file="record.json")
    assert isinstance(found, Parsed), found
    return found.spec


@pytest.mark.parametrize("rule", ["+client|list", "+acl|setuser", "+@admin", "+sort|by"])
def test_a_rule_that_is_never_granted_is_refused_anew_and_kept_as_it_is(rule):
    """What it does not grant is taken away behind it, as ever; no server sees a change."""
    commands = ["+@read", rule, "-keys"]
    source = text(user(commands=commands), user("other", keys=["a:*"]), cpus=0.5)

    assert not isinstance(parse_json(source, Rules(), file="record.json"), Parsed)
    spec = remembered(source)
    assert [each.commands for each in spec.users] == [tuple(commands), ("+@read",)]
    assert spec.users[1].keys == ("a:*",)
    assert spec.cpus == 0.5


def test_a_user_of_whom_nothing_would_be_left_goes_on_having_nothing():
    spec = remembered(text(user(commands=["+client|list"])))

    assert spec.users[0].commands == ("+client|list",)


@pytest.mark.parametrize(
    ("keys", "read"),
    [
        (["%RW~a:*"], ["a:*"]),
        (["%wr~a:*", "b"], ["a:*", "b"]),
        (["%r~a:*"], ["%R~a:*"]),
        (["%RR~a", "%w~b"], ["%R~a", "%W~b"]),
        (["%R~a", "c", "%W~a"], ["a", "c"]),
        (["a", "%R~a"], ["a"]),
        (["%RW~%a"], [r"\%a"]),
        (["%r~%a"], ["%R~%a"]),
        (["%RW~*", "a"], ["*"]),
        (["%R~*", "%W~*"], ["*"]),
        # No server takes these, so the user keeps what it has, as it does today.
        (["%a", "b"], ["%a", "b"]),
    ],
)
def test_a_key_pattern_becomes_what_servers_take_it_for(keys, read):
    source = text(user(keys=keys))

    assert remembered(source).users[0].keys == tuple(read)


def test_a_document_that_is_valid_today_is_read_as_ever():
    source = text(user(keys=["%R~a", "b"]))

    assert parse_remembered(source, Rules(), file="f") == parse_json(source, Rules(), file="f")


@pytest.mark.parametrize(
    "source",
    [
        "{",
        "null",
        '{"spec": {"auth": {"users": ["app", {"name": 1}]}}}',
        text(user(commands=["+client|list"]), memory={"max": "64MB"}),
        text(user(commands=["+client|list", "on"])),
        text(user(commands=["+client|list"]), user()),
        text(user(keys=["%a b", "%RW~a"])),
        text(user(keys=["a", "*"])),
    ],
)
def test_any_other_fault_is_told_as_ever(source):
    found = parse_remembered(source, Rules(), file="record.json")

    assert found == parse_json(source, Rules(), file="record.json")
    assert isinstance(found, tuple)


def test_the_limits_of_the_host_still_hold():
    few = rules(limits={"users": 1})
    source = text(user(commands=["+client|list"]), user("other"))

    assert isinstance(parse_remembered(source, few, file="record.json"), tuple)
    assert len(json.loads(source)["spec"]["auth"]["users"]) == len(remembered(source).users)
