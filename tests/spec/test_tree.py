"""Finding one's way in a document."""

from __future__ import annotations

import pytest

from cachepilot.spec.tree import NOWHERE, Place, Tree, field_path, shorten

TREE = Tree(
    file="acme.yaml",
    value={"spec": {"cpus": 1, "tls": None, "bind": ["::1", "127.0.0.1"]}},
    keys={("spec",): Place(2, 1, 5, 9)},
    values={("spec", "bind", 1): Place(4, 9, 30, 40)},
)


@pytest.mark.parametrize(
    ("path", "found", "is_there"),
    [
        ((), TREE.value, True),
        (("spec", "cpus"), 1, True),
        (("spec", "tls"), None, True),
        (("spec", "bind", 1), "127.0.0.1", True),
        (("spec", "bind", 2), None, False),
        (("spec", "bind", "1"), None, False),
        (("spec", "memory"), None, False),
        (("spec", "memory", "max"), None, False),
        (("spec", "cpus", "max"), None, False),
        (("spec", "cpus", 0), None, False),
        (("spec", 0), None, False),
    ],
)
def test_what_is_written_is_found_and_nothing_else(path, found, is_there):
    assert TREE.find(path) == found
    assert TREE.has(path) is is_there


def test_what_is_missing_stands_where_its_nearest_parent_does():
    assert TREE.place(("spec", "bind", 1)).line == 4
    assert TREE.place(("spec", "memory", "max")).line == 2
    assert TREE.place(("kind",)) == NOWHERE


def test_a_path_is_written_as_people_do():
    assert field_path(("spec", "bind", 0)) == "spec.bind[0]"
    assert field_path(("metadata", "labels", "a/b c")) == 'metadata.labels["a/b c"]'


def test_what_is_shown_is_short_and_printable():
    assert shorten("a\n\tb\x1b[31m") == "a b\N{REPLACEMENT CHARACTER}[31m"
    assert shorten("x" * 100, 10) == "x" * 9 + "…"
