"""What an author may write about further users, and how a mistake is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec, UserSpec
from cachepilot.spec.tree import field_path
from tests.builders import document, rules

HEAD = """apiVersion: cachepilot/v1
kind: Tenant
metadata: {name: acme}
spec:
  auth:
    users:
"""
APP = {"name": "app", "commands": ["+@read"]}


def lines(source, under=None):
    (tree,) = read_documents((HEAD + source).encode(), "acme.yaml").trees
    found = parse(tree, under or Rules())
    return [] if isinstance(found, Parsed) else [str(problem) for problem in found]


def faults(*users, under=None, **auth):
    found = resolve(document("acme", auth={**auth, "users": list(users)}), under or Rules())
    if isinstance(found, TenantSpec):
        return {}
    return {field_path(fault.path).removeprefix("spec.auth."): fault.message for fault in found}


def one(line):
    return lines(f"      - name: app\n        commands: ['+@read']\n{line}")


def test_what_is_written_is_what_is_wanted_in_its_order():
    user = {
        **APP,
        "keys": ["app:*", "%R~all:*"],
        "channels": ["news"],
        "rotatedAt": "2026-03-01T00:00:00Z",
    }

    spec = resolve(document("acme", auth={"users": [user, {**APP, "name": "b"}]}), Rules())

    assert spec.users == (
        UserSpec(
            name="app",
            keys=("app:*", "%R~all:*"),
            channels=("news",),
            commands=("+@read",),
            rotated_at="2026-03-01T00:00:00Z",
        ),
        UserSpec(name="b", commands=("+@read",)),
    )


@pytest.mark.parametrize(
    ("auth", "given", "every"),
    [
        ({}, {}, None),
        ({"rotateEvery": "30d"}, {}, 30),
        ({}, {"rotateEvery": "20d"}, 20),
        ({"rotateEvery": "30d"}, {"rotateEvery": "20d"}, 30),
        ({"passwordFile": "/etc/cachepilot/passwords/a"}, {"rotateEvery": "20d"}, 20),
    ],
)
def test_generated_passwords_of_all_users_get_equally_old(auth, given, every):
    file = {**APP, "name": "file", "passwordFile": "/etc/cachepilot/passwords/b"}
    under = rules(defaults={"auth": given})

    spec = resolve(document("acme", auth={**auth, "users": [APP, file]}), under)

    app, from_file = spec.users
    assert app.rotate_every == (timedelta(days=every) if every else None)
    assert from_file.rotate_every is None


@pytest.mark.parametrize("name", ["app", "A", "shop.web-2_x", "0", "a" * 48, "defaults", "my"])
def test_a_name_is_what_servers_and_people_can_read(name):
    assert faults({**APP, "name": name}) == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("default", "is there already"),
        ("Default", "is there already"),
        ("cachepilot", "are reserved"),
        ("CachePilot-x", "are reserved"),
        ("cachepilot-metrics", "are reserved"),
        ("a b", "expected letters, digits"),
        ("-a", "expected letters, digits"),
        ("ä", "expected letters, digits"),
        ('""', "expected letters, digits"),
        ("a" * 49, "expected letters, digits"),
    ],
)
def test_a_name_that_is_ours_or_unreadable_is_refused_where_it_stands(name, words):
    (line,) = lines(f"      - commands: ['+@read']\n        name: {name}\n")

    assert line.startswith("acme.yaml:8:15: spec.auth.users[0].name: ")
    assert words in line


@pytest.mark.parametrize(
    "rule",
    ["+get", "-get", "+@read", "-@all", "+@all", "+xinfo|stream", "+json.get", "+config|help"],
)
def test_a_rule_adds_or_takes_a_category_or_command(rule):
    assert faults({**APP, "commands": [rule]}) == {}


@pytest.mark.parametrize(
    "rule",
    [
        *("get", "allcommands", "nopass", ">hunter2", "#abc", "~*", "&*", "on", "reset", "(+get)"),
        *("+GET", "+get|", "+a|b|c", "+ get", "+get\\n-get", "++get", "+@", ""),
    ],
)
def test_nothing_else_can_be_smuggled_in_among_the_rules_and_nothing_is_repeated(rule):
    (line,) = lines(f'      - name: app\n        commands: ["{rule}"]\n')

    assert line.startswith("acme.yaml:8:20: spec.auth.users[0].commands[0]: expected + or -")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "rule", ["+config|get", "+config", "+@admin", "+@dangerous", "+shutdown", "+monitor", "+psync"]
)
def test_a_rule_that_could_never_have_an_effect_is_refused(rule):
    (line,) = lines(f"      - name: app\n        commands: [+get, {rule}]\n")

    assert line.startswith("acme.yaml:8:26: spec.auth.users[0].commands[1]: ")
    assert f"{rule} would have no effect" in line


@pytest.mark.parametrize(
    ("rule", "words", "hint"),
    [
        ("+acl|setuser", "which no user of a customer's may", "remove it"),
        ("+client|kill", "which no user of a customer's may", "remove it"),
        ("+client|list", "which no user of a customer's may", "remove it"),
        ("+cluster|reset", "which no user of a customer's may", "remove it"),
        ("+replicaof|help", "which no user of a customer's may", "remove it"),
        ("+info|server", "cannot be granted in part", "write +info"),
        ("+sort|key", "cannot be granted in part", "write +sort"),
    ],
)
def test_a_part_that_is_never_granted_is_refused_with_the_way_out(rule, words, hint):
    (line,) = lines(f"      - name: app\n        commands: [+get, {rule}]\n")

    assert line.startswith("acme.yaml:8:26: spec.auth.users[0].commands[1]: ")
    assert f"{rule} would have no effect" in line
    assert words in line
    assert hint in line


@pytest.mark.parametrize("rule", ["+@scripting", "+eval", "+script|load"])
def test_a_host_that_forbids_scripts_later_can_read_every_document_still(rule):
    assert faults({**APP, "commands": [rule]}, under=rules(scripting=False)) == {}


@pytest.mark.parametrize(
    "rule",
    [
        *("+acl", "+client", "+cluster", "+acl|whoami", "+client|setname", "+client|help"),
        *("+latency|help", "+info", "-info|server", "-eval", "-client|kill", "-@admin"),
    ],
)
def test_what_is_granted_in_part_or_taken_away_is_no_mistake(rule):
    assert faults({**APP, "commands": [rule]}) == {}


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        *(("keys", text) for text in ("a b", "a\\tb", "a\\u200b", "", "%R~", "%W~", "x" * 129)),
        *(("channels", text) for text in ("a b", "a\\u00a0b", "a\\u2028", "")),
    ],
)
def test_a_pattern_that_a_server_would_read_otherwise_is_refused(kind, pattern):
    (line,) = one(f'        {kind}: ["{pattern}"]\n')

    assert f"spec.auth.users[0].{kind}[0]: expected" in line


@pytest.mark.parametrize("pattern", ["*", "app:*", "a[bc]?", "é:*", "%R~a*", "%W~*", "(a", "#a"])
def test_any_other_pattern_is_fine(pattern):
    assert faults({**APP, "keys": [pattern]}) == {}


@pytest.mark.parametrize("kind", ["keys", "channels"])
def test_a_pattern_for_everything_stands_alone_and_none_twice(kind):
    assert faults({**APP, kind: ["*"]}) == {}
    assert "nothing may stand beside" in faults({**APP, kind: ["a", "*"]})[f"users[0].{kind}[1]"]
    assert "listed twice" in faults({**APP, kind: ["a", "b", "a"]})[f"users[0].{kind}[2]"]


@pytest.mark.parametrize(
    "pattern", ["%", "%Rx", "%x", "%~a", "%r~a", "%RR~a", "%RW~a", "%WR~a", "%RW~*", "%RW~"]
)
@pytest.mark.parametrize("others", ["", ", b"])
def test_only_one_half_can_stand_before_a_key_pattern(pattern, others):
    (line,) = one(f'        keys: ["{pattern}"{others}]\n')

    assert line.startswith("acme.yaml:9:16: spec.auth.users[0].keys[0]: expected %R~ or %W~")
    assert "write the pattern alone" in line


def test_a_key_that_begins_with_a_percent_sign_can_be_named():
    assert faults({**APP, "keys": ["\\%Rx", "a%"]}) == {}


@pytest.mark.parametrize(
    "keys", [["%R~a", "%W~a"], ["%W~a", "%R~a"], ["a", "%R~a"], ["%W~a", "a"], ["%R~*", "%W~*"]]
)
def test_halves_of_one_pattern_are_written_as_one(keys):
    """Servers make one of them, so they could never be read back as wanted."""
    pattern = keys[0].removeprefix("%R~").removeprefix("%W~")

    (line,) = one(f"        keys: {keys}\n")

    assert "acme.yaml:9:" in line
    assert f'"{pattern}" is listed for reading and for writing (write "{pattern}" alone' in line
    assert faults({**APP, "keys": ["%R~a", "%W~b", "%R~*"]}) == {}


def test_nobody_is_listed_twice():
    assert faults(APP, {**APP, "name": "App"}) == {}
    assert faults(APP, APP) == {"users[1].name": "the user app is listed twice"}


@pytest.mark.parametrize(("most", "is_fine"), [(0, False), (1, False), (2, True)])
def test_there_are_as_many_as_the_host_allows(most, is_fine):
    found = faults(APP, {**APP, "name": "b"}, under=rules(limits={"users": most}))

    assert ("users" in found) is not is_fine


def test_a_password_file_is_held_to_the_same_rules_as_the_customers():
    outside = faults({**APP, "passwordFile": "/etc/shadow"})
    assert "limits.passwordFiles" in outside["users[0].passwordFile"]
    assert "shadow" not in str(outside)

    both = {"passwordFile": "/etc/cachepilot/passwords/a", "rotatedAt": "2026-03-01T00:00:00Z"}
    assert "draws a new password" in faults({**APP, **both})["users[0].rotatedAt"]


def test_a_user_without_rules_or_with_an_unknown_key_is_told_what_is_missing():
    assert 'missing key "commands"' in lines("      - name: app\n")[0]
    (line,) = one("        comands: []\n")
    assert 'did you mean "commands"' in line or "known here" in line
    assert lines("      - name: app\n        commands: []\n") != []
