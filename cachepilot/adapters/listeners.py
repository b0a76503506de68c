"""Which TCP ports have a listener on this machine."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from cachepilot.adapters.atomic import explained

KERNEL_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING = b"0A"

# From linux/netlink.h, linux/sock_diag.h and the kernel's table of TCP states.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_AND_DUMP = 0x301
_ERROR, _DONE = 2, 3
_STATE_LISTEN = 1 << 10
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_QUERY = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, any socket
_CODE = struct.Struct("=i")
_LOCAL_PORT = struct.Struct(">H")  # behind family, state, timer and retransmits
_LONGEST_ANSWER = 65_536
_TIMEOUT = 1.0


def list_listening() -> frozenset[int]:
    """Return the ports that have a listener, whatever address it is bound to.

    The kernel is asked for listeners alone. Where that is not allowed its tables of all sockets
    are read, which costs ten milliseconds of processor on a machine with much memory.
    """
    try:
        return frozenset(
            port for family in (socket.AF_INET, socket.AF_INET6) for port in _ask(family)
        )
    except (OSError, struct.error):
        return read_tables(KERNEL_TABLES)


def read_tables(tables: tuple[Path, ...]) -> frozenset[int]:
    """Return the local port of every listening socket in the kernel's *tables*.

    A table that is absent is a family that the kernel lacks.
    """
    return frozenset(port for table in tables for port in _read_table(table))


def _ask(family: int) -> Iterator[int]:
    """Yield the ports of listeners of one family.

    Raises:
        OSError: The kernel does not answer such questions, or not us.
    """
    query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, _STATE_LISTEN)
    length = _HEADER.size + len(query)
    header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST_AND_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_TIMEOUT)
        kernel.send(header + query)
        while True:
            answer, at = kernel.recv(_LONGEST_ANSWER), 0
            while at < len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                body = at + _HEADER.size
                if kind in (_ERROR, _DONE):
                    _refuse(answer, body)
                    return
                yield _LOCAL_PORT.unpack_from(answer, body + 4)[0]
                at += (length + 3) & ~3


def _refuse(answer: bytes, body: int) -> None:
    """Raise what the kernel says went wrong, if anything did."""
    (code,) = _CODE.unpack_from(answer, body)
    if code < 0:
        raise OSError(-code, "the kernel does not list its listeners")


def _read_table(table: Path) -> Iterator[int]:
    with explained("read", table):
        try:
            rows = table.read_bytes().splitlines()[1:]
        except FileNotFoundError:
            return
    for row in rows:
        fields = row.split(None, 4)
        if fields[3] == _LISTENING:
            yield int(fields[1].rpartition(b":")[2], 16)
