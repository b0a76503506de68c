"""A server that Docker lost track of: it lives on, and no container says so.

An engine that is killed in the middle of a start may come back without knowing what it started.
A second server on the same data would spoil it.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from cachepilot.adapters.atomic import explained
from cachepilot.adapters.paths import SOCKET

_PATIENCE = 1.0
_FIRST_BYTES = 64
_NOBODY = {errno.ECONNREFUSED, errno.ENOENT}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def is_served(run_folder: Path) -> bool:
    """Return whether some process listens on the socket in *run_folder*.

    What a dead server left behind refuses; a living one accepts, even if it has hung.

    Raises:
        UnavailableError: The folder cannot be opened.
    """
    return _knock(run_folder) is not None


def is_answering(run_folder: Path) -> bool:
    """Return whether a server on the socket in *run_folder* says anything, be it a refusal.

    Raises:
        UnavailableError: The folder cannot be opened.
    """
    return bool(_knock(run_folder, greeting=b"PING\r\n"))


def _knock(run_folder: Path, *, greeting: bytes = b"") -> bytes | None:
    """Return the first bytes of an answer to *greeting*; None where nobody listens."""
    with explained("open", run_folder):
        try:
            folder = os.open(run_folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                return None
            raise
    try:
        # A socket's path has at most 107 bytes, and the folder belongs to the tenant: a link
        # planted there must lead us nowhere.
        mode = os.stat(SOCKET, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISSOCK(mode):
            return None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PATIENCE)
            probe.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            if not greeting:
                return b""
            probe.sendall(greeting)
            return probe.recv(_FIRST_BYTES)
    except OSError as error:
        # At a door where too many wait, somebody is at home, too.
        return None if error.errno in _NOBODY else b""
    finally:
        os.close(folder)
