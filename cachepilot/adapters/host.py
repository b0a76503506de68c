"""What all tenants share: the ledger, and the ports and addresses of this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cachepilot.adapters.atomic import explained
from cachepilot.adapters.ledger import Ledger
from cachepilot.observe.snapshot import SeenAuthority, SeenHost

MEMORY_TABLE = Path("/proc/meminfo")
KERNEL_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING = b"0A"
_LOOK_AGAIN_AFTER = timedelta(seconds=1)
# The last two: no such family on this machine, and a link-local address without its link.
_FOREIGN = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL}


class HostFacts:
    """The read port of what tenants share.

    Args:
        ledger: Who holds what.
        quarantine: How long a released port or user id rests.
        utc_now: The time, for the quarantine.
        monotonic: Seconds that never jump; most questions are content with what the
            kernel's tables said up to a second ago.
        memory_table: The kernel's word on memory.
        tables: The kernel's tables of TCP sockets; one that is absent is a family it lacks.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        quarantine: timedelta,
        utc_now: Callable[[], datetime],
        monotonic: Callable[[], float],
        tables: tuple[Path, ...] = KERNEL_TABLES,
        memory_table: Path = MEMORY_TABLE,
    ) -> None:
        self._ledger = ledger
        self._quarantine = quarantine
        self._utc_now = utc_now
        self._monotonic = monotonic
        self._tables = tables
        self._memory_table = memory_table
        self._lock = threading.Lock()
        self._listening: tuple[float, frozenset[tuple[str, int]]] | None = None

    def use_quarantine(self, quarantine: timedelta) -> None:
        """Take another time of rest from now on."""
        self._quarantine = quarantine

    def look(
        self, authority: SeenAuthority, *, bind: tuple[str, ...], new_ports: bool, moves: bool
    ) -> SeenHost:
        """Return the ledger and which of *bind* are not addresses of this host.

        The kernel's tables of all sockets are read only if it matters: on a machine with much
        memory that takes longer than all the rest of a visit.

        Raises:
            StalledError: The ledger cannot be read (reason ``LedgerUnreadable``).
        """
        view = self._ledger.view(now=self._utc_now(), quarantine=self._quarantine)
        recent = timedelta() if moves else _LOOK_AGAIN_AFTER
        listeners = self._list_listening(recent) if new_ports or moves else frozenset()
        return SeenHost(
            authority=authority,
            owned_ports=view.owned_ports,
            owned_uids=view.owned_uids,
            resting_ports=view.resting_ports,
            resting_uids=view.resting_uids,
            bridges=view.bridges,
            listeners=listeners,
            foreign_addresses=tuple(address for address in bind if is_foreign(address)),
            memory_available=_read_memory(self._memory_table),
        )

    def _list_listening(self, recent: timedelta) -> frozenset[tuple[str, int]]:
        now = self._monotonic()
        with self._lock:
            if self._listening is None or now - self._listening[0] >= recent.total_seconds():
                found = frozenset(each for table in self._tables for each in _read_table(table))
                self._listening = (now, found)
            return self._listening[1]


def is_foreign(address: str) -> bool:
    """Return whether nothing on this host can listen on *address*."""
    version = ipaddress.ip_address(address).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 - of IP itself
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, 0))
    except OSError as error:
        if error.errno in _FOREIGN:
            return True
        with explained("bind to", Path(address)):
            raise
    return False


def _read_memory(table: Path) -> int | None:
    """Return the bytes that the kernel calls available, or None if it does not say."""
    with explained("read", table):
        try:
            lines = table.read_bytes().splitlines()
        except FileNotFoundError:
            return None
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _read_table(table: Path) -> Iterator[tuple[str, int]]:
    """Yield address and port of every listening socket."""
    with explained("read", table):
        try:
            rows = table.read_bytes().splitlines()[1:]
        except FileNotFoundError:
            return
    for row in rows:
        fields = row.split(None, 4)
        if fields[3] == _LISTENING:
            address, _, port = fields[1].partition(b":")
            yield _address(address.decode()), int(port, 16)


def _address(digits: str) -> str:
    """Return what the kernel writes as words in the byte order of this machine."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    found = ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))
    return str(getattr(found, "ipv4_mapped", None) or found)
