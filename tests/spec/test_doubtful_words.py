"""A bare `off` is no word to every reader; the hint says what its field takes instead."""

import pytest

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.rules import Rules

HEAD = "apiVersion: cachepilot/v1\nkind: Tenant\nmetadata: {name: acme}\nspec:\n"


def told(source):
    (tree,) = read_documents((HEAD + source).encode(), "acme.yaml").trees
    found = parse(tree, Rules())
    return [] if isinstance(found, Parsed) else [str(problem) for problem in found]


@pytest.mark.parametrize(
    ("source", "place", "hint"),
    [
        (
            "  access: {clientCertificates: off}\n",
            'acme.yaml:5:32: spec.access.clientCertificates: "off"',
            'put it in quotes: "off"',
        ),
        (
            "  access: {clientCertificates: OFF}\n",
            'acme.yaml:5:32: spec.access.clientCertificates: "OFF"',
            'put it in quotes: "off"',
        ),
        (
            "  access: {clientCertificates: no}\n",
            'acme.yaml:5:32: spec.access.clientCertificates: "no"',
            'write one of "off", optional, required',
        ),
        (
            "  persistence: {mode: off}\n",
            'acme.yaml:5:23: spec.persistence.mode: "off"',
            "write one of none, rdb, aof",
        ),
        (
            "  engine: {config: {appendfsync: no}}\n",
            'acme.yaml:5:34: spec.engine.config.appendfsync: "no"',
            'put it in quotes: "no"',
        ),
        ("  paused: yes\n", 'acme.yaml:5:11: spec.paused: "yes"', "write true or false"),
        (
            "  tls: {clients: [on]}\n",
            'acme.yaml:5:19: spec.tls.clients[0]: "on"',
            'put it in quotes: "on"',
        ),
        (
            "  nothing: {known: off}\n",
            'acme.yaml:5:20: spec.nothing.known: "off"',
            "write true or false, or quote it",
        ),
    ],
)
def test_the_hint_is_what_the_field_takes(source, place, hint):
    assert f"{place} is not a boolean in YAML 1.2 ({hint})" in told(source)


@pytest.mark.parametrize("word", ['"off"', "'off'", "optional"])
def test_what_the_hint_says_is_accepted(word):
    assert told(f"  access: {{clientCertificates: {word}}}\n") == []


def test_where_a_secret_may_stand_nothing_is_repeated():
    (line,) = told("  auth: {passwordFile: off}\n")
    assert "this value is not a boolean" in line
    assert "off" not in line
