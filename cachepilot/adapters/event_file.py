"""Tells what happened, one line an event; the newest file and one older are kept."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cachepilot.adapters.atomic import Owner, make_folder
from cachepilot.adapters.event_line import append_line, render_event
from cachepilot.errors import CachePilotError
from cachepilot.spec.document import TenantName

LARGEST = 64 * 1024 * 1024
_LOST = "EventsLost"


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

    def record(
        self,
        *,
        at: datetime,
        tenant_name: TenantName | None,
        warning: bool,
        reason: str,
        message: str,
    ) -> None:
        """Append one event."""
        line = render_event(
            at=at, tenant_name=tenant_name, warning=warning, reason=reason, message=message
        )
        with self._lock:
            if self._lost:
                line = self._tell_lost(at) + line
            try:
                self._append(line)
            except (OSError, CachePilotError):
                self._lost += 1
            else:
                self._lost = 0

    def _tell_lost(self, at: datetime) -> bytes:
        message = f"{self._lost} events could not be written"
        return render_event(at=at, tenant_name=None, warning=True, reason=_LOST, message=message)

    def _append(self, line: bytes) -> None:
        if not self._path.parent.is_dir():
            make_folder(self._path.parent, mode=0o755, owner=None)
        self._rotate(len(line))
        append_line(self._path, line, owner=self._owner)

    def _rotate(self, more: int) -> None:
        with suppress(FileNotFoundError):
            size = self._path.stat().st_size
            if size and size + more > self._largest:
                self._path.rename(self._path.with_name(self._path.name + ".1"))
