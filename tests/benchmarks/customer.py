"""A client as customers have them: it verifies chain and name, logs in and asks for a PONG."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

_PAUSE = 0.002
_PATIENCE = 60.0
# A port is open a little before its server: a dial in between hangs for a second, so a customer
# in a hurry dials again.
_HURRY = 0.08
Door = tuple[int, str]


class Customer:
    """Connects anew for each question, because the first connection is what counts."""

    def __init__(self, ca_file: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.load_verify_locations(ca_file)

    def asks(self, port: int, password: str, *, timeout: float = 5.0) -> bool:
        """Return whether an authenticated PING is answered."""
        words = f"AUTH default {password}\r\nPING\r\n".encode()
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=timeout) as plain,
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
        """Return the moment of the first PONG; *find_door* gives port and password."""
        end = time.perf_counter() + _PATIENCE
        while time.perf_counter() < end:
            try:
                port, password = find_door()
            except (OSError, KeyError, IndexError, TypeError, ValueError):
                time.sleep(_PAUSE)
                continue
            if self.asks(port, password, timeout=_HURRY):
                return time.perf_counter()
            time.sleep(_PAUSE)
        raise RuntimeError(f"no PONG within {_PATIENCE:.0f} s")
