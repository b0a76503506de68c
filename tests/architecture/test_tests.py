"""Rules about tests that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = {
    str(path.relative_to(TESTS)): path
    for path in sorted(TESTS.rglob("*.py"))
    if path.relative_to(TESTS).parts[0] != "benchmarks"  # they measure, and assert nothing
}
# The helper that waits for the world.
MAY_SLEEP = {"scenarios/waiting.py"}
_CLOCKS = {"monotonic", "perf_counter", "time", "monotonic_ns", "perf_counter_ns"}


def sleeps(tree):
    """Return the lines on which a module sleeps."""
    return [node.lineno for node in ast.walk(tree) if _calls(node, {"sleep"})]


def timings(tree):
    """Return the lines on which an assertion is about how long something took."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        and any(
            isinstance(part, ast.BinOp)
            and isinstance(part.op, ast.Sub)
            and any(_calls(inner, _CLOCKS) for inner in ast.walk(part))
            for part in ast.walk(node.test)
        )
    ]


def _calls(node, names):
    return (
        isinstance(node, ast.Call)
        and (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) in names
    )


@pytest.mark.parametrize("name", sorted(MODULES.keys() - MAY_SLEEP))
def test_no_test_sleeps(name):
    assert sleeps(ast.parse(MODULES[name].read_text())) == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_test_asserts_how_long_something_took(name):
    assert timings(ast.parse(MODULES[name].read_text())) == []


def test_the_scan_sees_what_it_looks_for():
    tree = ast.parse(
        "time.sleep(1)\nsleep(1)\nassert time.monotonic() - begun < 25\nassert clock() > 3\n"
    )

    assert (sleeps(tree), timings(tree)) == ([1, 2], [3])
