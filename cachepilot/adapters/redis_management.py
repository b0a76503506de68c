"""ServerReader and ServerWriter: questions and orders over a server's management socket."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import redis
import redis.exceptions

from cachepilot.adapters.redis_clients import ask_about_clients
from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.secret import Secret
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.ports import ClientQuestions
from cachepilot.observe.snapshot import Engine, SeenServer, SeenUser, Unreachable
from cachepilot.plan.actions import AclUser
from cachepilot.plan.shape import LONGEST_STOP
from cachepilot.plan.users import USUAL_USERS
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1
# Redis 8 has further entries that begin with "db", such as db0_distrib_strings_sizes.
_DATABASE = re.compile(r"db\d+")
# What INFO has to say beyond these takes longer to parse than all the other answers.
_SECTIONS = ("server", "clients", "memory", "persistence", "keyspace")
_HASH = re.compile(r"#[0-9a-fA-F]{64}")
_UNKILLABLE_PAUSE = timedelta(seconds=15)
_SATURATED = "max number of clients"
# Far more than an honest server has; a dishonest one must not fill our logs.
_MOST_USERS = 32
_LONGEST_NAME, _LONGEST_VALUE = 64, 1024
_BEYOND_COUNTING = 1 << 63
_SHOWN_FLAGS = frozenset({"on", "off", "nopass"})

Reply = dict[str, Any]


class RedisManagement:
    """Asks and orders servers of one installation.

    Args:
        connections: Kept connections.
        revision_of: Maps (tenant, user, SHA-256) to the revision of a password or ``unknown``.
        hashes: Maps (tenant, user, revisions) to the SHA-256 of each.
        password: Maps (tenant, user, revision) to the password.
        monotonic: Seconds that never jump.
        stopping: Set when the daemon stops; ends every wait.
    """

    def __init__(
        self,
        connections: ManagementConnections,
        *,
        revision_of: Callable[[TenantName, str, str], str],
        hashes: Callable[[TenantName, str, tuple[int, ...]], tuple[str, ...]],
        password: Callable[[TenantName, str, int], Secret],
        monotonic: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        self._connections = connections
        self._revision_of = revision_of
        self._hashes = hashes
        self._password = password
        self._monotonic = monotonic
        self._stopping = stopping

    # Questions --------------------------------------------------------------------------------

    def ask(
        self,
        tenant_name: TenantName,
        *,
        instance: int,
        directives: tuple[str, ...],
        clients: ClientQuestions,
    ) -> SeenServer | Unreachable:
        """Return the server's own answers, or why it gave none.

        A kept connection that broke, as every restart breaks it, is replaced once.
        """
        answer = self._ask_once(tenant_name, instance, directives, clients)
        if isinstance(answer, Unreachable) and not answer.saturated:
            answer = self._ask_once(tenant_name, instance, directives, clients)
        return answer

    def _ask_once(
        self,
        tenant_name: TenantName,
        instance: int,
        directives: tuple[str, ...],
        clients: ClientQuestions,
    ) -> SeenServer | Unreachable:
        try:
            client = self._connections.get(tenant_name, instance)
            info, values, found, *ours = _ask_together(
                client,
                ("INFO", *_SECTIONS),
                ("CONFIG GET", *directives),
                ("ACL USERS",),
                *(("ACL GETUSER", name) for name in USUAL_USERS),
            )
            if info.get("loading"):
                return self._seen(tenant_name, info, {}, {})
            users: Reply = dict(zip(USUAL_USERS, ours, strict=True))
            strangers = [str(name) for name in found[:_MOST_USERS] if name not in users]
            asked_again = (("ACL GETUSER", name) for name in strangers)
            users |= zip(strangers, _ask_together(client, *asked_again), strict=True)
            asked = {name: value for name, value in values.items() if name in directives}
            seen = self._seen(tenant_name, info, asked, users)
            found = ask_about_clients(self._connections, tenant_name, instance, clients, seen)
            return replace(seen, **found)
        except (redis.exceptions.RedisError, UnavailableError, OSError) as error:
            self._connections.drop(tenant_name, instance)
            return Unreachable(
                _why(error),
                saturated=_SATURATED in str(error),
                busy=_is_busy(error),
                silent=_is_silence(error),
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
            keys=shorten(" ".join(reply["keys"]), _LONGEST_VALUE),
            channels=shorten(" ".join(reply["channels"]), _LONGEST_VALUE),
            commands=shorten(" ".join(rules), 8 * _LONGEST_VALUE),
        )

    # Orders -----------------------------------------------------------------------------------

    def wait(self, tenant_name: TenantName, *, instance: int, patience: timedelta) -> None:
        """Return when the server answers and has loaded its data."""
        last: Exception | None = None
        for _ in self._pauses(patience):
            try:
                if not self._connections.get(tenant_name, instance).info().get("loading"):
                    return
                last = None
            except (redis.exceptions.RedisError, OSError) as error:
                self._connections.drop(tenant_name, instance)
                last = error
        if last is None:
            raise WaitingError(f"{tenant_name} is loading its data", retry_after=patience)
        raise UnavailableError(f"cannot reach the server of {tenant_name}: {_why(last)}")

    def save(self, tenant_name: TenantName, *, instance: int, pause: timedelta) -> None:
        """Pause writes for *pause* and save; return only when the dump is complete on disk."""
        self._finish_background_work(tenant_name, instance, "rdb_bgsave_in_progress")
        with self._order(tenant_name, instance, "save", reason="SaveFailed") as client:
            client.client_pause(int(pause.total_seconds() * 1000), all=False)
            try:
                self._save_slowly(client)
            except redis.exceptions.ResponseError:
                with contextlib.suppress(redis.exceptions.RedisError):
                    client.client_unpause()
                raise

    def _save_slowly(self, client: redis.Redis) -> None:
        """SAVE answers when it is done, which takes as long as the data is large."""
        connection = cast("redis.Connection", client.connection)
        connection.send_command("SAVE")  # type: ignore[no-untyped-call] # as in _execute
        for _ in self._pauses(LONGEST_STOP):
            if connection.can_read(timeout=0):
                connection.read_response()
                return
        raise redis.exceptions.TimeoutError("it is still saving")

    def resume_writes(self, tenant_name: TenantName, *, instance: int) -> None:
        """End a pause of writes; fine when there is none."""
        with self._order(tenant_name, instance, "resume writes", reason="OrderRefused") as client:
            client.client_unpause()

    def save_in_background(self, tenant_name: TenantName, *, instance: int) -> None:
        """Start a background save and return when that very save has succeeded."""
        self._finish_background_work(tenant_name, instance, "rdb_bgsave_in_progress")
        with self._order(tenant_name, instance, "save", reason="SaveFailed") as client:
            client.bgsave()
        info = self._finish_background_work(tenant_name, instance, "rdb_bgsave_in_progress")
        if info.get("rdb_last_bgsave_status") != "ok":
            raise StalledError(
                f"cannot save the data of {tenant_name}: its background save failed",
                reason="SaveFailed",
            )

    def wait_for_rewrite(self, tenant_name: TenantName, *, instance: int) -> None:
        """Return when the append-only file holds everything."""
        info = self._finish_background_work(
            tenant_name, instance, "aof_rewrite_in_progress", "aof_rewrite_scheduled"
        )
        if info.get("aof_last_bgrewrite_status") != "ok" or not info.get("aof_enabled"):
            raise StalledError(
                f"cannot write the append-only file of {tenant_name}: its rewrite failed",
                reason="RewriteFailed",
            )

    def end_script(self, tenant_name: TenantName, *, instance: int) -> None:
        """End the script or function that runs; fine when there is none."""
        with self._order(tenant_name, instance, "end a script", reason="OrderRefused") as client:
            for order in ("SCRIPT KILL", "FUNCTION KILL"):
                try:
                    _execute(client, order)
                except redis.exceptions.ResponseError as error:
                    if str(error).startswith("UNKILLABLE"):
                        raise WaitingError(
                            f"cannot end a script of {tenant_name}: it has written already",
                            retry_after=_UNKILLABLE_PAUSE,
                        ) from error
                    # A script is not ended by the order for functions, nor the other way round.
                    if not (_is_busy(error) or str(error).startswith("NOTBUSY")):
                        raise

    def purge_memory(self, tenant_name: TenantName, *, instance: int) -> None:
        """Ask the allocator to return freed pages."""
        with self._order(tenant_name, instance, "purge memory", reason="OrderRefused") as client:
            client.memory_purge()

    def set_directives(
        self, tenant_name: TenantName, *, instance: int, directives: tuple[tuple[str, str], ...]
    ) -> None:
        """Set all *directives* in one call."""
        words = [word for pair in directives for word in pair]
        what = f"set {', '.join(name for name, _ in directives)}"
        with self._order(tenant_name, instance, what, reason="DirectiveRefused") as client:
            _execute(client, "CONFIG SET", *words)

    def set_user(self, tenant_name: TenantName, *, instance: int, user: AclUser) -> None:
        """Replace everything about one user in one call."""
        passwords = self._hashes(tenant_name, user.name, user.passwords)
        rules = user.rules(tuple(f"#{sha256}" for sha256 in passwords))
        what = f"set user {user.name}"
        with self._order(tenant_name, instance, what, reason="UserRefused") as client:
            _execute(client, "ACL SETUSER", user.name, "reset", *rules)

    def prove_login(
        self, tenant_name: TenantName, *, instance: int, user: str, passwords: tuple[int, ...]
    ) -> None:
        """Log in with each of *passwords*."""
        for revision in passwords:
            password = self._password(tenant_name, user, revision)
            try:
                self._connections.log_in(tenant_name, instance, user=user, password=password)
            except redis.exceptions.AuthenticationError as error:
                raise StalledError(
                    f"cannot log in to {tenant_name} as {user} with password {revision}",
                    reason="LoginRefused",
                ) from error
            except (redis.exceptions.RedisError, OSError) as error:
                raise UnavailableError(
                    f"cannot try the passwords of {tenant_name}: {_why(error)}"
                ) from error

    def delete_user(self, tenant_name: TenantName, *, instance: int, user: str) -> None:
        """Remove one user."""
        what = f"delete user {user}"
        with self._order(tenant_name, instance, what, reason="UserRefused") as client:
            client.acl_deluser(user)

    # The rest ---------------------------------------------------------------------------------

    @contextmanager
    def _order(
        self, tenant_name: TenantName, instance: int, what: str, *, reason: str
    ) -> Iterator[redis.Redis]:
        """Give a connection for one order; a refusal is final, a broken connection is not."""
        try:
            yield self._connections.get(tenant_name, instance)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
            self._connections.drop(tenant_name, instance)
            raise UnavailableError(f"cannot {what} of {tenant_name}: {_why(error)}") from error
        except redis.exceptions.RedisError as error:
            raise StalledError(
                f"cannot {what} of {tenant_name}: {_why(error)}", reason=reason
            ) from error

    def _finish_background_work(
        self, tenant_name: TenantName, instance: int, *flags: str
    ) -> Reply:
        for _ in self._pauses(timedelta(minutes=10)):
            with self._order(tenant_name, instance, "ask", reason="OrderRefused") as client:
                info: Reply = client.info("persistence")
            if not any(info.get(flag) for flag in flags):
                return info
        raise WaitingError(f"{tenant_name} is still writing its data")

    def _pauses(self, patience: timedelta) -> Iterator[None]:
        """Yield at once and then after growing pauses, until *patience* ends or we stop."""
        pause, end = _FIRST_PAUSE, self._monotonic() + patience.total_seconds()
        while True:
            yield
            if self._monotonic() >= end or self._stopping.wait(pause):
                return
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _execute(client: redis.Redis, *words: str) -> None:
    client.execute_command(*words)  # type: ignore[no-untyped-call] # redis-py leaves it untyped


def _ask_together(client: redis.Redis, *questions: tuple[str, ...]) -> list[Any]:
    """Return one answer for each question, all of them asked by one write.

    redis-py's own pipeline would open a connection of its own. Whoever catches an error must
    drop this one, because later answers are still on their way.
    """
    if not questions:
        return []
    connection = cast("redis.Connection", client.connection)
    connection.send_packed_command(connection.pack_commands(questions))  # type: ignore[no-untyped-call] # as in _execute
    return [client.parse_response(connection, question[0]) for question in questions]  # type: ignore[no-untyped-call] # as above


def _is_busy(error: Exception) -> bool:
    return str(error).startswith("BUSY ")


def _is_silence(error: Exception) -> bool:
    """Return whether we waited in vain, for an answer or at a door where too many wait."""
    waited = (TimeoutError, BlockingIOError, redis.exceptions.TimeoutError)
    return isinstance(error, waited) or isinstance(error.__context__, waited)


def _number(answer: object) -> int:
    """Return a count, which no server has more of than fit into 64 bits.

    Raises:
        ValueError: It is none, so the rest is not to be believed either.
    """
    if not isinstance(answer, int) or not 0 <= answer < _BEYOND_COUNTING:
        raise ValueError("not a count")
    return answer


def _why(error: Exception) -> str:
    """Return an error in a few words, without the addresses and paths of descriptors."""
    if isinstance(error, FileNotFoundError):
        return "its management socket is missing"
    if isinstance(error, redis.exceptions.AuthenticationError):
        return "it refuses the daemon's password"
    # A server quotes the rule that it refuses, and a rule may be the hash of a password.
    text = shorten(_HASH.sub("#…", str(error)), 200)
    if "/proc/self/fd" in text:
        return "its management socket does not answer"
    return text or type(error).__name__
