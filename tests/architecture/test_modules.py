"""Rules about modules that no linter knows."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "cachepilot"
MODULES = {
    str(path.relative_to(PACKAGE)): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py" or path.stat().st_size
}
HARD_CAP = 400
SOFT_CAP_OF_MEDIAN = 150
BANNED_WORDS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base_utils"}

# Whoever is not an adapter may not change the world behind its ports' back. These may, because:
MAY_TOUCH = {
    "daemon/main.py": {"mkdir": "the folders must be there before any adapter can use them"},
    "cli/get.py": {"shutil": "it is asked for the width of the terminal"},
    "cli/main.py": {
        "os.open": "output goes to /dev/null once its reader is gone",
        "dup2": "as above",
    },
}

_WRITING_MODES = set("wax+")
_CHANGING_OF_OS = set(
    """
    chmod chown dup2 fchmod fchown ftruncate kill killpg link makedirs mkdir pwrite remove
    removedirs rename renames replace rmdir symlink truncate unlink utime write
    """.split()  # noqa: SIM905 - a list of words is easier to keep in order
)
_CHANGING_METHODS = {"write_text", "write_bytes", "unlink", "rmdir", "symlink_to", "touch"}
_CHANGING_METHODS |= {"hardlink_to", "chmod", "mkdir"}
_CHANGING_LIBRARIES = {"subprocess", "shutil", "tempfile", "pty"}


def tree(path):
    return ast.parse(path.read_text(), filename=str(path))


def changes(path):
    """Yield (line, word) of whatever in a module may change the world without a port."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] in _CHANGING_LIBRARIES:
                    yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in _CHANGING_LIBRARIES:
                yield node.lineno, node.module
            if node.module == "os":
                yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.Call) and (word := change_of(node)):
            yield node.lineno, word


def change_of(call):
    function = call.func
    if isinstance(function, ast.Name):
        return "open" if function.id == "open" and opens_for_writing(call, 1) else None
    if not isinstance(function, ast.Attribute):
        return None
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if owner == "os" and function.attr in _CHANGING_OF_OS:
        return function.attr
    if function.attr in _CHANGING_METHODS:
        return function.attr
    if owner == "os" and function.attr == "open" and "O_RDONLY" not in ast.dump(call):
        return "os.open"
    if function.attr == "open" and owner != "os" and opens_for_writing(call, 0):
        return "open"
    return None


def opens_for_writing(call, position):
    given = [*call.args[position : position + 1]]
    given += [word.value for word in call.keywords if word.arg == "mode"]
    for mode in given:
        if not isinstance(mode, ast.Constant):
            return True  # nobody can tell
        if isinstance(mode.value, str) and _WRITING_MODES & set(mode.value):
            return True
    return False


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_longer_than_anybody_reads_at_once(name):
    length = len(MODULES[name].read_text().splitlines())

    assert length <= HARD_CAP, f"{name} has {length} lines; find the second idea in it"


def test_most_modules_fit_on_two_screens():
    lengths = [len(path.read_text().splitlines()) for path in MODULES.values()]

    assert statistics.median(lengths) <= SOFT_CAP_OF_MEDIAN


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_named_after_an_idea(name):
    words = set(name.removesuffix(".py").replace("/", "_").split("_"))

    assert not words & BANNED_WORDS


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_part_of_the_story_it_is(name):
    assert ast.get_docstring(tree(MODULES[name]))


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("adapters/")])
def test_only_adapters_change_the_world(name):
    excused = MAY_TOUCH.get(name, {})

    found = [(line, word) for line, word in changes(MODULES[name]) if word not in excused]

    assert found == [], f"{name}: go through a port, or give a reason in MAY_TOUCH"


def test_every_excuse_is_still_needed():
    for name, words in MAY_TOUCH.items():
        used = {word for _, word in changes(MODULES[name])}
        assert set(words) <= used, f"{name} no longer needs {set(words) - used}"


@pytest.mark.parametrize(
    ("text", "is_change"),
    [
        ("open('a')", False),
        ("open('a', 'rb')", False),
        ("open('a', 'w')", True),
        ("open('a', mode='a')", True),
        ("open('a', mode)", True),
        ("path.open()", False),
        ("path.open('r+')", True),
        ("path.write_text('a')", True),
        ("path.read_text()", False),
        ("os.open('a', os.O_RDONLY | os.O_CLOEXEC)", False),
        ("os.open('a', os.O_WRONLY)", True),
        ("os.kill(1, 9)", True),
        ("os.getpid()", False),
        ("import subprocess", True),
        ("from subprocess import run", True),
        ("from os import unlink", True),
        ("from shutil import rmtree", True),
        ("text.replace('a', 'b')", False),
    ],
)
def test_the_scan_sees_changes_and_nothing_else(tmp_path, text, is_change):
    path = tmp_path / "module.py"
    path.write_text(text)

    assert bool(list(changes(path))) is is_change
