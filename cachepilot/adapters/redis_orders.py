"""ServerWriter: orders over a server's management socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

import redis
import redis.exceptions

from cachepilot.adapters.redis_comparison import DataComparison
from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.redis_errors import is_busy, why
from cachepilot.adapters.redis_ordering import Reply, execute
from cachepilot.adapters.replacement_record import ReplacementRecord
from cachepilot.adapters.secret import Secret
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.plan.actions import AclUser
from cachepilot.plan.shape import LONGEST_STOP
from cachepilot.spec.document import TenantName

# Clients of a server on trial wait outside for whoever sees that it has loaded.
_LOADING_PAUSE = timedelta(milliseconds=500)
_UNKILLABLE_PAUSE = timedelta(seconds=15)
_REWRITING = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")


class RedisOrders(DataComparison):
    """Orders servers of one installation.

    Args:
        connections: Kept connections.
        replacements: What is remembered of servers that take the place of others.
        hashes: Maps (tenant, user, revisions) to the SHA-256 of each.
        password: Maps (tenant, user, revision) to the password.
        utc_now: Tells what has expired.
        monotonic: Seconds that never jump.
        stopping: Set when the daemon stops; ends every wait.
    """

    def __init__(
        self,
        connections: ManagementConnections,
        replacements: ReplacementRecord,
        *,
        hashes: Callable[[TenantName, str, tuple[int, ...]], tuple[str, ...]],
        password: Callable[[TenantName, str, int], Secret],
        utc_now: Callable[[], datetime],
        monotonic: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        super().__init__(
            connections, replacements, utc_now=utc_now, monotonic=monotonic, stopping=stopping
        )
        self._hashes = hashes
        self._password = password

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
            raise WaitingError(f"{tenant_name} is loading its data", retry_after=_LOADING_PAUSE)
        raise UnavailableError(f"cannot reach the server of {tenant_name}: {why(last)}")

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
        connection.send_command("SAVE")  # type: ignore[no-untyped-call] # redis-py leaves it untyped
        for _ in self._pauses(LONGEST_STOP):
            if connection.can_read(timeout=0):
                connection.read_response()
                return
        raise redis.exceptions.TimeoutError("it is still saving")

    def resume_writes(self, tenant_name: TenantName, *, instance: int) -> None:
        """End a pause of writes; fine when there is none."""
        with self._order(tenant_name, instance, "resume writes") as client:
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
            tenant_name, instance, *_REWRITING, unless=_is_rewritten_in_vain
        )
        failed = info.get("aof_last_bgrewrite_status") != "ok" or not info.get("aof_enabled")
        if failed or _is_rewritten_in_vain(info):
            raise StalledError(
                f"cannot write the append-only file of {tenant_name}: its rewrite failed",
                reason="RewriteFailed",
            )

    def rewrite_append_only(self, tenant_name: TenantName, *, instance: int) -> None:
        """Rewrite the append-only file and return when that has succeeded."""
        self._finish_background_work(
            tenant_name,
            instance,
            *_REWRITING,
            "rdb_bgsave_in_progress",
            unless=_is_rewritten_in_vain,
        )
        what = "rewrite the append-only file"
        with self._order(tenant_name, instance, what, reason="RewriteFailed") as client:
            client.bgrewriteaof()
        self.wait_for_rewrite(tenant_name, instance=instance)

    def end_script(self, tenant_name: TenantName, *, instance: int) -> None:
        """End the script or function that runs; fine when there is none."""
        with self._order(tenant_name, instance, "end a script") as client:
            for order in ("SCRIPT KILL", "FUNCTION KILL"):
                try:
                    execute(client, order)
                except redis.exceptions.ResponseError as error:
                    if str(error).startswith("UNKILLABLE"):
                        raise WaitingError(
                            f"cannot end a script of {tenant_name}: it has written already",
                            retry_after=_UNKILLABLE_PAUSE,
                        ) from error
                    # A script is not ended by the order for functions, nor the other way round.
                    if not (is_busy(error) or str(error).startswith("NOTBUSY")):
                        raise

    def purge_memory(self, tenant_name: TenantName, *, instance: int) -> None:
        """Ask the allocator to return freed pages."""
        with self._order(tenant_name, instance, "purge memory") as client:
            client.memory_purge()

    def set_directives(
        self, tenant_name: TenantName, *, instance: int, directives: tuple[tuple[str, str], ...]
    ) -> None:
        """Set all *directives* in one call."""
        words = [word for pair in directives for word in pair]
        what = f"set {', '.join(name for name, _ in directives)}"
        with self._order(tenant_name, instance, what, reason="DirectiveRefused") as client:
            execute(client, "CONFIG SET", *words)

    def set_user(self, tenant_name: TenantName, *, instance: int, user: AclUser) -> None:
        """Replace everything about one user in one call."""
        passwords = self._hashes(tenant_name, user.name, user.passwords)
        rules = user.rules(tuple(f"#{sha256}" for sha256 in passwords))
        what = f"set user {user.name}"
        with self._order(tenant_name, instance, what, reason="UserRefused") as client:
            execute(client, "ACL SETUSER", user.name, "reset", *rules)

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
                    f"cannot try the passwords of {tenant_name}: {why(error)}"
                ) from error

    def delete_user(self, tenant_name: TenantName, *, instance: int, user: str) -> None:
        """Remove one user."""
        what = f"delete user {user}"
        with self._order(tenant_name, instance, what, reason="UserRefused") as client:
            client.acl_deluser(user)


def _is_rewritten_in_vain(info: Reply) -> bool:
    """Return whether a log that was never complete waits for its next try, as the last failed.

    A server that was told to begin one tries for ever, at first at once and then every minute.
    """
    return bool(
        info.get("aof_rewrite_scheduled")
        and not info.get("aof_rewrite_in_progress")
        and not info.get("rdb_bgsave_in_progress")
        and info.get("aof_last_bgrewrite_status") != "ok"
    )
