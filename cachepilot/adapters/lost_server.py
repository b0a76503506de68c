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
_NOBODY = {errno.ECONNREFUSED, errno.ENOENT}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def is_served(run_folder: Path) -> bool:
    """Return whether some process listens on the socket in *run_folder*.

    What a dead server left behind refuses; a living one accepts, even if it has hung.

    Raises:
        UnavailableError: The folder cannot be opened.
    """
    with explained("open", run_folder):
        try:
            folder = os.open(run_folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                return False
            raise
    try:
        # A socket's path has at most 107 bytes, and the folder belongs to the tenant: a link
        # planted there must lead us nowhere.
        mode = os.stat(SOCKET, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISSOCK(mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PATIENCE)
            probe.connect(f"/proc/self/fd/{folder}/{SOCKET}")
    except OSError as error:
        # At a door where too many wait, somebody is at home, too.
        return error.errno not in _NOBODY
    finally:
        os.close(folder)
    return True
