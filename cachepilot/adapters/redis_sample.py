"""Tells whether two servers hold the same data: key counts, and the content of some keys.

Counts come from INFO. The content of a sample is read by a user that exists no longer than the
reading: it may read every key, change none, and has a password that nobody else ever learns.
Content is put into words of our own before it is hashed, because a dumped key looks different in
each version of each engine.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import redis
import redis.exceptions

from cachepilot.adapters.redis_socket import GuardedConnection
from cachepilot.observe.replacement import NotedDatabase, NotedKey

READER = "cachepilot-reader"
READER_RULES = (
    "on",
    "%R~*",
    "resetchannels",
    "-@all",
    *("+select", "+scan", "+type", "+pexpiretime", "+memory|usage"),
    *("+strlen", "+getrange", "+llen", "+lrange", "+scard", "+smembers", "+zcard", "+zrange"),
    *("+hlen", "+hgetall", "+xlen", "+xrange"),
)
_A_DATABASE = 64
_MOST_DATABASES = 16
_LONGEST_NAME = 1024
# What is larger counts by its length alone: the sample must not keep clients waiting.
_LARGE = 8_192
_FEW = 64

_LENGTHS = {
    "string": "STRLEN",
    "list": "LLEN",
    "set": "SCARD",
    "zset": "ZCARD",
    "hash": "HLEN",
    "stream": "XLEN",
}

Reply = Any
Question = tuple[str | bytes, ...]
Ask = Callable[[Sequence[Question]], list[Reply]]


def databases_of(info: dict[str, Any]) -> tuple[NotedDatabase, ...]:
    """Return how many keys each database has, of an answer to INFO."""
    return tuple(
        NotedDatabase(
            number=int(name[2:]),
            keys=int(found["keys"]),
            expiring=int(found.get("expires", 0)),
            with_fields=int(found.get("subexpiry", 0)),
        )
        for name, found in sorted(info.items())
        if name.startswith("db") and name[2:].isdigit()
    )


def asker(client: redis.Redis) -> Ask:
    """Return what puts many questions by one write; an error is an answer like any other."""
    connection = cast("GuardedConnection", client.connection)

    def ask(questions: Sequence[Question]) -> list[Reply]:
        if not questions:
            return []
        if connection.guard is not None:
            connection.guard.begin()
        connection.send_packed_command(connection.pack_commands(questions))  # type: ignore[no-untyped-call] # redis-py leaves it untyped
        return [_read(connection) for _ in questions]

    return ask


def take_sample(ask: Ask, databases: Iterable[NotedDatabase]) -> tuple[NotedKey, ...]:
    """Return some keys of each database, with their content in short."""
    found: list[NotedKey] = []
    for database in tuple(databases)[:_MOST_DATABASES]:
        ask([("SELECT", str(database.number))])
        (answer,) = ask([("SCAN", "0", "COUNT", str(4 * _A_DATABASE))])
        if isinstance(answer, Exception):
            continue
        names = [name for name in answer[1] if len(name) <= _LONGEST_NAME][:_A_DATABASE]
        sizes = ask([("MEMORY", "USAGE", name) for name in names])
        wholes = [isinstance(size, int) and size <= _LARGE for size in sizes]
        noted = _describe(ask, database.number, names, wholes)
        found += [_shortened(each, kind, database) for each, kind in noted]
    return tuple(found)


def compare_sample(
    ask: Ask, sample: Sequence[NotedKey], *, now_ms: int
) -> tuple[list[NotedKey], list[NotedKey]]:
    """Return which keys of *sample* are gone and which are others, but for what has expired."""
    gone: list[NotedKey] = []
    changed: list[NotedKey] = []
    for number in sorted({each.database for each in sample}):
        ask([("SELECT", str(number))])
        noted = [each for each in sample if each.database == number]
        names = [base64.b64decode(each.key) for each in noted]
        found = _describe(ask, number, names, [each.whole for each in noted])
        for before, (after, kind) in zip(noted, found, strict=True):
            if before.expires_at != -1 and before.expires_at <= now_ms:
                continue
            if kind == "none":
                gone.append(before)
            elif before.digest and (before.digest, before.expires_at) != (
                after.digest,
                after.expires_at,
            ):
                changed.append(before)
    return gone, changed


def _shortened(noted: NotedKey, kind: str, database: NotedDatabase) -> NotedKey:
    """Return *noted* without what may change by itself: fields of hashes expire, too."""
    changes = kind == "hash" and database.with_fields
    return replace(noted, digest="", whole=False) if changes else noted


def _describe(
    ask: Ask, number: int, names: list[bytes], wholes: list[bool]
) -> list[tuple[NotedKey, str]]:
    kinds = [_text(kind) for kind in ask([("TYPE", name) for name in names])]
    ends = ask([("PEXPIRETIME", name) for name in names])
    questions = [
        _questions(kind, name, whole=whole)
        for kind, name, whole in zip(kinds, names, wholes, strict=True)
    ]
    answers = iter(ask([each for some in questions for each in some]))
    return [
        (
            NotedKey(
                database=number,
                key=base64.b64encode(name).decode(),
                whole=whole,
                digest=_digest(kind, [next(answers) for _ in some]),
                expires_at=end if isinstance(end, int) else -1,
            ),
            kind,
        )
        for name, kind, end, whole, some in zip(names, kinds, ends, wholes, questions, strict=True)
    ]


def _questions(kind: str, name: bytes, *, whole: bool) -> list[Question]:
    """Return what is to be asked about one key."""
    if kind not in _LENGTHS:
        return []
    content: dict[str, Question] = {
        "string": ("GETRANGE", name, "0", "4095"),
        "list": ("LRANGE", name, "0", str(_FEW)),
        "set": ("SMEMBERS", name),
        "zset": ("ZRANGE", name, "0", str(_FEW), "WITHSCORES"),
        "hash": ("HGETALL", name),
        "stream": ("XRANGE", name, "-", "+", "COUNT", str(_FEW)),
    }
    return [(_LENGTHS[kind], name), *([content[kind]] if whole else [])]


def _digest(kind: str, answers: list[Reply]) -> str:
    """Return a fingerprint of answers, whatever order and spelling an engine chose."""
    if any(isinstance(each, Exception) for each in answers):
        return ""
    words: list[object] = []
    for answer in answers:
        if not isinstance(answer, list):
            words.append(answer)
        elif kind == "set":
            words.append(sorted(answer))
        elif kind == "hash":
            words.append(_pairs(answer))
        elif kind == "zset":
            words.append([(member, float(score)) for member, score in _pairs(answer)])
        else:
            words.append(answer)
    return hashlib.sha256(repr((kind, words)).encode()).hexdigest()[:16]


def _pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    return sorted(zip(flat[::2], flat[1::2], strict=True))


def _text(answer: Reply) -> str:
    return answer.decode() if isinstance(answer, bytes) else ""


def _read(connection: GuardedConnection) -> Reply:
    try:
        return connection.read_response()
    except redis.exceptions.ResponseError as error:
        return error
