"""Metrics and health over HTTP, for machines on this host."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cachepilot import clock

Check = Callable[[], dict[str, str]]
"""Returns what is wrong, by name of the check; empty means healthy."""

_MOST_CONNECTIONS = 16
_MOST_SECONDS = 5.0
_LANDING = b"cachepilotd\n\n/metrics  /livez  /readyz\n"


class _BoundedServer(ThreadingHTTPServer):
    """Serves a few at a time; anybody on the host may connect, nobody may use us up."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as inherited
        super().__init__(*arguments)
        self._room = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._silent: dict[socket.socket, None] = {}

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        if self._room.acquire(blocking=False) or self._make_room():
            with self._lock:
                self._silent[request] = None
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.note_asked(request)
            self._room.release()

    def note_asked(self, request: socket.socket) -> None:
        """Count a connection among those that have said what they want."""
        with self._lock:
            self._silent.pop(request, None)

    def _make_room(self) -> bool:
        """Drop whoever has kept us waiting longest; return whether that made room.

        Whoever asks honestly does so at once, and is never the oldest of many.
        """
        with self._lock:
            if (oldest := next(iter(self._silent), None)) is None:
                return False
            del self._silent[oldest]
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        return self._room.acquire(timeout=1.0)


class _Allowance(io.RawIOBase):
    """Reads what a client sends, within one time for all of it: a trickle does not prolong it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._end = clock.monotonic() + _MOST_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - as inherited
        left = self._end - clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class HttpServer:
    """Serves until closed, in threads of its own.

    Args:
        address: Where to listen.
        port: 0 picks a free one.
        metrics: Renders the text exposition.
        live: What is wrong with the loop; asks nobody outside.
        ready: What keeps the daemon from doing its work. A broken tenant does not.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        metrics: Callable[[], bytes],
        live: Check,
        ready: Check,
    ) -> None:
        pages = {"/livez": live, "/healthz": live, "/readyz": ready}

        class Pages(BaseHTTPRequestHandler):
            server_version, sys_version = "cachepilotd", ""

            def setup(self) -> None:
                super().setup()
                self.rfile.close()
                self.rfile = io.BufferedReader(_Allowance(self.connection))

            def do_GET(self) -> None:
                server.note_asked(self.connection)
                self.connection.settimeout(_MOST_SECONDS)
                path, _, query = self.path.partition("?")
                if path == "/metrics":
                    self._send(HTTPStatus.OK, metrics(), "text/plain; version=0.0.4")
                elif path in pages:
                    self._check(pages[path](), verbose="verbose" in query)
                elif path == "/":
                    self._send(HTTPStatus.OK, _LANDING)
                else:
                    self._send(HTTPStatus.NOT_FOUND, b"not found\n")

            def _check(self, wrong: dict[str, str], *, verbose: bool) -> None:
                status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                text = json.dumps(wrong) if verbose or wrong else "ok"
                self._send(status, f"{text}\n".encode())

            def _send(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:  # noqa: ANN401 - as inherited
                """Keep scrapes out of the log."""

        self._server = server = _BoundedServer((address, port), Pages)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="http", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is really used."""
        return self._server.server_address[1]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
