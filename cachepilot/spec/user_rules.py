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
# What no customer ever gets of commands and categories, whatever stands behind the name.
_NEVER = frozenset(
    {
        *("@admin", "@dangerous", "bgrewriteaof", "bgsave", "debug", "failover", "lastsave"),
        *("migrate", "monitor", "pfdebug", "pfselftest", "psync", "replconf", "replicaof"),
        *("restore", "restore-asking", "role", "save", "shutdown", "slaveof", "swapdb", "sync"),
    }
)
# Families of which only HELP is harmless.
_ONLY_HELP = frozenset({"commandlog", "config", "latency", "module", "slowlog"})
# What no customer gets of families that they have in part.
_NEVER_OF = {
    "acl": frozenset(
        {"deluser", "dryrun", "getuser", "list", "load", "log", "save", "setuser", "users"}
    ),
    "client": frozenset({"kill", "list", "no-evict", "pause", "unblock", "unpause"}),
    "cluster": frozenset(
        {
            *("addslots", "addslotsrange", "bumpepoch", "count-failure-reports", "delslots"),
            *("delslotsrange", "failover", "flushslots", "forget", "meet", "replicas"),
            *("replicate", "reset", "saveconfig", "set-config-epoch", "setslot", "slaves"),
        }
    ),
}
# What customers get although it is @dangerous, with its categories, which are the same on every
# supported engine. Whoever is granted one of them by their own rules gets it back, as a whole.
EXTRAS = {
    "info": frozenset({"@slow"}),
    "keys": frozenset({"@keyspace", "@read", "@slow"}),
    "flushdb": frozenset({"@keyspace", "@write", "@slow"}),
    "flushall": frozenset({"@keyspace", "@write", "@slow"}),
    "sort": frozenset({"@write", "@set", "@sortedset", "@list", "@slow"}),
    "sort_ro": frozenset({"@read", "@set", "@sortedset", "@list", "@slow"}),
}


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
    # Servers know more ways to write the same, but read them back as something else.
    if text.startswith("%") and as_a_whole(text) in ("", text):
        raise PydanticCustomError(
            "pattern",
            "expected %R~ or %W~ with a pattern behind it; for reading and writing write the "
            "pattern alone, and for a key that begins with % write \\%",
        )
    return _pattern(text)


def as_a_whole(key_pattern: str) -> str:
    """Return *key_pattern* as it is written for reading and writing."""
    half = key_pattern.startswith(HALVES)
    return key_pattern[len(HALVES[0]) :] if half else key_pattern


def why_never_granted(rule: str) -> tuple[str, str] | None:
    """Return why *rule* adds what no customer may have, and the way out; None if they may.

    Scripts are not judged here: whoever forbids them in the settings wants that to hold at once,
    also for documents that could not be read then.
    """
    sign, (command, _, inner) = rule[0], rule[1:].partition("|")
    if sign != "+":
        return None
    is_ours = (
        command in _NEVER
        or (command in _ONLY_HELP and inner != "help")
        or inner in _NEVER_OF.get(command, ())
    )
    if is_ours:
        why = "it shows or changes the server itself, which no user of a customer's may"
        return why, "remove it"
    if command in EXTRAS and inner:
        return f"{command} cannot be granted in part", f"write +{command}, or remove it"
    return None


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
_KEY_SCHEMA = {**_PATTERN_SCHEMA, "pattern": r"^(%[RW]~\S|[^\s%])\S*$"}
KeyPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_PATTERN),
    AfterValidator(_key_pattern),
    WithJsonSchema(_KEY_SCHEMA),
]
ChannelPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_PATTERN),
    AfterValidator(_pattern),
    WithJsonSchema(_PATTERN_SCHEMA),
]
CommandRule = Annotated[str, StringConstraints(pattern=COMMAND_PATTERN)]
