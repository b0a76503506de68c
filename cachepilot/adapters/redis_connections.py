"""One kept connection to each server's management socket."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import redis
import redis.backoff
import redis.exceptions
import redis.retry

from cachepilot.adapters.paths import SOCKET
from cachepilot.adapters.redis_socket import GuardedConnection
from cachepilot.adapters.secret import Secret
from cachepilot.plan.users import DAEMON
from cachepilot.spec.document import TenantName

_TIMEOUT = 5.0
_FAREWELL_TIMEOUT = 0.2


class ManagementConnections:
    """Keeps one authenticated connection for each server instance.

    At ``maxclients`` a server refuses new connections, over the socket too; a kept one still
    gets through. One visit at a time goes to a tenant, so a connection needs no lock of its own.
    """

    def __init__(
        self,
        *,
        run_folder: Callable[[TenantName, int], Path],
        password: Callable[[TenantName], Secret],
        monotonic: Callable[[], float],
    ) -> None:
        self._monotonic = monotonic
        self._run_folder = run_folder
        self._password = password
        self._lock = threading.Lock()
        self._clients: dict[tuple[TenantName, int], redis.Redis] = {}

    def get(self, tenant_name: TenantName, instance: int) -> redis.Redis:
        """Return the kept connection, or a fresh one.

        Raises:
            OSError: There is no socket.
            redis.exceptions.RedisError: The server refused us.
            UnavailableError: No password is recorded yet.
        """
        key = (tenant_name, instance)
        with self._lock:
            client = self._clients.get(key)
        if client is None:
            password = self._password(tenant_name)
            client = self._open(tenant_name, instance, user=DAEMON, password=password)
            with self._lock:
                self._clients[key] = client
        guard = cast("GuardedConnection", client.connection).guard
        if guard is not None:
            guard.begin()
        return client

    def drop(self, tenant_name: TenantName, instance: int) -> None:
        """Forget a connection that broke; the next call opens another."""
        with self._lock:
            client = self._clients.pop((tenant_name, instance), None)
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def log_in(
        self, tenant_name: TenantName, instance: int, *, user: str, password: Secret
    ) -> None:
        """Log in as *user* over a connection of its own, and leave again.

        Raises:
            As :meth:`get`.
        """
        self._open(tenant_name, instance, user=user, password=password).close()

    @contextmanager
    def opened(
        self, tenant_name: TenantName, instance: int, *, user: str, password: Secret
    ) -> Iterator[redis.Redis]:
        """Log in as *user* for the duration of a block; answers are bytes.

        Raises:
            As :meth:`get`.
        """
        client = self._open(tenant_name, instance, user=user, password=password, text=False)
        try:
            yield client
        finally:
            client.close()

    def _open(
        self,
        tenant_name: TenantName,
        instance: int,
        *,
        user: str,
        password: Secret,
        text: bool = True,
    ) -> redis.Redis:
        # A socket's path has at most 107 bytes, so the folder is opened and named by descriptor.
        folder = os.open(
            self._run_folder(tenant_name, instance), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
        )
        try:
            # The folder belongs to the tenant: a link planted there must lead us nowhere.
            if not stat.S_ISSOCK(os.stat(SOCKET, dir_fd=folder, follow_symlinks=False).st_mode):
                raise FileNotFoundError(f"{SOCKET} of {tenant_name} is not a socket")
            # The owner of the folder is the user that the server runs as.
            uid = os.fstat(folder).st_uid
            path = f"/proc/self/fd/{folder}/{SOCKET}"
            client = self._connect(path, user, password, uid, text=text)
        finally:
            os.close(folder)
        # The descriptor may soon mean something else, so this client must never reconnect by
        # itself: whoever sees it break drops it.
        client.connection.path = "/nonexistent"  # type: ignore[union-attr]
        return client

    def _connect(
        self, path: str, user: str, password: Secret, uid: int, *, text: bool
    ) -> redis.Redis:
        pool = redis.ConnectionPool(
            connection_class=GuardedConnection,
            uid=uid,
            monotonic=self._monotonic,
            path=path,
            username=user,
            password=password.reveal(),
            socket_timeout=_TIMEOUT,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            decode_responses=text,
            driver_info=None,
            protocol=2,
        )
        try:
            # With a single connection, it connects in its constructor.
            return redis.Redis(connection_pool=pool, single_connection_client=True)
        except redis.exceptions.AuthenticationError:
            raise
        except redis.exceptions.ConnectionError as error:
            if farewell := _farewell(path):
                raise redis.exceptions.ConnectionError(farewell) from error
            raise


def _farewell(path: str) -> str:
    """Return what a server says that hangs up on us, or empty.

    A full server says why and closes at once. Whoever is still writing then meets a broken pipe
    and never reads the reason.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plain:
            plain.settimeout(_FAREWELL_TIMEOUT)
            plain.connect(path)
            return plain.recv(256).decode(errors="replace").strip().lstrip("-")
    except OSError:
        return ""
