"""What an author may write about a user of the server: names, patterns and rules.

Whoever may write a document is not thereby an administrator of the server. What no customer may do
is taken away again behind an author's rules, whatever they say; here is refused what could never
have an effect, or would mean something else than it seems to.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

# With the prefix of a twin it still has a length that we read back whole.
USER_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$"
COMMAND_PATTERN = r"^[+-](@[a-z]{1,32}|[a-z][a-z0-9._-]{0,47}(\|[a-z][a-z0-9._-]{0,47})?)$"
LONGEST_PATTERN = 128
MOST_PATTERNS = 16
MOST_COMMANDS = 64
EVERYTHING = "*"
# A key pattern may stand for reading or for writing alone.
HALVES = ("%R~", "%W~")

_RESERVED, _RESERVED_PREFIX = "default", "cachepilot"
# Commands, and families of them, that no customer ever gets; only their HELP is harmless.
_NEVER = frozenset(
    {
        *("@admin", "@dangerous", "bgrewriteaof", "bgsave", "commandlog", "config", "debug"),
        *("failover", "lastsave", "latency", "migrate", "module", "monitor", "pfdebug"),
        *("pfselftest", "psync", "replconf", "replicaof", "restore", "restore-asking", "role"),
        *("save", "shutdown", "slaveof", "slowlog", "swapdb", "sync"),
    }
)


def _user_name(text: str) -> str:
    if text.lower() == _RESERVED:
        raise PydanticCustomError(
            "user_name", "the user default is there already; spec.auth itself is about it"
        )
    if text.lower().startswith(_RESERVED_PREFIX):
        raise PydanticCustomError(
            "user_name", "names that begin with cachepilot are reserved for users of our own"
        )
    return text


def _pattern(text: str) -> str:
    if any(sign.isspace() or unicodedata.category(sign)[0] == "C" for sign in text):
        raise PydanticCustomError("pattern", "expected no blanks and no control characters")
    return text


def _key_pattern(text: str) -> str:
    if text in HALVES:
        raise PydanticCustomError("pattern", "expected a pattern behind %R~ or %W~")
    return _pattern(text)


def is_never_granted(rule: str) -> bool:
    """Return whether *rule* adds what no customer may have, so that it would have no effect."""
    sign, (command, _, inner) = rule[0], rule[1:].partition("|")
    return sign == "+" and command in _NEVER and inner != "help"


def misplaced_everything(patterns: Sequence[str]) -> int | None:
    """Return where a pattern for everything stands beside others, which servers refuse."""
    found = patterns.index(EVERYTHING) if EVERYTHING in patterns else None
    return found if len(patterns) > 1 else None


UserName = Annotated[
    str,
    StringConstraints(pattern=USER_NAME_PATTERN),
    AfterValidator(_user_name),
    WithJsonSchema({"type": "string", "pattern": USER_NAME_PATTERN}),
]
_PATTERN_SCHEMA = {
    "type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN, "pattern": r"^\S+$"
}  # fmt: skip
KeyPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_PATTERN),
    AfterValidator(_key_pattern),
    WithJsonSchema(_PATTERN_SCHEMA),
]
ChannelPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_PATTERN),
    AfterValidator(_pattern),
    WithJsonSchema(_PATTERN_SCHEMA),
]
CommandRule = Annotated[str, StringConstraints(pattern=COMMAND_PATTERN)]
