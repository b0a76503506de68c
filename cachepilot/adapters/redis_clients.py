"""What a server says of its customer's clients: who is connected, and who failed to log in."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, cast

import redis

from cachepilot.observe.ports import ClientQuestions
from cachepilot.observe.snapshot import SeenConnection, SeenFailedLogins
from cachepilot.plan.users import CUSTOMER
from cachepilot.spec.tree import shorten

# A server says nothing of a client besides what the client told it, so nothing here is longer.
_LONGEST = 64
_MOST_SHOWN = 32
_MOST_READ = 128

Reply = dict[str, Any]


def old_connections(
    client: redis.Redis, older_than: timedelta
) -> tuple[tuple[SeenConnection, ...], int]:
    """Return the customer's connections of more than some age, the oldest first, and their number.

    A server counts whole seconds, so one that is a second too young may be among them.

    Raises:
        KeyError, TypeError, ValueError: The server answers nonsense.
    """
    listed: list[Reply] = client.client_list(_type="normal")
    found = [
        SeenConnection(
            address=shorten(each["addr"], _LONGEST),
            name=shorten(each.get("name", ""), _LONGEST),
            age_seconds=int(each["age"]),
        )
        for each in listed
        if each.get("user") == CUSTOMER and int(each["age"]) + 1 >= older_than.total_seconds()
    ]
    found.sort(key=lambda each: (-each.age_seconds, each.address))
    return tuple(found[:_MOST_SHOWN]), len(found)


def failed_logins(client: redis.Redis, within: timedelta) -> tuple[SeenFailedLogins, ...]:
    """Return where the customer's user was refused lately, by address and client name.

    A server keeps a bounded log, counts what repeats, and never says which password was tried.

    Raises:
        KeyError, TypeError, ValueError: The server answers nonsense.
    """
    counts: Counter[tuple[str, str]] = Counter()
    log = cast("list[Reply]", client.acl_log(_MOST_READ))
    for entry in log:
        recent = float(entry["age-seconds"]) <= within.total_seconds()
        if entry["reason"] == "auth" and entry["username"] == CUSTOMER and recent:
            whence = entry["client-info"]
            address = str(whence.get("addr", "")).rpartition(":")[0].strip("[]")
            name = str(whence.get("name", ""))
            counts[shorten(address, _LONGEST), shorten(name, _LONGEST)] += int(entry["count"])
    return tuple(
        SeenFailedLogins(address=address, name=name, count=count)
        for (address, name), count in counts.most_common(_MOST_SHOWN)
    )


def ask_about_clients(client: redis.Redis, questions: ClientQuestions) -> dict[str, Any]:
    """Return what is asked, as fields of a seen server."""
    found: dict[str, Any] = {}
    if questions.older_than is not None:
        shown, count = old_connections(client, questions.older_than)
        found |= {"old_connections": shown, "old_connection_count": count}
    if questions.failed_within is not None:
        found["failed_logins"] = failed_logins(client, questions.failed_within)
    return found
