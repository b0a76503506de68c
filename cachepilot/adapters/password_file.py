"""Reads the customer's password from the file that a spec names."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

from cachepilot.adapters.secret import Secret
from cachepilot.errors import StalledError

SHORTEST = 16
LONGEST = 512
_READ_AT_MOST = 4 * LONGEST + 2
_OTHERS = 0o077


def read_password(path: Path) -> Secret:
    """Return the first line of *path*.

    Links are followed, because programs that hand out secrets publish them that way; what
    counts is the file at their end.

    Raises:
        StalledError: It cannot be used (reason ``PasswordFileUnusable``); the message says why
            and what to do, and never shows any of the content.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unusable(path, "it is not a regular file; name a file")
        # A pipe that took the file's place must not hold up the visit.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            _inspect(path, os.fstat(file))
            content = os.read(file, _READ_AT_MOST)
        finally:
            os.close(file)
    except OSError as error:
        words = (error.strerror or type(error).__name__).lower()
        raise _unusable(path, f"{words}; make it readable for root only") from error
    return Secret(_first_line(path, content))


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
