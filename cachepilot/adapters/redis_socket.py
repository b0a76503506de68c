"""A management socket that a hostile server cannot turn against the daemon.

The server's process and its folder belong to the tenant. Whoever answers there must be that very
user before a password is sent, and must answer briefly: a flood or a trickle ends the connection.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import redis.connection
import redis.exceptions

_MOST_BYTES = 1 << 20
_MOST_SECONDS = 15.0
_CREDENTIALS = struct.Struct("3i")


class GuardedSocket:
    """A socket with an allowance of bytes and seconds for each conversation."""

    def __init__(self, plain: socket.socket, monotonic: Callable[[], float]) -> None:
        self._plain = plain
        self._monotonic = monotonic
        self.begin()

    def begin(self) -> None:
        """Grant a fresh allowance."""
        self._bytes, self._end = _MOST_BYTES, self._monotonic() + _MOST_SECONDS

    def recv(self, size: int) -> bytes:
        """Receive within the allowance.

        Raises:
            redis.exceptions.ConnectionError: The allowance of bytes is used up.
            redis.exceptions.TimeoutError: That of seconds is.
        """
        received = self._plain.recv(size)
        self._bytes -= len(received)
        if self._bytes < 0:
            raise redis.exceptions.ConnectionError("it answers more than anybody asked for")
        if self._monotonic() > self._end:
            raise redis.exceptions.TimeoutError("it answers too slowly")
        return received

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a socket has
        return getattr(self._plain, name)


class GuardedConnection(redis.connection.UnixDomainSocketConnection):
    """Connects to a socket if the process behind it runs as *uid*; None accepts anybody."""

    def __init__(
        self,
        *,
        uid: int | None,
        monotonic: Callable[[], float],
        **options: Any,  # noqa: ANN401 - redis-py's own
    ) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call] # redis-py leaves it untyped
        self._uid = uid
        self._monotonic = monotonic
        self.guard: GuardedSocket | None = None

    def _connect(self) -> GuardedSocket:
        plain: socket.socket = super()._connect()  # type: ignore[no-untyped-call] # as above
        raw = plain.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        if self._uid is not None and uid != self._uid:
            plain.close()
            raise redis.exceptions.ConnectionError("a stranger answers on its management socket")
        self.guard = GuardedSocket(plain, self._monotonic)
        return self.guard
