"""EndpointReader: meets a tenant as its clients do, from outside.

Plain sockets and the standard library's TLS, not a client library: one reply is all we ask for,
and a library would load every authority of the system for each of a thousand tenants.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from cachepilot.adapters.secret import Secret
from cachepilot.adapters.stamp import Stamp, stamp_of
from cachepilot.errors import UnavailableError
from cachepilot.observe.snapshot import Published, SeenEndpoint
from cachepilot.plan.shape import TLS_PORT
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

_TIMEOUT = 3.0
_REPLIES = (b"+OK", b"+PONG")
_LONGEST_REPLY = 4096


class EndpointProbe:
    """Dials what is published, verifies chain and name, logs in and asks for a PONG.

    Args:
        ca_file: The bundle that clients are given.
        password: The documented password of a tenant's customer.
    """

    def __init__(self, *, ca_file: Path, password: Callable[[TenantName], Secret]) -> None:
        self._ca_file = ca_file
        self._password = password
        self._lock = threading.Lock()
        self._context: tuple[Stamp, ssl.SSLContext] | None = None

    def probe(
        self, tenant_name: TenantName, published: tuple[Published, ...]
    ) -> tuple[SeenEndpoint, ...]:
        """Return what a client meets at each published address, by the clock of this machine."""
        try:
            password = self._password(tenant_name)
        except UnavailableError:
            password = None
        return tuple(self._meet(listener, password) for listener in published)

    def _meet(self, listener: Published, password: Secret | None) -> SeenEndpoint:
        encrypted = listener.container_port == TLS_PORT
        problem, fingerprint = "", ""
        try:
            problem, fingerprint = self._talk(listener, password, encrypted=encrypted)
        except ssl.SSLCertVerificationError as error:
            problem = f"its certificate is refused: {error.verify_message}"
        except (ssl.SSLError, OSError) as error:
            problem = _words(error)
        return SeenEndpoint(
            listener="tls" if encrypted else "plain",
            address=listener.address,
            port=listener.host_port,
            problem=problem,
            fingerprint=fingerprint,
        )

    def _talk(
        self, listener: Published, password: Secret | None, *, encrypted: bool
    ) -> tuple[str, str]:
        host = _dialled(listener.address)
        with socket.create_connection((host, listener.host_port), timeout=_TIMEOUT) as plain:
            if not encrypted:
                return _greet(plain, password), ""
            with self._trust().wrap_socket(plain, server_hostname=host) as wrapped:
                certificate = wrapped.getpeercert(binary_form=True) or b""
                return _greet(wrapped, password), hashlib.sha256(certificate).hexdigest()

    def _trust(self) -> ssl.SSLContext:
        """Return a context that trusts our bundle only; made anew when the file changes."""
        key = stamp_of(self._ca_file.stat())
        with self._lock:
            if self._context is None or self._context[0] != key:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(self._ca_file)
                self._context = (key, context)
            return self._context[1]


def _greet(connection: socket.socket, password: Secret | None) -> str:
    """Log in and PING; return what is wrong, or empty."""
    if password is None:
        return "no password is recorded"
    connection.sendall(_command("AUTH", "default", password.reveal()) + _command("PING"))
    received = b""
    while received.count(b"\r\n") < len(_REPLIES) and len(received) < _LONGEST_REPLY:
        piece = connection.recv(_LONGEST_REPLY)
        if not piece:
            break
        received += piece
    replies = received.split(b"\r\n")
    for reply, expected in zip(replies, _REPLIES, strict=False):
        if reply != expected:
            words = shorten(reply.decode(errors="replace").lstrip("-"), 200)
            return f"it answers: {words}" if words else "it closed the connection"
    return ""


def _command(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def _dialled(address: str) -> str:
    """Return where to dial a listener; one that is open everywhere is open on loopback too."""
    parsed = ipaddress.ip_address(address)
    if not parsed.is_unspecified:
        return address
    return "127.0.0.1" if isinstance(parsed, ipaddress.IPv4Address) else "::1"


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, FileNotFoundError):
        return "this host has no authority bundle"
    return (error.strerror or str(error)).lower()
