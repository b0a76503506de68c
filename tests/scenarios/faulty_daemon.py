"""cachepilotd with one effect that goes wrong; a program for scenarios only.

    faulty_daemon.py FAULT_FILE --root DIR

Once FAULT_FILE exists, effects are counted; the one whose number or name stands in it meets the
fault that stands behind it. The file is gone once that has come to pass.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from cachepilot.adapters.instance_lock import InstanceLock
from cachepilot.adapters.leftovers import sweep_leftovers
from cachepilot.adapters.paths import RootPaths
from cachepilot.daemon.logging import configure
from cachepilot.daemon.main import prepare, run
from cachepilot.errors import UnavailableError
from cachepilot.settings import load_settings
from cachepilot.wiring import build

# The daemon dies, or the effect seems to have failed: either way it happened, or it did not.
DIE_BEFORE, DIE_AFTER = "die before", "die after"
REFUSE, LOSE_REPLY = "refuse", "lose the reply"
FAULTS = (DIE_BEFORE, LOSE_REPLY, DIE_AFTER, REFUSE)
# The daemon stands still until somebody lets it go on.
HOLD_UP = "hold up"


class Fuse:
    """Counts the effects of all writers and says what goes wrong with one of them."""

    def __init__(self, fault_file: Path) -> None:
        self._fault_file = fault_file
        self._count = 0

    def burn(self, name: str) -> str:
        try:
            number, fault = self._fault_file.read_text().split(maxsplit=1)
        except FileNotFoundError:
            self._count = 0
            return ""
        self._count += 1
        if number not in (str(self._count), name):
            return ""
        self._fault_file.unlink()
        return fault


class Watched:
    """A writer whose every call burns the fuse first."""

    def __init__(self, writer: object, fuse: Fuse) -> None:
        self._writer = writer
        self._fuse = fuse

    def __getattr__(self, name: str) -> Callable[..., object]:
        effect = getattr(self._writer, name)

        def watched(*positional: object, **named: object) -> object:
            fault = self._fuse.burn(name)
            if fault == DIE_BEFORE:
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == REFUSE:
                raise UnavailableError(f"cannot {name}: it was refused")
            reply = effect(*positional, **named)
            if fault == DIE_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == HOLD_UP:
                # To this thread itself, which then takes no step more; who sends a process to
                # sleep as a whole may run on for a millisecond.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            if fault == LOSE_REPLY:
                raise UnavailableError(f"cannot {name}: its reply was lost")
            return reply

        return watched


def main() -> None:
    fault_file, _, root = sys.argv[1:4]
    paths, stopping = RootPaths(Path(root)), threading.Event()
    prepare(paths)
    lock = InstanceLock(paths.lock)
    sweep_leftovers(paths)
    settings = load_settings(paths.settings_file)
    parts = build(paths, settings, stopping=stopping)
    fuse, writers = Fuse(Path(fault_file)), parts.world.writers
    watched = {each.name: Watched(getattr(writers, each.name), fuse) for each in fields(writers)}
    world = replace(parts.world, writers=replace(writers, **watched))
    parts = replace(parts, world=world, succession=Watched(parts.succession, fuse))
    run(parts, settings, configure("info", sys.stdout), stopping)
    lock.release()


if __name__ == "__main__":
    main()
