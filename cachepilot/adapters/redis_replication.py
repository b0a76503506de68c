"""HandOverWriter and ReplicationReader: one server of a tenant takes over from another.

The password of the link is drawn here and kept nowhere but in the two servers, for as long as the
new one needs it to log in once.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import cast

import redis
import redis.exceptions

from cachepilot.adapters.redis_errors import why
from cachepilot.adapters.redis_ordering import Ordering, Reply, execute
from cachepilot.adapters.secret import Secret
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.snapshot import SeenReplication, Unreachable
from cachepilot.plan.server_config import FENCE, MOST_REPLICAS
from cachepilot.plan.users import DAEMON
from cachepilot.spec.document import TenantName

LINK_USER = "cachepilot-successor"
_LINK_COMMANDS = ("-@all", "+psync", "+replconf", "+ping")
_HERE = "127.0.0.1"
_PASSWORD_BYTES = 24
# A server that was promoted and whose daemon died must not take a write before it is decided who
# is in charge, however long that takes.
_FOR_YEARS = 10 * 365 * 24 * 3600 * 1000
_CLOSE_ENOUGH = 64 * 1024
_PATIENCE_TO_BE_CLOSE, _PATIENCE_TO_MEET = timedelta(seconds=2), timedelta(milliseconds=150)
_TRY_AGAIN = timedelta(seconds=2)


class RedisReplication(Ordering):
    """Orders and asks two servers of one tenant."""

    # Questions --------------------------------------------------------------------------------

    def ask(self, tenant_name: TenantName, *, instance: int) -> SeenReplication | Unreachable:
        """Return what it says of its link, or why it said nothing."""
        try:
            client = self._connections.get(tenant_name, instance)
            info: Reply = client.info("replication")
            held = execute(client, "CONFIG GET", "masterauth")
        except (redis.exceptions.RedisError, UnavailableError, OSError) as error:
            self._connections.drop(tenant_name, instance)
            return Unreachable(why(error))
        return SeenReplication(
            follows=info.get("role") == "slave",
            link_up=info.get("master_link_status") == "up",
            has_password=bool(dict(held).get("masterauth")),
        )

    # Verbs ------------------------------------------------------------------------------------

    def follow(
        self,
        tenant_name: TenantName,
        *,
        instance: int,
        leader: int,
        port: int,
        encrypted: bool,
        buffer: int,
    ) -> None:
        """Draw a password for a user that may only replicate, and let *instance* do so with it."""
        password = Secret(secrets.token_urlsafe(_PASSWORD_BYTES))
        with self._order(tenant_name, leader, "prepare the replication") as client:
            rules = ("reset", "on", f"#{password.sha256()}", *_LINK_COMMANDS)
            execute(client, "ACL SETUSER", LINK_USER, *rules)
            # Without an end in time: a link that breaks begins anew, and would break again.
            limit = f"replica {buffer} 0 0"
            execute(client, "CONFIG SET", "client-output-buffer-limit", limit)
        with self._order(tenant_name, instance, "start the replication") as client:
            execute(
                client,
                *("CONFIG SET", "masteruser", LINK_USER, "masterauth", password.reveal()),
                *("tls-replication", "yes" if encrypted else "no"),
            )
            _replicate(client, _HERE, str(port))

    def wait(
        self, tenant_name: TenantName, *, instance: int, leader: int, patience: timedelta
    ) -> None:
        """Return when the link stands and whatever *instance* logs is on disk; void the password.

        Raises:
            WaitingError: It is not so far after *patience*.
            StalledError: It cannot write its append-only file (reason ``RewriteFailed``).
        """
        for _ in self._pauses(patience):
            with self._order(tenant_name, instance, "ask the successor") as client:
                info: Reply = client.info("all")
            if _is_whole(tenant_name, info):
                break
        else:
            message = f"the successor of {tenant_name} is still copying the data"
            raise WaitingError(message, retry_after=_TRY_AGAIN)
        # Not the user itself: that would end the link.
        with self._order(tenant_name, leader, "void a password") as client:
            execute(client, "ACL SETUSER", LINK_USER, "resetpass")
        with self._order(tenant_name, instance, "forget a password") as client:
            execute(client, "CONFIG SET", "masterauth", "", "masteruser", "")

    def drain(
        self, tenant_name: TenantName, *, instance: int, successor: int, pause: timedelta
    ) -> None:
        """Pause writes and close every listener once *successor* has applied what was written.

        Raises:
            WaitingError: It did not within a moment; nothing is closed, and writes go on.
        """
        with (
            self._order(tenant_name, instance, "hand over the clients") as old,
            self._order(tenant_name, successor, "ask the successor") as new,
        ):
            if not self._catches_up(old, new, _CLOSE_ENOUGH, _PATIENCE_TO_BE_CLOSE):
                message = f"the successor of {tenant_name} is too far behind"
                raise WaitingError(message, retry_after=_TRY_AGAIN)
            old.client_pause(int(pause.total_seconds() * 1000), all=False)
            if not self._catches_up(old, new, 0, _PATIENCE_TO_MEET):
                old.client_unpause()
                message = f"the successor of {tenant_name} does not keep up"
                raise WaitingError(message, retry_after=_TRY_AGAIN)
            execute(old, "CONFIG SET", "port", "0", "tls-port", "0")

    def promote(
        self, tenant_name: TenantName, *, instance: int, listeners: tuple[tuple[str, str], ...]
    ) -> None:
        """Stop replicating and listen; writes wait until they are resumed."""
        with self._order(tenant_name, instance, "promote the successor") as client:
            # First of all, or a write might be taken that the record does not know of yet.
            client.client_pause(_FOR_YEARS, all=False)
            _replicate(client, "NO", "ONE")
            words = [word for pair in listeners for word in pair]
            execute(
                client,
                *("CONFIG SET", "tls-replication", "no", "masterauth", "", "masteruser", ""),
                *(FENCE, "0", *words),
            )

    def fence(self, tenant_name: TenantName, *, instance: int, successor: int) -> None:
        """Refuse every write from now on, and end every connection but our own.

        A pause ends by the wall clock of the server, and whoever orders may be held up: only the
        offsets tell that nobody wrote in between.

        Raises:
            WaitingError: It took a write since *successor* stopped replicating.
        """
        with self._order(tenant_name, instance, "fence the old server") as client:
            orders = (
                ("CONFIG SET", FENCE, MOST_REPLICAS, "min-replicas-max-lag", "10"),
                ("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes"),
                ("CLIENT KILL", "TYPE", "pubsub", "SKIPME", "yes"),
            )
            # In one write, so that nobody is told of the first who is not cut off by the others.
            connection = cast("redis.Connection", client.connection)
            connection.send_packed_command(connection.pack_commands(orders))  # type: ignore[no-untyped-call] # redis-py leaves it untyped
            for _ in orders:
                connection.read_response()
            written = int(client.info("replication")["master_repl_offset"])
        # Nobody will ask it again.
        self._connections.drop(tenant_name, instance)
        with self._order(tenant_name, successor, "ask the successor") as client:
            # Its own history begins behind the last byte that it has of the other's.
            applied = int(client.info("replication")["second_repl_offset"]) - 1
        if written != applied:
            message = f"the server of {tenant_name} took a write while another was to take over"
            raise WaitingError(message, retry_after=_TRY_AGAIN)

    # The rest ---------------------------------------------------------------------------------

    def _catches_up(
        self, old: redis.Redis, new: redis.Redis, distance: int, patience: timedelta
    ) -> bool:
        """Return whether *new* has applied all but *distance* bytes of what *old* has by now."""
        goal = int(old.info("replication")["master_repl_offset"]) - distance
        for _ in self._pauses(patience):
            info: Reply = new.info("replication")
            is_up = info.get("master_link_status") == "up"
            if is_up and int(info["slave_repl_offset"]) >= goal:
                return True
        return False


def _replicate(client: redis.Redis, *where: str) -> None:
    """Say whom to replicate; the daemon's own user may not, but for this moment."""
    execute(client, "ACL SETUSER", DAEMON, "+replicaof")
    try:
        execute(client, "REPLICAOF", *where)
    finally:
        execute(client, "ACL SETUSER", DAEMON, "-replicaof")


def _is_whole(tenant_name: TenantName, info: Reply) -> bool:
    """Return whether a successor has everything, in memory and in what it logs.

    Raises:
        StalledError: It cannot write its append-only file (reason ``RewriteFailed``).
    """
    if info.get("master_link_status") != "up" or info.get("loading"):
        return False
    if not info.get("aof_enabled"):
        return True
    if info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled"):
        return False
    if info.get("aof_last_bgrewrite_status") != "ok":
        raise StalledError(
            f"cannot write the append-only file of the successor of {tenant_name}",
            reason="RewriteFailed",
        )
    return True
