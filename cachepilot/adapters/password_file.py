"""Reads the customer's password from the file that a spec names.

The daemon reads as root what an author names, so where a file may lie is the host's decision.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cachepilot.adapters.secret import Secret
from cachepilot.errors import StalledError

SHORTEST = 16
LONGEST = 512
_READ_AT_MOST = 4 * LONGEST + 2
_OTHERS = 0o077


class PasswordFiles:
    """Reads password files that lie below one of *folders*."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = tuple(folders)

    def use_folders(self, folders: Sequence[str]) -> None:
        """Read only below these *folders* from now on."""
        self._folders = tuple(folders)

    def read(self, path: Path) -> Secret:
        """Return the first line of *path*.

        Links are followed, because programs that hand out secrets publish them that way; what
        counts is the file at their end, and where that lies.

        Raises:
            StalledError: It cannot be used (reason ``PasswordFileUnusable``); the message says
                why and what to do, and never shows any of the content.
        """
        # Nobody shall learn here which files there are elsewhere.
        self._require_inside(path, path, self._folders)
        try:
            with _found(path) as found:
                real = found.readlink()
                self._require_inside(path, real, map(os.path.realpath, self._folders))
                _inspect(path, found.stat())
                content = _read(found)
        except OSError as error:
            words = (error.strerror or type(error).__name__).lower()
            raise _unusable(path, f"{words}; make it readable for root only") from error
        return Secret(_first_line(path, content))

    def _require_inside(self, path: Path, at: Path, folders: Iterable[str]) -> None:
        if not any(at.is_relative_to(folder) for folder in folders):
            allowed = ", ".join(self._folders) or "none"
            raise _unusable(
                path,
                "it lies, or leads, outside the folders that limits.passwordFiles in the settings "
                f"names ({allowed}); move it there",
            )


@contextmanager
def _found(path: Path) -> Iterator[Path]:
    """Yield a name of exactly the file that *path* leads to now; nothing is opened for reading."""
    held = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{held}")
    finally:
        os.close(held)


def _read(found: Path) -> bytes:
    file = os.open(found, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.read(file, _READ_AT_MOST)
    finally:
        os.close(file)


def _inspect(path: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise _unusable(path, "it is not a regular file; name a file")
    if seen.st_uid not in {0, os.geteuid()}:
        raise _unusable(path, f"user {seen.st_uid} owns it; run chown root on it")
    if seen.st_mode & _OTHERS:
        mode = stat.S_IMODE(seen.st_mode)
        raise _unusable(path, f"its mode {mode:04o} lets others in; run chmod 600 on it")


def _first_line(path: Path, content: bytes) -> str:
    line = content.partition(b"\n")[0].removesuffix(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        # The chained error would carry the bytes.
        raise _unusable(path, "its first line is not UTF-8; write letters and digits") from None
    if not text:
        raise _unusable(path, "its first line is empty; write the password there")
    if any(sign.isspace() or unicodedata.category(sign)[0] == "C" for sign in text):
        raise _unusable(path, "its first line holds blanks or control characters; remove them")
    if not SHORTEST <= len(text) <= LONGEST:
        raise _unusable(
            path, f"its first line is not {SHORTEST} to {LONGEST} characters long; change it"
        )
    return text


def _unusable(path: Path, why: str) -> StalledError:
    return StalledError(f"cannot use password file {path}: {why}", reason="PasswordFileUnusable")
