"""One YAML document as plain values, with the place of everything in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cachepilot.spec.problem import Problem

Value = str | int | float | bool | list["Value"] | dict[str, "Value"] | None
Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Place(NamedTuple):
    """Where something stands: line and column from 1, and its span in characters from 0.

    The span counts from the first character behind a byte order mark; that of a mapping or list
    in block style reaches to whatever follows it.
    """

    line: int
    column: int
    start: int
    end: int


NOWHERE = Place(0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A mistake in a document, before anybody knows which file it came from.

    Attributes:
        path: The field that is wrong, or the missing one.
        at_key: Whether the key itself is wrong rather than its value.
        at: The exact place, where the path alone would not lead to it.
        involves: Further fields that the sentence depends on; if one of them is wrong by itself,
            this fault may be a mere consequence and is not worth telling.
        word: What was written, where it is text to some readers and a boolean to others; whoever
            knows what the field takes can say more.
    """

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    at: Place | None = None
    involves: tuple[Path, ...] = ()
    word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One document.

    Attributes:
        file: Path as the author knows it.
        start: Where the document begins.
        value: What it holds: plain values only, no node occurs twice.
        keys: Place of each key, by the path of its value.
        values: Place of each value; the empty path is the whole document.
        faults: What is wrong with the writing itself, such as a duplicate key. A tree with faults
            must not be used as a wish, but may be looked into for names and further mistakes.
    """

    file: str
    value: Value
    start: Place = NOWHERE
    keys: Mapping[Path, Place] = field(default_factory=dict)
    values: Mapping[Path, Place] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def find(self, path: Path) -> Value:
        """Return the value at *path*, or None where there is none."""
        found = self.value
        for step in path:
            if isinstance(found, dict) and isinstance(step, str):
                found = found.get(step)
            elif isinstance(found, list) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return None
        return found

    def has(self, path: Path) -> bool:
        """Return whether something was written at *path*, even if only the key."""
        if not path:
            return True
        parent, step = self.find(path[:-1]), path[-1]
        if isinstance(parent, list):
            return isinstance(step, int) and step < len(parent)
        return isinstance(parent, dict) and step in parent

    def place(self, path: Path, *, at_key: bool = False) -> Place:
        """Return where *path* stands; for what is missing, where its nearest parent begins."""
        if not at_key and path in self.values:
            return self.values[path]
        while path:
            found = self.keys.get(path) or self.values.get(path)
            if found:
                return found
            path = path[:-1]
        return self.values.get((), self.start)

    def problem(self, fault: Fault) -> Problem:
        """Return *fault* with this tree's file, line and column."""
        place = fault.at or self.place(fault.path, at_key=fault.at_key)
        return Problem(
            file=self.file,
            line=place.line,
            column=place.column,
            where=field_path(fault.path),
            message=fault.message,
            hint=fault.hint,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Everything that one file says.

    Attributes:
        trees: The documents up to the first place that cannot be read.
        problems: Why the file as a whole cannot be used; each tree has its own faults besides.
    """

    trees: tuple[Tree, ...] = ()
    problems: tuple[Problem, ...] = ()


def field_path(path: Path) -> str:
    """Return *path* as people write it: ``spec.access.bind[0]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{shorten(step)}"]'
    return text


def shorten(text: str, width: int = 60) -> str:
    """Return *text* on one line, printable, and at most *width* characters long."""
    text = " ".join(text.split())
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "�" for char in text)
    return text if len(text) <= width else f"{text[: width - 1]}…"
