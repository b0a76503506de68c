"""A client as customers have them: it verifies chain and name, logs in and asks for a PONG."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PAUSE = 0.002
_PATIENCE = 60.0


@dataclass(frozen=True)
class Door:
    """How to get in.

    Docker opens a port a little before the server behind it listens. A dial in between makes the
    kernel look for the server's address in vain, and then nobody gets in for a whole second. So
    the first dial waits until the management socket, which costs nothing, answers.
    """

    port: int
    password: str
    management: Path

    @property
    def is_open(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            return knock.connect_ex(str(self.management)) == 0


class Customer:
    """Connects anew for each question, because the first connection is what counts."""

    def __init__(self, ca_file: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.load_verify_locations(ca_file)

    def asks(self, door: Door) -> bool:
        """Return whether an authenticated PING is answered."""
        words = f"AUTH default {door.password}\r\nPING\r\n".encode()
        try:
            with (
                socket.create_connection(("127.0.0.1", door.port), timeout=5) as plain,
                self._context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
            ):
                wrapped.sendall(words)
                received = b""
                while piece := wrapped.recv(4096):
                    received += piece
                    if received.count(b"\r\n") > 1:
                        break
                return received == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False

    def waits(self, find_door: Callable[[], Door]) -> float:
        """Return the moment of the first PONG; *find_door* fails while there is no tenant."""
        end = time.perf_counter() + _PATIENCE
        while time.perf_counter() < end:
            try:
                door = find_door()
            except (OSError, KeyError, IndexError, TypeError, ValueError):
                time.sleep(_PAUSE)
                continue
            if door.is_open and self.asks(door):
                return time.perf_counter()
            time.sleep(_PAUSE)
        raise RuntimeError(f"no PONG within {_PATIENCE:.0f} s")
