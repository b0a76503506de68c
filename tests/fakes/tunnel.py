"""A socket in front of the engine's own, which can be cut as a broken stream is."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path


class Tunnel:
    """Carries bytes between *path* and the engine at *address*, once it is open."""

    def __init__(self, path: Path, address: str) -> None:
        self.address = f"unix://{path}"
        self._path = path
        self._engine = address.removeprefix("unix://")
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []

    def open(self) -> Tunnel:
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(self._path))
        self._door.listen(64)
        threading.Thread(target=self._accept, args=(self._door,), daemon=True).start()
        return self

    def cut(self) -> None:
        """Let nobody in any more, and hang up on everybody."""
        self._path.unlink()
        self._door.shutdown(socket.SHUT_RDWR)
        self.hang_up()

    def hang_up(self) -> None:
        """Hang up on everybody; whoever calls again gets through."""
        with self._lock:
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._ends.clear()

    def _accept(self, door: socket.socket) -> None:
        with door:
            while True:
                try:
                    near, _ = door.accept()
                except OSError:
                    return
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine)
                with self._lock:
                    self._ends += [near, far]
                threading.Thread(target=_carry, args=(near, far), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    with near, far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
