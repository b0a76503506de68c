"""users.acl: rendered with hashes for the server, shown with revisions to everybody else."""

from __future__ import annotations

import re
from collections.abc import Callable

from cachepilot.plan.actions import AclUser

_HASH = re.compile(r"#([0-9a-f]{64})")
_UNKNOWN = "unknown"

# Only what is listed here is shown: a line that somebody edited may hold a password in clear.
_SHOWN_SIGNS = frozenset("+-~&%(")
_SHOWN_WORDS = frozenset(
    {
        "on", "off", "nopass", "reset", "resetpass", "resetkeys", "resetchannels", "allkeys",
        "allchannels", "allcommands", "nocommands", "sanitize-payload", "skip-sanitize-payload",
        "clearselectors",
    }
)  # fmt: skip


def render_acl(
    users: tuple[AclUser, ...], hashes: Callable[[str, tuple[int, ...]], tuple[str, ...]]
) -> str:
    """Return the file's text.

    Args:
        users: In the order of the file.
        hashes: Maps a user and revisions to the hashes of those passwords.
    """
    return "".join(
        user.line(tuple(f"#{text}" for text in hashes(user.name, user.passwords))) + "\n"
        for user in users
    )


def mask_acl(text: str, revision_of: Callable[[str, str], str]) -> str:
    """Return *text* with ``#<revision>`` or ``#unknown`` in place of each hash.

    Args:
        text: The file as it lies on disk, whoever wrote it.
        revision_of: Maps a user and a hash to a revision or ``unknown``.
    """
    return "".join(_mask_line(line, revision_of) + "\n" for line in text.splitlines())


def _mask_line(line: str, revision_of: Callable[[str, str], str]) -> str:
    words = line.split()
    if len(words) < 2 or words[0] != "user":  # noqa: PLR2004 - "user" and a name
        return _UNKNOWN
    user = words[1]
    return " ".join((*words[:2], *(_mask_rule(rule, user, revision_of) for rule in words[2:])))


def _mask_rule(rule: str, user: str, revision_of: Callable[[str, str], str]) -> str:
    if rule[0] in _SHOWN_SIGNS or rule in _SHOWN_WORDS:
        return rule
    if rule[0] != "#":
        return _UNKNOWN
    found = _HASH.fullmatch(rule)
    return f"#{revision_of(user, found[1]) if found else _UNKNOWN}"
