"""What the files of a server say to the world in memory."""

from __future__ import annotations

import shlex


def parse_configuration(text: str) -> dict[str, str]:
    """Return the directives of a redis.conf."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, *words = shlex.split(line)
            found[name] = " ".join(words)
    return found


def parse_users(text: str) -> dict[str, tuple[bool, tuple[str, ...], str, str, str]]:
    """Return enabled, passwords, keys, channels and commands by user."""
    found = {}
    for line in text.splitlines():
        _, name, *rules = line.split()
        found[name] = parse_rules(tuple(rules))
    return found


def parse_rules(rules: tuple[str, ...]) -> tuple[bool, tuple[str, ...], str, str, str]:
    """Return the parts of one user's rules."""
    return (
        "on" in rules,
        tuple(sorted(rule[1:] for rule in rules if rule.startswith("#"))),
        " ".join(rule for rule in rules if rule[0] in "~%"),
        " ".join(rule for rule in rules if rule.startswith("&")),
        " ".join(rule for rule in rules if rule[0] in "+-"),
    )
