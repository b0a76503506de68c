"""What a server says of its customer's clients: who is connected, and who failed to log in.

Clients choose their own names, so nothing here may fail because of what they say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, cast

import redis
import redis.exceptions

from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.errors import UnavailableError
from cachepilot.observe.ports import ClientQuestions
from cachepilot.observe.snapshot import SeenConnection, SeenFailedLogins, SeenServer
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

# Each takes some 350 bytes of what a server may answer at once.
_MOST_LISTED, _MOST_LOGGED = 1000, 128
_LONGEST = 64
_MOST_SHOWN = 32
_DIGITS = re.compile(r"[0-9]{1,15}")


def ask_about_clients(
    connections: ManagementConnections,
    tenant_name: TenantName,
    instance: int,
    questions: ClientQuestions,
    seen: SeenServer,
) -> dict[str, Any]:
    """Return what is asked, as fields of *seen*; what cannot be asked is left out.

    A crowd of clients, or what one calls itself, must not make a server count as unreachable.
    """
    found: dict[str, Any] = {}
    try:
        if questions.older_than and seen.clients <= _MOST_LISTED:
            listed = _ask(connections.get(tenant_name, instance), "CLIENT", "LIST")
            shown, count = read_connections(listed, dict(questions.older_than))
            found |= {"old_connections": shown, "old_connection_count": count}
        if questions.failed_within:
            log = _ask(connections.get(tenant_name, instance), "ACL", "LOG", str(_MOST_LOGGED))
            found["failed_logins"] = read_failed_logins(log, dict(questions.failed_within))
    except redis.exceptions.ResponseError:
        pass
    except (redis.exceptions.RedisError, UnavailableError, OSError):
        connections.drop(tenant_name, instance)
    return found


def read_connections(
    answer: object, older_than: Mapping[str, timedelta]
) -> tuple[tuple[SeenConnection, ...], int]:
    """Return from CLIENT LIST the older connections of users, the oldest first, and how many.

    A server counts whole seconds, so one that is a second too young may be among them. Not all
    are returned if they are many.
    """
    found = []
    for line in str(answer).splitlines():
        fields = _fields(line)
        age = _number(fields.get("age"))
        user = fields.get("user", "")
        if user in older_than and age + 1 >= older_than[user].total_seconds():
            found.append(
                SeenConnection(
                    user=user,
                    address=shorten(fields.get("addr", ""), _LONGEST),
                    name=shorten(fields.get("name", ""), _LONGEST),
                    age_seconds=age,
                )
            )
    found.sort(key=lambda each: (-each.age_seconds, each.address))
    return tuple(found[:_MOST_SHOWN]), len(found)


def read_failed_logins(
    answer: object, within: Mapping[str, timedelta]
) -> tuple[SeenFailedLogins, ...]:
    """Return from ACL LOG where users were refused lately, by user, address and name.

    A server keeps a bounded log, counts what repeats, and never says which password was tried.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    for entry in _entries(answer):
        user, age = entry.get("username", ""), float(_number(entry.get("age-seconds")))
        is_recent = user in within and age <= within[user].total_seconds()
        if is_recent and entry.get("reason") == "auth":
            client = _fields(entry.get("client-info", ""))
            address = client.get("addr", "").rpartition(":")[0].strip("[]")
            name = client.get("name", "")
            times = _number(entry.get("count"))
            counts[user, shorten(address, _LONGEST), shorten(name, _LONGEST)] += times
    return tuple(
        SeenFailedLogins(user=user, address=address, name=name, count=count)
        for (user, address, name), count in counts.most_common(_MOST_SHOWN)
    )


def _ask(client: redis.Redis, *words: str) -> object:
    """Return an answer as it came; redis-py's own reading fails on some names of clients."""
    connection = cast("redis.Connection", client.connection)
    connection.send_command(*words)  # type: ignore[no-untyped-call] # redis-py leaves it untyped
    return connection.read_response()


def _entries(answer: object) -> Iterable[dict[str, str]]:
    """Yield each entry of ACL LOG, which answers with names and values in turn."""
    for entry in answer if isinstance(answer, list) else ():
        if isinstance(entry, list):
            words = [str(word) for word in entry]
            yield dict(zip(words[::2], words[1::2], strict=False))


def _fields(line: str) -> dict[str, str]:
    """Split ``addr=10.0.0.7:4711 name=app=web``: only the first sign of each word separates."""
    pairs = (word.partition("=") for word in line.split(" "))
    return {name: value for name, _, value in pairs}


def _number(text: str | None) -> int:
    """Return a count, in whole units; 0 for anything else."""
    whole = _DIGITS.fullmatch((text or "").partition(".")[0])
    return int(whole[0]) if whole else 0
