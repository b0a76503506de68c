"""Whether a file is still the one that was read, told by a look that costs nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """What changes whenever a file does; the change time cannot be set back by anybody.

    Where inode numbers do not last, two stamps of one file may differ, and it is read again.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @property
    def newest(self) -> float:
        """Seconds since the epoch when the file last changed in any way."""
        return max(self.modified, self.changed) / 1e9


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp in *status*."""
    return Stamp(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def stamp_at(path: Path) -> Stamp | None:
    """Return the stamp of what *path* leads to, or None where nothing is.

    Raises:
        OSError: Something is there that cannot be looked at.
    """
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116 - asked of a thousand files at a time
    except (FileNotFoundError, NotADirectoryError):
        return None
