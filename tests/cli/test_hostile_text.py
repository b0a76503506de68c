"""What strangers wrote never reaches a terminal as anything but letters on one line."""

import ast
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import cachepilot.cli
from cachepilot.cli.columns import table
from cachepilot.cli.output import harmless, json_text, yaml_text
from tests.cli.hosts import document

# Clears the screen, rings, colours, sets the title, turns the direction, and begins a new line.
EVIL = "\x1b[2Jboo\x07\x1b[31m\x1b]0;owned\x07\x9b1m\u202e\r\nerror: forged\x7f\u2028"
ANY = st.text(st.characters(), max_size=30)


def is_harmless(text):
    return all(unicodedata.category(letter)[0] != "C" for letter in text.replace("\n", ""))


@pytest.fixture
def hostile(host):
    """A host on which everything that anybody can write is hostile."""
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": EVIL,
        "message": EVIL,
        "lastTransitionTime": EVIL,
    }
    host.publish(
        "acme",
        "Invalid",
        metadata={"labels": {EVIL: EVIL}, "annotations": {EVIL: EVIL}, "source": EVIL},
        spec={"engine": {"image": EVIL, "config": {EVIL: [EVIL]}}, EVIL: EVIL},
        status={
            "conditions": [condition, {**condition, "type": EVIL}],
            "endpoints": [{"listener": EVIL, "host": EVIL, "port": EVIL}],
            "problems": [EVIL],
            "plan": [EVIL],
            "generation": EVIL,
        },
    )
    host.publish("beta", f"{EVIL}\udcff")
    host.write("gamma.yaml", document("gamma"))
    host.publish("gamma", EVIL, conditions=[condition], digest=host.digest_of("gamma"))
    event = {"time": EVIL, "type": EVIL, "tenant": "acme", "reason": EVIL, "message": EVIL}
    host.paths.events.write_text(f"{json.dumps(event)}\n")
    host.write("acme.yaml", document("acme", f"spec: {{cpus: 1}} # {EVIL}\n"))
    return host


LOOKING = [
    ["get", "tenants"],
    ["get", "tenants", "-o", "wide"],
    ["get", "tenants", "-o", "name"],
    ["get", "tenants", "--sort-by", ".spec.engine.image"],
    ["get", "tenants", EVIL],
    ["get", "tenants", "-l", EVIL],
    ["get", EVIL],
    ["describe", "tenant", "acme", "beta"],
    ["events"],
    ["wait", "acme", "--for=condition=Ready", "--timeout", "1s"],
    ["wait", "acme", f"--for={EVIL}"],
    ["wait", "gamma", "--for=condition=Ready", "--timeout", "1s"],
    ["plan", "acme"],
    ["plan", "gamma"],
    ["diff", "-f", "{good}"],
    ["diff", "-f", "{work}"],
    ["apply", "-f", "{work}"],
    ["apply", "-f", EVIL],
    ["validate", "{work}", "{folder}", "{good}"],
    ["set", "acme", f"metadata.labels.a={EVIL}"],
    ["set", "acme", f"{EVIL}=1"],
    ["start", "acme"],
    ["explain", EVIL],
    ["config", "check", "{settings}"],
    ["stop", EVIL],
    [EVIL],
]  # fmt: skip


@pytest.mark.parametrize("colour", ["always", "never"])
@pytest.mark.parametrize("args", LOOKING, ids=map(str, range(len(LOOKING))))
def test_nothing_hostile_is_printed(hostile, tmp_path, args, colour):
    work, good = tmp_path / "work", tmp_path / f"good{EVIL.replace('/', '')}.yaml"
    (work / "key.yaml").write_text(f'"{json.dumps(EVIL)[1:-1]}": 1\n')
    (work / "raw.yaml").write_text(f"a: {EVIL}\n")
    (work / "turned.yaml").write_text('"\u202efield": 1\n')
    good.write_text(document("gamma", '  annotations: {a: "\u202e"}\nspec: {}\n'))
    (settings := work / "settings").write_text('"\u202efield": 1\n')
    places = {
        "{work}": work,
        "{good}": good,
        "{folder}": hostile.paths.tenants_d,
        "{settings}": settings,
    }
    ended = hostile.run(*(places.get(arg, arg) for arg in args), "--color", colour)
    printed = ended.out + ended.err
    for code in ("0", "1", "31", "32", "33", "36"):
        printed = printed.replace(f"\x1b[{code}m", "") if colour == "always" else printed
    assert is_harmless(printed), printed
    assert "cannot go on" not in printed
    assert not any(line.startswith("error: forged") for line in printed.splitlines())


def test_our_own_colours_are_not_theirs(hostile):
    """Only what we wrote is coloured."""
    out = hostile.run("describe", "tenant", "acme", "--color", "always").out
    assert r"\x1b[31m" in out
    assert out.count("\x1b[31m") == 1  # the word Invalid


@given(ANY)
def test_harmless_text_is_one_line_and_otherwise_itself(text):
    shown = harmless(text)
    assert is_harmless(shown)
    assert len(shown.splitlines()) <= 1
    assert harmless(shown) == shown
    assert shown == text or not text.isprintable()


@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=4))
def test_a_row_is_a_line(rows):
    assert [len(line.splitlines()) for line in table(rows)] == [
        1 if any(map(harmless, row)) and "".join(map(harmless, row)).strip() else 0 for row in rows
    ]


@given(st.dictionaries(ANY, ANY, min_size=1, max_size=3))
def test_machine_output_is_exact_and_yet_harmless(content):
    assert json.loads(json_text(content)) == content
    shown = json_text(content) + yaml_text(content)
    assert not set(shown) & set("\x1b\x07\x9b\x7f\x85\u2028\u202e\udcff")
    shown.encode()


@given(st.dictionaries(ANY, ANY, min_size=1, max_size=3))
def test_yaml_output_reads_back_whatever_it_holds(content):
    loaded = YAML(typ="safe", pure=True).load(yaml_text(content))
    assert json.dumps(loaded) == json.dumps(content)


def test_everything_is_printed_in_one_place():
    """Elsewhere nobody would clean it; a completion script and this reference are our own."""
    folder = Path(cachepilot.cli.__file__).parent
    printing = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in {"echo", "secho"})
        or (isinstance(node, ast.Name) and node.id == "print")
    }
    assert printing == {"output.py", "completion.py", "reference.py"}
