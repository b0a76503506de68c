"""From text to a spec, or to everything that is wrong with it, each with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import Parsed, find_name, parse, parse_json
from cachepilot.spec.problem import Problem
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import Tree
from tests.builders import rules, text, written

HEAD = "apiVersion: cachepilot/v1\nkind: Tenant\nmetadata:\n  name: acme\n"


def tree(source: str) -> Tree:
    (found,) = read_documents(source.encode(), "acme.yaml").trees
    return found


def problems(source: str, under: Rules | None = None) -> tuple[Problem, ...]:
    found = parse(tree(source), under or Rules())
    assert not isinstance(found, Parsed), found
    return found


def lines(source: str) -> list[str]:
    return [str(problem) for problem in problems(source)]


def test_smallest_document_is_valid():
    found = parse(tree(HEAD), Rules())

    assert isinstance(found, Parsed)
    assert found.spec.name == "acme"


def test_keys_without_a_value_say_nothing():
    """Half an outline is not an error: `spec:` alone means the same as no spec."""
    bare = HEAD + "  labels:\n  annotations:\nspec:\n"
    outline = HEAD + "spec:\n  memory:\n  engine:\n    config:\n      hz:\n"

    for source in (bare, outline):
        found = parse(tree(source), Rules())

        assert isinstance(found, Parsed)
        assert found.spec == parse(tree(HEAD), Rules()).spec  # type: ignore[union-attr] # valid


def test_label_without_a_value_is_told():
    (problem,) = problems(HEAD + "  labels: {team: }\n")

    assert str(problem) == "acme.yaml:5:18: metadata.labels.team: expected text; got nothing"


def test_digest_is_about_what_is_written_not_how():
    one = parse(tree(HEAD + "spec: {cpus: 1, paused: false}\n"), Rules())
    other = parse(tree("# a\n" + HEAD + "spec:\n  paused: false # b\n  cpus: 1\n"), Rules())
    more = parse(tree(HEAD + "spec: {cpus: 2, paused: false}\n"), Rules())

    assert isinstance(one, Parsed)
    assert isinstance(other, Parsed)
    assert isinstance(more, Parsed)
    assert one.digest == other.digest
    assert one.digest != more.digest
    assert len(one.digest) >= 16


def test_remembered_document_reads_back_the_same():
    found = parse(tree(text("acme", memory={"max": "64MiB"}, cpus=0.5)), Rules())

    assert isinstance(found, Parsed)
    assert parse_json(found.json, Rules(), file="record.json") == found


@pytest.mark.parametrize("remembered", ["", "{", "[]", "null", '{"kind": 1}', '"\\ud800"'])
def test_damaged_memory_is_a_problem_and_not_a_crash(remembered):
    found = parse_json(remembered, Rules(), file="record.json")

    assert isinstance(found, tuple)
    assert found


GOLDEN = Path(__file__).parent / "golden"
EVERYTHING = (GOLDEN / "everything-wrong.yaml").read_text()


def test_everything_wrong_is_told_in_one_pass():
    """Writing, types, unknown keys and what does not fit together, sorted by line."""
    expected = (GOLDEN / "everything-wrong.txt").read_text()

    assert lines(EVERYTHING) == expected.splitlines()


def test_consequences_of_another_mistake_are_not_told():
    """memory.limit cannot be judged while memory.max is unreadable."""
    found = problems(HEAD + "spec:\n  memory:\n    max: 256MB\n    limit: 1MiB\n")

    assert [problem.where for problem in found] == ["spec.memory.max"]


def test_what_is_wrong_with_the_writing_is_told_without_its_consequences():
    (problem,) = problems(HEAD + "spec:\n  paused: yes\n")

    assert (problem.line, problem.where) == (6, "spec.paused")


def test_a_value_that_may_be_two_things_is_told_both():
    limit = "spec: {engine: {config: {client-output-buffer-limit: {normal: {hard: lots}}}}}\n"

    (problem,) = problems(HEAD + limit)

    assert problem.where == "spec.engine.config.client-output-buffer-limit.normal.hard"
    assert problem.message.startswith("expected a size such as 256MiB")
    assert problem.message.endswith('or 0; got "lots"')


def test_what_makes_no_sense_without_the_mistakes_is_not_judged_as_a_whole():
    """Without the address that is none, the list would be empty, which is no less wrong."""
    found = problems(HEAD + "spec: {access: {bind: [5]}, memory: {max: 64MiB, limit: 1MiB}}\n")

    assert [problem.where for problem in found] == ["spec.access.bind[0]"]


def test_a_key_and_its_value_that_are_both_wrong_are_one_problem():
    (problem,) = problems(HEAD + '  labels: {"-": []}\n')

    assert problem.message.startswith("expected letters, digits")


def test_what_is_missing_is_told_at_its_parent():
    found = problems("apiVersion: cachepilot/v1\nkind: Tenant\nmetadata:\n  labels: {a: b}\n")

    assert [(problem.line, problem.column, problem.where) for problem in found] == [
        (3, 1, "metadata.name")
    ]
    assert found[0].message == 'missing key "name"'


@pytest.mark.parametrize("source", ["- 1\n", "hello\n", "3\n", "[]\n", "---\n"])
def test_a_document_that_is_no_mapping_is_one_problem(source):
    (problem,) = problems(source)

    assert problem.message.startswith("expected a mapping; got ")


def test_no_message_repeats_what_may_be_a_secret():
    """Passwords end up in the wrong key; the answer must not carry them further."""
    canary = "hunter2canary"
    source = (
        HEAD
        + "spec:\n"
        + f"  auth: {{passwordFile: {canary}, password: {canary}}}\n"
        + f"  password: {canary}\n"
        + f"  secretToken: [{canary}]\n"
        + f"  engine: {{image: 'https://user:{canary}@host/redis'}}\n"
    )

    found = lines(source)

    assert len(found) == 5
    assert canary not in "\n".join(found)


def test_long_values_are_cut_and_stay_on_one_line():
    (problem,) = problems(HEAD + f'spec:\n  restartedAt: "{"x" * 500}\\n\\ty"\n')

    assert len(str(problem)) < 250
    assert "\n" not in str(problem)


def test_limits_of_the_host_count():
    (problem,) = problems(HEAD + "spec: {memory: {max: 2GiB}}\n", rules(limits={"memory": "1GiB"}))

    assert problem.where == "spec.memory.max"
    assert problem.message == "expected 1MiB to 1GiB as this host's limits say; got 2GiB"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (EVERYTHING, None),
        (HEAD + "spec: 3\n", "acme"),
        (HEAD + "spec: {paused: yes}\n", "acme"),
        ("metadata: {name: acme}\n", "acme"),
        ("metadata: {name: 3}\n", None),
        ("metadata: acme\n", None),
        ("- acme\n", None),
        ("metadata: {name: [acme]}\n", None),
    ],
)
def test_name_of_a_broken_document_is_found_if_it_is_one(source, name):
    assert find_name(tree(source)) == name


_KEYS = st.sampled_from(
    ["apiVersion", "kind", "metadata", "name", "labels", "spec", "memory", "max", "access", "bind"]
) | st.text(max_size=8)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=30,
)


@given(_VALUES)
def test_any_structure_is_a_spec_or_a_list_of_problems(value):
    """Whatever JSON can say is answered with a spec or with problems, never with a crash."""
    found = parse(Tree(file="x.yaml", value=value), Rules())

    assert isinstance(found, Parsed) or (found and all(problem.message for problem in found))


@given(spec=st.dictionaries(st.sampled_from(["memory", "access", "tls", "engine"]), _VALUES))
def test_any_spec_of_a_named_tenant_is_a_spec_or_a_list_of_problems(spec):
    value = json.loads(json.dumps(written("acme", **spec)))

    found = parse(Tree(file="x.yaml", value=value), Rules())

    assert isinstance(found, Parsed) or (found and all(problem.message for problem in found))
