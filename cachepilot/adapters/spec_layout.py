"""Where in a document's text a value stands, or where a missing one belongs.

Only positions are computed here, from the places that the reader reports; whether the result
means what it should is proven elsewhere by reading it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cachepilot.spec.tree import Path, Place, Tree, Value

_BREAK = re.compile(r"\r\n|\n|\r")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_KEYS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_DEFAULT_STEP = 2


@dataclass(frozen=True, slots=True)
class Splice:
    """Replaces the characters from *start* to *end* by *text*."""

    start: int
    end: int
    text: str

    def on(self, source: str) -> str:
        """Return *source* with this change made."""
        return source[: self.start] + self.text + source[self.end :]


def splice_for(source: str, tree: Tree, path: Path, text: str) -> Splice | None:
    """Return how to make *text* the value at *path*, or None where the layout allows no way."""
    if path in tree.values:
        return _replacement(source, tree, path, text)
    at = path
    while at not in tree.values:
        at = at[:-1]
        if not at and () not in tree.values:
            return None
    keys = path[len(at) :]
    if not all(isinstance(key, str) for key in keys):
        return None  # an entry of a list that is not there yet
    return _insertion(source, tree, at, [str(key) for key in keys], text)


def quote_of(source: str, tree: Tree, path: Path) -> str:
    """Return the quotation mark around the value at *path*, or empty."""
    place = tree.values.get(path)
    first = source[place.start : place.start + 1] if place else ""
    return first if first in {'"', "'"} else ""


def _replacement(source: str, tree: Tree, path: Path, text: str) -> Splice:
    place = tree.values[path]
    if place.start == place.end:  # `key:` with nothing behind it
        lead = " " if source[place.start - 1 : place.start] == ":" else ": "
        return Splice(place.start, place.start, lead + text)
    end = _content_end(source, tree, path)
    if not _is_block(source, place, tree.find(path)):
        return Splice(place.start, end, text)
    key_end = tree.keys[path].end if path in tree.keys else place.start
    between = source[key_end : place.start]
    if between.strip() == ":":
        return Splice(key_end, end, f": {text}")
    # A comment stands between key and value; the value must be indented deeper than the key.
    return Splice(place.start, end, " " * _DEFAULT_STEP + text)


def _insertion(source: str, tree: Tree, at: Path, keys: Sequence[str], text: str) -> Splice | None:
    value, place = tree.find(at), tree.values[at]
    flow = "".join(f"{_key(key)}: {{" for key in keys[:-1])
    flow += f"{_key(keys[-1])}: {text}" + "}" * (len(keys) - 1)
    if value is None and place.start < place.end:
        return Splice(place.start, place.end, "{" + flow + "}")  # a written `null` or `~`
    if value is None:
        if at not in tree.keys:
            return None
        indent = _indent(source, tree.keys[at]) + " " * _step(tree)
        return _lines(source, place.end, indent, _step(tree), keys, text)
    if not isinstance(value, dict):
        return None
    if source[place.start] == "{":
        ends = [_content_end(source, tree, (*at, key)) for key in value]
        position = max(ends, default=place.end - 1)
        return Splice(position, position, (", " if ends else "") + flow)
    indent = _indent(source, tree.keys[(*at, next(iter(value)))])
    return _lines(source, _content_end(source, tree, at), indent, _step(tree), keys, text)


def _lines(
    source: str, after: int, indent: str, step: int, keys: Sequence[str], text: str
) -> Splice:
    """Return new lines behind the line in which the character before *after* stands."""
    found = _BREAK.search(source, after)
    position = found.start() if found else len(source)
    any_break = found or _BREAK.search(source)
    line_break = any_break[0] if any_break else "\n"
    added = ""
    for depth, key in enumerate(keys):
        added += f"{line_break}{indent}{' ' * step * depth}{_key(key)}:"
    return Splice(position, position, f"{added} {text}")


def _content_end(source: str, tree: Tree, path: Path) -> int:
    """Return where the value at *path* really ends.

    The reader ends a block at whatever follows it, comments included; what is meant is the end
    of its last scalar or bracket.
    """
    place, value = tree.values[path], tree.find(path)
    if _is_block(source, place, value):
        steps = value if isinstance(value, dict) else range(len(value))  # type: ignore[arg-type] # a block is a mapping or a list
        return max(_content_end(source, tree, (*path, step)) for step in steps)
    if source[place.start : place.start + 1] in {"|", ">"} and isinstance(value, str):
        return place.start + len(source[place.start : place.end].rstrip())
    return place.end


def _is_block(source: str, place: Place, value: Value) -> bool:
    is_collection = isinstance(value, dict | list) and bool(value)
    return is_collection and source[place.start] not in "[{"


def _indent(source: str, key: Place) -> str:
    """Return the white space that puts another key right below *key*."""
    line = source[key.start - key.column + 1 : key.start]
    return line if not line.strip() else " " * len(line)


def _step(tree: Tree) -> int:
    """Return by how much this document indents."""
    for path, key in tree.keys.items():
        parent = tree.keys.get(path[:-1])
        if parent and key.line > parent.line and key.column > parent.column:
            return key.column - parent.column
    return _DEFAULT_STEP


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _NOT_KEYS:
        return key
    return json.dumps(key, ensure_ascii=False)
