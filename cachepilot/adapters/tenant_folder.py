"""Which files of a folder are meant for us, and whether one of them changed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import translate
from pathlib import Path

from cachepilot.adapters.stamp import Stamp, stamp_of

_SUFFIXES = (".yaml", ".yml")
# What editors, package managers and deployment tools leave behind for a moment.
_DROPPINGS = (".*", "*~", "*.swp", "*.bak", "*.dpkg-*", "*.rpm*", "*.ansible_tmp*", "4913")
_IS_DROPPING = re.compile("|".join(map(translate, _DROPPINGS)), re.DOTALL).match


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Hold *folder* open, so that it stays one folder even if its path is swapped meanwhile.

    Raises:
        OSError: It is missing, unreadable, or not a folder.
    """
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


def list_files(folder: int) -> tuple[tuple[str, Stamp | None], ...]:
    """Return the names in the open *folder* that may hold tenants, sorted, with their stamps.

    A stamp is None where a link leads to nothing that can be looked at. Folders are left out.
    """
    found: list[tuple[str, Stamp | None]] = []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not _is_folder(entry)]
    for name in sorted(filter(is_tenant_file, names)):
        try:
            found.append((name, stamp_of(os.stat(name, dir_fd=folder))))
        except OSError:
            if _is_there(name, folder):
                found.append((name, None))
    return tuple(found)


def is_tenant_file(name: str) -> bool:
    """Return whether a file of that *name* is meant to hold tenants."""
    return name.endswith(_SUFFIXES) and not _IS_DROPPING(name)


def is_same_folder(path: Path, folder: int) -> bool:
    """Return whether *path* still leads to the open *folder*."""
    try:
        return os.path.samestat(path.stat(), os.fstat(folder))
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_there(name: str, folder: int) -> bool:
    try:
        return bool(stat.S_IFMT(os.lstat(name, dir_fd=folder).st_mode))
    except OSError:
        return False
