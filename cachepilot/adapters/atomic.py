"""Files that are either the old or the new one, whatever happens in between.

Every function raises UnavailableError that names the path and the kernel's own words, so that a
full disk or a read-only folder reaches the tenant's status as a sentence.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cachepilot.errors import UnavailableError

Owner = tuple[int, int]

PREFIX = ".cachepilot-new-"
# As many as nobody has who is not out to keep us busy; what is left goes the next time.
_MOST_FOLDERS = 100_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_durably(path: Path, content: bytes, *, mode: int, owner: Owner | None) -> None:
    """Replace *path* by *content* and return once a power cut cannot undo it."""
    with explained("write", path), opened_folder(path.parent) as folder:
        replace_entry(folder, path.name, content, mode=mode, owner=owner)


def write_volatile(path: Path, content: bytes, *, mode: int, owner: Owner | None) -> None:
    """Replace *path* by *content*; for files that need not outlive the machine's next start."""
    with explained("write", path), opened_folder(path.parent) as folder:
        replace_entry(folder, path.name, content, mode=mode, owner=owner, durable=False)


def replace_entry(
    folder: int, name: str, content: bytes, *, mode: int, owner: Owner | None, durable: bool = True
) -> None:
    """Replace the entry *name* of an open *folder*; symbolic links there are never followed.

    Raises:
        OSError: It could not be written; the old entry is untouched and nothing is left over.
    """
    temporary = temporary_name()
    try:
        # Nobody but us may read it before owner and mode are those of the final file.
        file = os.open(temporary, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            if owner is not None:
                os.fchown(file, *owner)
            os.fchmod(file, mode)
            _write_all(file, content)
            if durable:
                os.fsync(file)
        finally:
            os.close(file)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    if durable:
        os.fsync(folder)


def make_folder(path: Path, *, mode: int, owner: Owner | None) -> None:
    """Make a folder, or give one that is there its mode and owner back; missing parents are 0755.

    A symbolic link in its place is refused: whoever could plant it would receive our files.
    """
    with explained("make folder", path):
        for parent in reversed([parent for parent in path.parents if not parent.is_dir()]):
            _make_one(parent, 0o755)
        _make_one(path, mode)
        with opened_folder(path, follow=False) as folder:
            settle(folder, mode=mode, owner=owner)


def settle(descriptor: int, *, mode: int, owner: Owner | None) -> None:
    """Give an open file or folder *mode* and *owner* unless it has them.

    Raises:
        OSError: The kernel refused.
    """
    seen = os.fstat(descriptor)
    if owner is not None and (seen.st_uid, seen.st_gid) != owner:
        os.fchown(descriptor, *owner)
    if stat.S_IMODE(seen.st_mode) != mode:
        os.fchmod(descriptor, mode)


@contextmanager
def staged_folder(final: Path, *, mode: int, owner: Owner | None) -> Iterator[Path]:
    """Fill a folder in a block; it takes the place of *final* as a whole, or not at all.

    An older folder there is moved aside first and then removed. A crash in between leaves
    *final* missing, never half-written.
    """
    staged, aside = final.with_name(temporary_name()), final.with_name(temporary_name())
    try:
        make_folder(staged, mode=mode, owner=owner)
        yield staged
        with explained("write", final):
            for file in staged.iterdir():
                _sync(file, os.O_RDONLY | os.O_NOFOLLOW)
            _sync(staged, _FOLDER)
            with suppress(FileNotFoundError):
                final.rename(aside)
            staged.rename(final)
            _sync(final.parent, _FOLDER)
    except BaseException:
        with suppress(UnavailableError):
            remove_tree(staged)
        raise
    remove_tree(aside)


def remove_tree(path: Path) -> None:
    """Remove *path* and everything in it; links are removed, what they point at is not."""
    with explained("remove", path):
        try:
            with opened_folder(path.parent) as folder:
                remove_entry(folder, path.name)
                os.fsync(folder)
        except FileNotFoundError:
            return


def remove_entry(folder: int, name: str) -> None:
    """Remove the entry *name* of an open *folder*, whatever it is and however deep it goes.

    Whoever fills the tree decides how deep it is, so each folder in it is moved up into *folder*
    before it is emptied: two open folders are enough, and no path leads up or elsewhere. What a
    crash leaves there, :func:`sweep` recognises; the entry itself goes last.

    Raises:
        FileNotFoundError: There is no such entry.
        OSError: The kernel refused, or somebody goes on filling the tree.
    """
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        moved, left = _empty(folder, name), _MOST_FOLDERS
        while moved:
            if not (left := left - 1):
                raise OSError(errno.EBUSY, "somebody goes on filling it") from None
            with suppress(FileNotFoundError):
                entry = moved.pop()
                moved += _empty(folder, entry)
                os.rmdir(entry, dir_fd=folder)
        os.rmdir(name, dir_fd=folder)


def _empty(folder: int, name: str) -> list[str]:
    """Empty a folder in *folder*; return the new names that folders in it have got there."""
    moved: list[str] = []
    inside = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    try:
        for entry in os.listdir(inside):  # noqa: PTH208 - no path could be long enough
            with suppress(FileNotFoundError):  # whoever owns it was faster
                try:
                    os.unlink(entry, dir_fd=inside)
                except IsADirectoryError:
                    above = temporary_name()
                    os.rename(entry, above, src_dir_fd=inside, dst_dir_fd=folder)
                    moved.append(above)
    finally:
        os.close(inside)
    return moved


def sweep(folder: Path) -> None:
    """Remove what a crash left half-written in *folder*; only while nobody writes there."""
    with explained("sweep", folder):
        try:
            left = [entry for entry in folder.iterdir() if entry.name.startswith(PREFIX)]
        except FileNotFoundError:
            return
    for entry in left:
        remove_tree(entry)


def temporary_name() -> str:
    """Return a name that nobody else uses and that :func:`sweep` recognises."""
    return PREFIX + secrets.token_hex(8)


@contextmanager
def opened_folder(path: Path, *, follow: bool = True) -> Iterator[int]:
    """Open a folder for the duration of a block.

    Raises:
        OSError: It is not there, not a folder, or a link although *follow* is false.
    """
    descriptor = os.open(path, _FOLDER | (0 if follow else os.O_NOFOLLOW))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def explained(verb: str, path: Path) -> Iterator[None]:
    """Turn the kernel's errors of a block into one that says what could not be done to what."""
    try:
        yield
    except OSError as error:
        words = (error.strerror or type(error).__name__).lower()
        raise UnavailableError(f"cannot {verb} {path}: {words}") from error


def _make_one(path: Path, mode: int) -> None:
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)
    _sync(path.parent, _FOLDER)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
