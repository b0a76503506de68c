"""Writes into the log of events what a person did, before it is done."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cachepilot.errors import UnavailableError

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640


def record_deed(
    path: Path,
    *,
    at: datetime,
    tenant_name: str,
    reason: str,
    message: str,
    details: Mapping[str, str],
) -> None:
    """Append one event durably, as one write that no other line can get into.

    Raises:
        UnavailableError: It could not be written, so the deed must not happen either.
    """
    event = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tenant": tenant_name,
        "type": "Normal",
        "reason": reason,
        "message": message,
        "details": dict(details),
    }
    line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
    try:
        file = os.open(path, _APPEND, _MODE)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line  # somebody died within a line
            if os.write(file, line) != len(line):
                raise OSError(0, "the disk is full")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        words = (error.strerror or type(error).__name__).lower()
        raise UnavailableError(f"cannot write to {path}: {words}") from error


def person(environment: Mapping[str, str]) -> str:
    """Return who runs this program, also behind sudo."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    behind = environment.get("SUDO_USER", "")
    return f"{behind} (as {name})" if behind and behind != name else name
