"""How an event stands in the log, and how a line gets there as a whole."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cachepilot.adapters.atomic import Owner, settle
from cachepilot.clock import rfc3339

_MODE = 0o640
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def render_event(
    *,
    at: datetime,
    tenant_name: str | None,
    warning: bool,
    reason: str,
    message: str,
    details: Mapping[str, str] | None = None,
) -> bytes:
    """Return one event as a line."""
    event: dict[str, object] = {
        "time": rfc3339(at, precision="milliseconds"),
        "tenant": tenant_name,
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message,
    }
    if details:
        event["details"] = dict(details)
    return json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n"


def append_line(path: Path, line: bytes, *, owner: Owner | None, durable: bool = False) -> None:
    """Append *line* in one write that no other line can get into, or not at all.

    Raises:
        OSError: It could not be written.
    """
    file = os.open(path, _APPEND, _MODE)
    try:
        settle(file, mode=_MODE, owner=owner)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            line = b"\n" + line  # somebody died within a line
        if os.write(file, line) < len(line):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(file)
    finally:
        os.close(file)
