"""A data folder from inside; it belongs to the server, so nothing in it is trusted.

Everything goes through the open folder and no symbolic link below it is ever followed: a server
that was taken over could plant one to make root write, read or give away a file elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cachepilot.adapters.atomic import PREFIX, remove_entry, replace_entry
from cachepilot.adapters.paths import MARKER
from cachepilot.errors import StalledError
from cachepilot.spec.document import TenantName

DUMP = "dump.rdb"
APPEND_ONLY = "appendonlydir"
_NOT_A_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PEEK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST_MARKER = 128
# A server makes one folder, for its append-only files. Each level keeps a descriptor open.
DEEPEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenData:
    """One look into a data folder.

    Attributes:
        marker: Whose data the marker says it is; empty without a marker.
        has_foreign_entry: Whether something in it does not belong to the server's user.
        is_empty: Whether nothing but our own marker is in it.
        data_format: Version of the format of the newest of its files, if any says so.
        free_bytes: Room on its disk.
    """

    marker: str
    has_dump: bool
    has_append_only: bool
    has_foreign_entry: bool
    is_empty: bool
    data_format: int | None
    free_bytes: int


@contextmanager
def opened_data(path: Path) -> Iterator[int | None]:
    """Open a data folder for the duration of a block; None when there is no real folder.

    Raises:
        OSError: It is there but cannot be opened.
    """
    try:
        folder = os.open(path, _FOLDER)
    except OSError as error:
        if error.errno not in _NOT_A_FOLDER:
            raise
        yield None
        return
    try:
        yield folder
    finally:
        os.close(folder)


def look_into(folder: int, *, uid: int | None) -> SeenData:
    """Return what an open data folder holds.

    Args:
        folder: Descriptor of the folder.
        uid: The server's user, or None when owners do not matter.
    """
    names, room = os.listdir(folder), os.fstatvfs(folder)
    others = [name for name in names if name != MARKER]
    return SeenData(
        marker=read_marker(folder),
        has_dump=DUMP in names,
        has_append_only=APPEND_ONLY in names,
        has_foreign_entry=uid is not None and any(_is_foreign(folder, n, uid) for n in others),
        is_empty=not others,
        data_format=data_format_in(folder),
        free_bytes=room.f_bavail * room.f_frsize,
    )


def data_format_in(folder: int) -> int | None:
    """Return the newest format that a dump or the base of an append-only file is in."""
    found = [_format_of(folder, DUMP)]
    with suppress(OSError):
        inside = os.open(APPEND_ONLY, _FOLDER, dir_fd=folder)
        try:
            names = os.listdir(inside)  # noqa: PTH208 - it is a descriptor
            bases = [name for name in names if name.endswith(".rdb")]
            found += [_format_of(inside, name) for name in bases]
        finally:
            os.close(inside)
    return max((each for each in found if each is not None), default=None)


def _format_of(folder: int, name: str) -> int | None:
    """Return what the first bytes of a file say: REDIS0012, or VALKEY080."""
    try:
        file = os.open(name, _PEEK, dir_fd=folder)
    except OSError:
        return None
    try:
        head = os.read(file, 9) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    finally:
        os.close(file)
    digits = head.lstrip(b"REDISVALKY")
    return int(digits) if len(head) == 9 and digits.isdigit() else None  # noqa: PLR2004


def read_marker(folder: int) -> str:
    """Return whose data this is, or empty when the marker is missing or no plain file."""
    try:
        file = os.open(MARKER, _PEEK, dir_fd=folder)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return ""
        return os.read(file, _LONGEST_MARKER).decode(errors="replace").strip()
    finally:
        os.close(file)


def write_marker(folder: int, tenant_name: TenantName, *, owners: bool) -> None:
    """Say whose data this is."""
    owner = (0, 0) if owners else None
    replace_entry(folder, MARKER, f"{tenant_name}\n".encode(), mode=0o444, owner=owner)


def give_to(folder: int, uid: int) -> None:
    """Give everything below an open folder to the server's user, links themselves included.

    A file with a second name is left alone: its other name may lie outside.

    Raises:
        StalledError: Folders are nested deeper than any server does (reason ``DataTooDeep``).
    """
    _give_to(folder, uid, levels=DEEPEST)


def discard_entries(folder: int, names: tuple[str, ...]) -> None:
    """Remove entries of an open folder, whatever they are, and return once that is durable."""
    unfinished = (name for name in os.listdir(folder) if name.startswith(PREFIX))
    for name in (*unfinished, *names):
        with suppress(FileNotFoundError):
            remove_entry(folder, name)
    os.fsync(folder)


def list_dumps(folder: int) -> tuple[str, ...]:
    """Return the names of the dump and of dumps that were never finished, sorted."""
    names = os.listdir(folder)
    unfinished = (name for name in names if name.startswith("temp-") and name.endswith(".rdb"))
    return tuple(sorted({*unfinished, *({DUMP} & {*names})}))


def _give_to(folder: int, uid: int, *, levels: int) -> None:
    for name in os.listdir(folder):
        if name != MARKER and _is_foreign(folder, name, uid):
            with suppress(FileNotFoundError):
                os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)
        try:
            inside = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno not in _NOT_A_FOLDER:
                raise
            continue
        try:
            if not levels:
                raise StalledError(
                    f"cannot give the data folder to user {uid}: folders in it are nested more "
                    f"than {DEEPEST} deep; no server makes them, so remove them",
                    reason="DataTooDeep",
                )
            _give_to(inside, uid, levels=levels - 1)
        finally:
            os.close(inside)


def _is_foreign(folder: int, name: str, uid: int) -> bool:
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False  # the server removed it while we looked
    has_another_name = stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1
    return (seen.st_uid, seen.st_gid) != (uid, uid) and not has_another_name
