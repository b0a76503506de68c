"""Reads small files that anybody may have put there, without ever waiting for one."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class UnusableFileError(Exception):
    """What is there cannot be read as a small regular file; the text says why."""


def read_regular_file(
    path: Path, *, most: int, folder: int | None = None
) -> tuple[bytes, os.stat_result]:
    """Return the content of *path*, following links, with the status it had when it was opened.

    With *folder*, the number of an open folder, a relative *path* is looked up there, wherever
    that folder may have been moved to in the meantime.

    Raises:
        FileNotFoundError: Nothing is there, not even a link.
        UnusableFileError: It is not a readable regular file of at most *most* bytes.
    """
    try:
        # A look before opening: merely opening some devices has effects.
        _refuse(os.stat(path, dir_fd=folder), most)
        # Not waiting, in case the file became a pipe since.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        with os.fdopen(os.open(path, flags, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            _refuse(status, most)
            _refuse_borrowed(path, folder, status)
            data = file.read(most + 1)
    except FileNotFoundError as error:
        target = os.readlink(path, dir_fd=folder) if _is_link(path, folder) else None
        if target is None:
            raise
        raise UnusableFileError(f"cannot be read: the link leads to nothing ({target})") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise UnusableFileError(f"cannot be read: {reason}") from error
    if len(data) > most:
        raise UnusableFileError(_too_large(len(data), most))
    return data, status


def _refuse_borrowed(path: Path, folder: int | None, target: os.stat_result) -> None:
    """Refuse a link to a file of somebody else than whoever made the link.

    What is wrong with a file is told to more people than may read it, so nobody may have a file
    read for them; only root may point anywhere.
    """
    found = os.lstat(path, dir_fd=folder)
    if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, target.st_uid):
        raise UnusableFileError("cannot be read: the link leads to a file of another user")


def _is_link(path: Path, folder: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path, dir_fd=folder).st_mode)
    except OSError:
        return False


def _refuse(status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError(f"cannot be read: it is {_kind(status.st_mode)}, not a file")
    if status.st_size > most:
        raise UnusableFileError(_too_large(status.st_size, most))


def _too_large(size: int, most: int) -> str:
    return f"is larger than {most // 1024} KiB ({size} bytes or more)"


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
