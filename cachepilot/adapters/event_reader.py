"""Reads the log of events: the newest ones first of all, and then each as it is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cachepilot.errors import UnavailableError

Event = Mapping[str, Any]
_BLOCK = 64 * 1024


class EventReader:
    """The file of events; it may grow, be rotated away, or not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0

    def newest_first(self) -> Iterator[Event]:
        """Yield what was recorded, from the end backwards; a torn line is skipped.

        Raises:
            UnavailableError: The file is there but closed to us.
        """
        for line in _lines_backwards(self._path):
            if event := _event(line):
                yield event

    def skip_to_end(self) -> None:
        """Make :meth:`fresh` begin after what is there now."""
        try:
            seen = self._path.stat()
        except OSError:
            return
        self._inode, self._offset = seen.st_ino, seen.st_size

    def fresh(self) -> tuple[Event, ...]:
        """Return what was recorded since the last call, in order."""
        try:
            with self._path.open("rb") as file:
                seen = os.fstat(file.fileno())
                if seen.st_ino != self._inode or seen.st_size < self._offset:
                    self._inode, self._offset = seen.st_ino, 0
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        whole, _, _ = content.rpartition(b"\n")
        self._offset += len(whole) + 1 if whole else 0
        return tuple(event for line in whole.split(b"\n") if (event := _event(line)))


def _lines_backwards(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            position, rest = file.seek(0, os.SEEK_END), b""
            while position:
                step = min(_BLOCK, position)
                position -= step
                file.seek(position)
                first, *lines = (file.read(step) + rest).split(b"\n")
                yield from reversed(lines)
                rest = first
            yield rest
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"cannot read {path}: {(error.strerror or 'input error').lower()}")


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
