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

from cachepilot.adapters.leaf_reading import CLIENT, CLIENT_KEY
from cachepilot.adapters.secret import Secret
from cachepilot.adapters.stamp import Stamp, stamp_at, stamp_of
from cachepilot.errors import UnavailableError
from cachepilot.observe.snapshot import Published, SeenEndpoint
from cachepilot.plan.shape import TLS_PORT
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

_TIMEOUT = 3.0
_REPLIES = (b"+OK", b"+PONG")
_LONGEST_REPLY = 4096
_Stamps = tuple[Stamp | None, ...]


class EndpointProbe:
    """Dials what is published, verifies chain and name, logs in and asks for a PONG.

    Args:
        ca_file: The bundle that clients are given.
        own_files: The folder of a tenant's certificate, where one for the probe itself lies if
            that tenant asks its clients for theirs.
        password: The documented password of a tenant's customer.
    """

    def __init__(
        self,
        *,
        ca_file: Path,
        own_files: Callable[[TenantName], Path],
        password: Callable[[TenantName], Secret],
    ) -> None:
        self._ca_file = ca_file
        self._own_files = own_files
        self._password = password
        self._lock = threading.Lock()
        self._contexts: dict[TenantName | None, tuple[_Stamps, ssl.SSLContext]] = {}

    def probe(
        self, tenant_name: TenantName, published: tuple[Published, ...]
    ) -> tuple[SeenEndpoint, ...]:
        """Return what a client meets at each published address, by the clock of this machine."""
        try:
            password = self._password(tenant_name)
        except UnavailableError:
            password = None
        return tuple(self._meet(tenant_name, listener, password) for listener in published)

    def _meet(
        self, tenant_name: TenantName, listener: Published, password: Secret | None
    ) -> SeenEndpoint:
        encrypted = listener.container_port == TLS_PORT
        problem, fingerprint, refused = "", "", ""
        try:
            problem, fingerprint = self._talk(tenant_name, listener, password, encrypted=encrypted)
        except ssl.SSLCertVerificationError as error:
            problem = f"its certificate is refused: {error.verify_message}"
            refused = self._look_at(listener)
        except (ssl.SSLError, OSError) as error:
            problem = _words(error)
        return SeenEndpoint(
            listener="tls" if encrypted else "plain",
            address=listener.address,
            port=listener.host_port,
            problem=problem,
            fingerprint=fingerprint,
            refused=refused,
        )

    def _talk(
        self,
        tenant_name: TenantName,
        listener: Published,
        password: Secret | None,
        *,
        encrypted: bool,
    ) -> tuple[str, str]:
        host = _dialled(listener.address)
        with socket.create_connection((host, listener.host_port), timeout=_TIMEOUT) as plain:
            if not encrypted:
                return _greet(plain, password), ""
            with self._trust(tenant_name).wrap_socket(plain, server_hostname=host) as wrapped:
                certificate = wrapped.getpeercert(binary_form=True) or b""
                return _greet(wrapped, password), hashlib.sha256(certificate).hexdigest()

    def _look_at(self, listener: Published) -> str:
        """Return the fingerprint of a certificate that cannot be trusted, or empty."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        address = (_dialled(listener.address), listener.host_port)
        try:
            with (
                socket.create_connection(address, timeout=_TIMEOUT) as plain,
                context.wrap_socket(plain) as wrapped,
            ):
                certificate = wrapped.getpeercert(binary_form=True) or b""
        except (ssl.SSLError, OSError):
            return ""
        return hashlib.sha256(certificate).hexdigest()

    def _trust(self, tenant_name: TenantName) -> ssl.SSLContext:
        """Return a context that trusts our bundle only; made anew when its files change.

        All tenants share one, but those that ask for a certificate.
        """
        folder = self._own_files(tenant_name)
        certificate, key = folder / CLIENT, folder / CLIENT_KEY
        shows = stamp_at(certificate)
        stamps = (stamp_of(self._ca_file.stat()), shows, shows and stamp_at(key))
        owner = tenant_name if shows else None
        with self._lock:
            cached = self._contexts.get(owner)
            if cached is None or cached[0] != stamps:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(self._ca_file)
                if shows:
                    context.load_cert_chain(certificate, key)
                cached = self._contexts[owner] = (stamps, context)
            return cached[1]


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
