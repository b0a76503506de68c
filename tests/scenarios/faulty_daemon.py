"""cachepilotd that dies of SIGKILL right before a chosen effect; a program for scenarios only.

    faulty_daemon.py KILL_FILE --root DIR

Once KILL_FILE exists, effects are counted; the one whose number stands in it never happens.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from cachepilot.adapters.instance_lock import InstanceLock
from cachepilot.adapters.paths import RootPaths
from cachepilot.daemon.logging import configure
from cachepilot.daemon.main import prepare, run
from cachepilot.settings import load_settings
from cachepilot.wiring import build


class Fuse:
    """Counts the effects of all writers and ends the process before one of them."""

    def __init__(self, kill_file: Path) -> None:
        self._kill_file = kill_file
        self._count = 0

    def burn(self) -> None:
        try:
            last = int(self._kill_file.read_text())
        except FileNotFoundError:
            return
        self._count += 1
        if self._count == last:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """A writer whose every call burns the fuse first."""

    def __init__(self, writer: object, fuse: Fuse) -> None:
        self._writer = writer
        self._fuse = fuse

    def __getattr__(self, name: str) -> Callable[..., object]:
        effect = getattr(self._writer, name)

        def watched(*positional: object, **named: object) -> object:
            self._fuse.burn()
            return effect(*positional, **named)

        return watched


def main() -> None:
    kill_file, _, root = sys.argv[1:4]
    paths, stopping = RootPaths(Path(root)), threading.Event()
    prepare(paths)
    lock = InstanceLock(paths.lock)
    settings = load_settings(paths.settings_file)
    parts = build(paths, settings, stopping=stopping)
    fuse, writers = Fuse(Path(kill_file)), parts.world.writers
    watched = {each.name: Watched(getattr(writers, each.name), fuse) for each in fields(writers)}
    world = replace(parts.world, writers=replace(writers, **watched))
    run(replace(parts, world=world), settings, configure("info", sys.stdout), stopping)
    lock.release()


if __name__ == "__main__":
    main()
