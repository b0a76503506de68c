"""A document that was valid once, while rules of users have become stricter since.

What is written from now on has to keep to them. Whoever is served by a document from before goes
on being looked after, and its users may do what they could, and no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from cachepilot.spec.parse import Parsed, parse, parse_json
from cachepilot.spec.problem import Problem
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import Tree, Value
from cachepilot.spec.user_rules import EVERYTHING, HALVES, why_never_granted

# A user needs at least one rule, and this one grants nothing.
_NOTHING = "-@all"
_WAYS = re.compile(r"%([RW]+)~(.*)", re.IGNORECASE | re.DOTALL)
_BOTH = frozenset("RW")


def parse_remembered(text: str, rules: Rules, *, file: str) -> Parsed | tuple[Problem, ...]:
    """Return what *text* wishes, also if nothing but today's rules of users speaks against it.

    What is never granted stays in the spec as it was written, because it is taken away again
    behind an author's rules. Key patterns become those that servers take them for.
    """
    parsed = parse_json(text, rules, file=file)
    if isinstance(parsed, Parsed):
        return parsed
    try:
        value = json.loads(text)
    except ValueError:
        return parsed
    for user in _users(value):
        user["keys"] = [_stand_in(key) for key in _as_servers_read(_words(user, "keys"))]
        granted = [each for each in _words(user, "commands") if why_never_granted(each) is None]
        user["commands"] = [*granted] or [_NOTHING]
    again = parse(Tree(file=file, value=value), rules)
    if not isinstance(again, Parsed):
        return parsed
    written = {str(user["name"]): user for user in _users(json.loads(text))}
    users = tuple(
        replace(
            user,
            keys=_as_servers_read(_words(written[user.name], "keys")),
            commands=_words(written[user.name], "commands"),
        )
        for user in again.spec.users
    )
    return replace(again, spec=replace(again.spec, users=users))


def _users(value: Value) -> Iterator[dict[str, Value]]:
    users = Tree(file="", value=value).find(("spec", "auth", "users"))
    for user in users if isinstance(users, list) else ():
        if isinstance(user, dict):
            yield user


def _words(user: dict[str, Value], field: str) -> tuple[str, ...]:
    said = user.get(field)
    return tuple(str(each) for each in said if each) if isinstance(said, list) else ()


def _as_servers_read(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return *keys* as servers read them back: each pattern once, in the fewest words."""
    ways: dict[str, frozenset[str]] = {}
    for key in keys:
        half = _WAYS.fullmatch(key)
        pattern, found = (half[2], frozenset(half[1].upper())) if half else (key, _BOTH)
        ways[pattern] = ways.get(pattern, frozenset()) | found
    read = []
    for pattern, found in ways.items():
        if found == _BOTH:
            # A pattern that begins with % needs a sign before it where no way is named.
            read.append(pattern if pattern in keys else re.sub("^%", r"\\%", pattern))
        else:
            read.append(f"%{min(found)}~{pattern}")
    joined = EVERYTHING in read and EVERYTHING not in keys
    return (EVERYTHING,) if joined else tuple(read)


def _stand_in(key: str) -> str:
    """Return *key*, or in place of one that no server takes one as long that might be right."""
    return key if not key.startswith("%") or key.startswith(HALVES) else f"-{key[1:]}"
