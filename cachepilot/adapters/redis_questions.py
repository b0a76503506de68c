"""ServerReader: questions over a server's management socket."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import redis
import redis.exceptions

from cachepilot.adapters.redis_clients import ask_about_clients
from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.redis_errors import is_busy, is_saturated, is_silence, why
from cachepilot.errors import UnavailableError
from cachepilot.observe.ports import ClientQuestions
from cachepilot.observe.snapshot import Engine, SeenServer, SeenUser, Unreachable
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

# Redis 8 has further entries that begin with "db", such as db0_distrib_strings_sizes.
_DATABASE = re.compile(r"db\d+")
# What INFO has to say beyond these takes longer to parse than all the other answers.
_SECTIONS = ("server", "clients", "memory", "persistence", "keyspace")
# Of those that are not ours, at a time; a dishonest server must not fill our logs.
_MOST_USERS = 32
_LONGEST_NAME, _LONGEST_VALUE, _LONGEST_RULES = 64, 1024, 8192
_BEYOND_COUNTING = 1 << 63
_SHOWN_FLAGS = frozenset({"on", "off", "nopass"})

Reply = dict[str, Any]


class RedisQuestions:
    """Asks servers of one installation; changes nothing.

    Args:
        connections: Kept connections.
        revision_of: Maps (tenant, user, SHA-256) to the revision of a password or ``unknown``.
    """

    def __init__(
        self,
        connections: ManagementConnections,
        *,
        revision_of: Callable[[TenantName, str, str], str],
    ) -> None:
        self._connections = connections
        self._revision_of = revision_of

    def ask(
        self,
        tenant_name: TenantName,
        *,
        instance: int,
        directives: tuple[str, ...],
        users: tuple[str, ...],
        clients: ClientQuestions,
    ) -> SeenServer | Unreachable:
        """Return the server's own answers, or why it gave none.

        A kept connection that broke, as every restart breaks it, is replaced once.
        """
        answer = self._ask_once(tenant_name, instance, directives, users, clients)
        if isinstance(answer, Unreachable) and not answer.saturated:
            answer = self._ask_once(tenant_name, instance, directives, users, clients)
        return answer

    def _ask_once(
        self,
        tenant_name: TenantName,
        instance: int,
        directives: tuple[str, ...],
        expected: tuple[str, ...],
        clients: ClientQuestions,
    ) -> SeenServer | Unreachable:
        try:
            client = self._connections.get(tenant_name, instance)
            info, values, found, *ours = _ask_together(
                client,
                ("INFO", *_SECTIONS),
                ("CONFIG GET", *directives),
                ("ACL USERS",),
                *(("ACL GETUSER", name) for name in expected),
            )
            if info.get("loading"):
                return self._seen(tenant_name, info, {}, {})
            users: Reply = dict(zip(expected, ours, strict=True))
            names = (str(name) for name in found)
            strangers = [name for name in names if name not in users][:_MOST_USERS]
            asked_again = (("ACL GETUSER", name) for name in strangers)
            users |= zip(strangers, _ask_together(client, *asked_again), strict=True)
            asked = {name: value for name, value in values.items() if name in directives}
            seen = self._seen(tenant_name, info, asked, users)
            found = ask_about_clients(self._connections, tenant_name, instance, clients, seen)
            return replace(seen, **found)
        except (redis.exceptions.RedisError, UnavailableError, OSError) as error:
            self._connections.drop(tenant_name, instance)
            return Unreachable(
                why(error),
                saturated=is_saturated(error),
                busy=is_busy(error),
                silent=is_silence(error),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            # Whoever took a server over may answer anything.
            self._connections.drop(tenant_name, instance)
            return Unreachable("it answers nonsense")

    def _seen(
        self, tenant_name: TenantName, info: Reply, values: Reply, users: dict[str, Reply]
    ) -> SeenServer:
        """Return answers as our nouns.

        Raises:
            ValueError: An answer is not of the kind that servers give.
        """
        valkey = info.get("server_name") == "valkey"
        databases = (found for name, found in info.items() if _DATABASE.fullmatch(name))
        return SeenServer(
            engine=Engine.VALKEY if valkey else Engine.REDIS,
            # Valkey says redis_version 7.2.4 for the sake of old clients.
            version=shorten(str(info["valkey_version" if valkey else "redis_version"]), 32),
            run_id=shorten(info["run_id"], _LONGEST_NAME),
            uptime_seconds=_number(info["uptime_in_seconds"]),
            loading=bool(info.get("loading")),
            used_memory=_number(info["used_memory"]),
            resident_memory=_number(info["used_memory_rss"]),
            keys=sum(_number(found["keys"]) for found in databases),
            clients=_number(info["connected_clients"]),
            directives=tuple(
                sorted((name, shorten(value, _LONGEST_VALUE)) for name, value in values.items())
            ),
            users=tuple(
                self._user(tenant_name, name, reply)
                for name, reply in sorted(users.items())
                if reply
            ),
        )

    def _user(self, tenant_name: TenantName, name: str, reply: Reply) -> SeenUser:
        # A selector grants commands beside the ordinary rules; none of our users has one.
        selectors = tuple(f"({selector})" for selector in reply.get("selectors") or ())
        rules = (*reply["categories"], *reply["commands"], *selectors)
        return SeenUser(
            name=shorten(name, _LONGEST_NAME),
            flags=tuple(sorted(_SHOWN_FLAGS & set(reply["flags"]))),
            passwords=tuple(
                sorted(self._revision_of(tenant_name, name, text) for text in reply["passwords"])
            ),
            keys=shorten(" ".join(reply["keys"]), _LONGEST_RULES),
            channels=shorten(" ".join(reply["channels"]), _LONGEST_RULES),
            commands=shorten(" ".join(rules), _LONGEST_RULES),
        )


def _ask_together(client: redis.Redis, *questions: tuple[str, ...]) -> list[Any]:
    """Return one answer for each question, all of them asked by one write.

    redis-py's own pipeline would open a connection of its own. Whoever catches an error must
    drop this one, because later answers are still on their way.
    """
    if not questions:
        return []
    connection = cast("redis.Connection", client.connection)
    connection.send_packed_command(connection.pack_commands(questions))  # type: ignore[no-untyped-call] # redis-py leaves it untyped
    return [client.parse_response(connection, question[0]) for question in questions]  # type: ignore[no-untyped-call] # as above


def _number(answer: object) -> int:
    """Return a count, which no server has more of than fit into 64 bits.

    Raises:
        ValueError: It is none, so the rest is not to be believed either.
    """
    if not isinstance(answer, int) or not 0 <= answer < _BEYOND_COUNTING:
        raise ValueError("not a count")
    return answer
