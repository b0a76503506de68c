"""Tells what happened, one line an event; the newest file and one older are kept."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from cachepilot.adapters.atomic import Owner, make_folder, settle
from cachepilot.errors import CachePilotError
from cachepilot.spec.document import TenantName

LARGEST = 64 * 1024 * 1024
_MODE = 0o640
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class EventFile:
    """The log of events.

    Telling must never keep anybody from acting: an event that cannot be written is counted, and
    the next one that can says how many are missing.

    Args:
        path: The file; it is opened anew for each event, so that it may be rotated away.
        owner: Who may read it besides us, or None to leave that to the process.
        largest: Bytes after which the file becomes the older one.
    """

    def __init__(self, path: Path, *, owner: Owner | None, largest: int = LARGEST) -> None:
        self._path = path
        self._owner = owner
        self._largest = largest
        self._lock = threading.Lock()
        self._lost = 0

    @property
    def lost(self) -> int:
        """How many events could not be written since the last one that could."""
        return self._lost

    def record(
        self,
        *,
        at: datetime,
        tenant_name: TenantName | None,
        warning: bool,
        reason: str,
        message: str,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Append one event."""
        line = _line(at, tenant_name, "Warning" if warning else "Normal", reason, message, details)
        with self._lock:
            if self._lost:
                message = f"{self._lost} events could not be written"
                line = _line(at, None, "Warning", "EventsLost", message, None) + line
            try:
                self._append(line)
            except (OSError, CachePilotError):
                self._lost += 1
            else:
                self._lost = 0

    def _append(self, line: bytes) -> None:
        if not self._path.parent.is_dir():
            make_folder(self._path.parent, mode=0o755, owner=None)
        self._rotate(len(line))
        file = os.open(self._path, _APPEND, _MODE)
        try:
            settle(file, mode=_MODE, owner=self._owner)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line  # somebody died within a line
            if os.write(file, line) < len(line):
                os.ftruncate(file, size)
                raise OSError("the disk is full")
        finally:
            os.close(file)

    def _rotate(self, more: int) -> None:
        with suppress(FileNotFoundError):
            size = self._path.stat().st_size
            if size and size + more > self._largest:
                self._path.rename(self._path.with_name(self._path.name + ".1"))


def _line(
    at: datetime,
    tenant_name: TenantName | None,
    kind: str,
    reason: str,
    message: str,
    details: Mapping[str, str] | None,
) -> bytes:
    event: dict[str, Any] = {
        "time": at.isoformat().replace("+00:00", "Z"),
        "tenant": tenant_name,
        "type": kind,
        "reason": reason,
        "message": message,
    }
    if details:
        event["details"] = dict(details)
    return json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n"
