"""Publishes status for everybody on the host, one small file a tenant."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cachepilot.adapters.atomic import Owner, explained, make_folder, write_volatile
from cachepilot.adapters.host_format import parse_shared, render_host
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
from cachepilot.adapters.stamp import Stamp, stamp_at
from cachepilot.adapters.status_format import Json, keep_own_facts, parse_tenant, render_tenant
from cachepilot.observe.snapshot import SeenHost, SeenServer, Snapshot
from cachepilot.spec.document import TenantName
from cachepilot.status.conditions import TenantStatus
from cachepilot.status.host import HostStatus

_FOLDER_MODE = 0o750
_FILE_MODE = 0o640
# Data of this size is saved and loaded in no time.
_LITTLE = 32 * 2**20
_NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a file says, as long as its stamp is this one."""

    stamp: Stamp
    status: TenantStatus


class StatusFiles:
    """The store of statuses and the board of the host.

    Files need not survive a start of the machine; they are replaced as a whole, so a reader
    never meets half of one.

    Args:
        paths: Where they lie.
        owner: Who may read them besides us, or None to leave that to the process.
    """

    def __init__(self, paths: RootPaths, *, owner: Owner | None) -> None:
        self._paths = paths
        self._owner = owner
        self._kept: dict[TenantName, _Kept] = {}
        self._lock = threading.Lock()
        self._shared: SeenHost | None = None
        self._shared_at = _NEVER
        self._shared_stamp: Stamp | None = None

    def names(self) -> frozenset[TenantName]:
        """Return everybody about whom something is published; nobody if that cannot be told."""
        try:
            return frozenset(map(TenantName, PublishedStatus(self._paths).names()))
        except StatusUnreadableError:
            return frozenset()

    def read(self, tenant_name: TenantName) -> TenantStatus | None:
        """Return what was last published, or None; a file that is not ours counts as none."""
        path = self._paths.tenant_status(tenant_name)
        with explained("read", path):
            stamp = stamp_at(path)
            if stamp is None:
                return None
            kept = self._kept.get(tenant_name)
            if kept and kept.stamp == stamp:
                return kept.status
            content = path.read_bytes()
        status = self._parse(content)
        if status is None or status.tenant_name != tenant_name:
            return None
        self._kept[tenant_name] = _Kept(stamp, status)
        return status

    def publish(self, status: TenantStatus) -> None:
        """Replace what is published about one tenant; an equal status is not written again.

        Its file's time of modification then says when it was last confirmed.
        """
        path = self._paths.tenant_status(status.tenant_name)
        before = self.read(status.tenant_name)
        if before is not None and _essence(before) == _essence(status):
            with explained("confirm", path):
                os.utime(path)
        else:
            self._write(path, render_tenant(status))
        with explained("read", path):
            stamp = stamp_at(path)
        if stamp:
            self._kept[status.tenant_name] = _Kept(stamp, status)
        if status.snapshot:
            self._share(status.snapshot)

    def withdraw(self, tenant_name: TenantName) -> None:
        """Forget what was published about a tenant that no longer exists."""
        path = self._paths.tenant_status(tenant_name)
        with explained("remove", path):
            path.unlink(missing_ok=True)
        self._kept.pop(tenant_name, None)

    def publish_host(self, status: HostStatus) -> None:
        """Replace what is published about host and daemon."""
        # A daemon that has not looked yet passes on what the one before it saw.
        self._write(self._paths.host_status, render_host(status, self._read_shared()))

    def _write(self, path: Path, content: Json) -> None:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"
        if not path.parent.is_dir():
            make_folder(path.parent, mode=_FOLDER_MODE, owner=self._owner)
        write_volatile(path, text.encode(), mode=_FILE_MODE, owner=self._owner)

    def _parse(self, content: bytes) -> TenantStatus | None:
        """Return the status with the shared facts put back in; None when it is not ours."""
        try:
            status = parse_tenant(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        shared = self._read_shared()
        if status.snapshot is None or shared is None:
            return status
        own = status.snapshot.host
        host = replace(shared, authority=own.authority, foreign_addresses=own.foreign_addresses)
        return replace(status, snapshot=replace(status.snapshot, host=host))

    def _share(self, snapshot: Snapshot) -> None:
        with self._lock:
            if snapshot.at >= self._shared_at:
                self._shared, self._shared_at = snapshot.host, snapshot.at

    def _read_shared(self) -> SeenHost | None:
        path = self._paths.host_status
        with self._lock, explained("read", path):
            stamp = stamp_at(path)
            if stamp and stamp != self._shared_stamp and self._shared_at == _NEVER:
                self._shared_stamp = stamp
                try:
                    self._shared = parse_shared(json.loads(path.read_bytes()))
                except (ValueError, AttributeError, RecursionError, FileNotFoundError):
                    self._shared = None
            return self._shared


def _magnitude(size: int) -> int:
    """Return *size* as roughly as it matters for how long a restart will take."""
    shift = max(size.bit_length() - 3, _LITTLE.bit_length())
    return size >> shift << shift


def _essence(status: TenantStatus) -> TenantStatus:
    """Return *status* without what changes from one look to the next though nothing happened."""
    snapshot = status.snapshot
    if snapshot is not None:
        server = snapshot.server
        if isinstance(server, SeenServer):
            server = replace(
                server,
                uptime_seconds=0,
                used_memory=_magnitude(server.used_memory),
                resident_memory=0,
                keys=0,
                clients=0,
            )
        host = keep_own_facts(snapshot.host)
        snapshot = replace(snapshot, at=_NEVER, host=host, server=server)
    return replace(status, observed_at=_NEVER, snapshot=snapshot)
