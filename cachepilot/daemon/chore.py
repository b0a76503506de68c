"""A piece of work in a thread of its own: done when woken, and every so often anyway."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cachepilot.daemon.logging import Logger


class Chore:
    """Repeats *work* until stopped; an error is logged and the next turn comes as usual.

    Args:
        name: What the thread is called.
        work: Does it once and returns the seconds until the next turn.
        log: The daemon's logger.
        after_error: Seconds until the next turn after an error.
    """

    def __init__(
        self, name: str, work: Callable[[], float], log: Logger, *, after_error: float = 5.0
    ) -> None:
        self._work = work
        self._log = log
        self._after_error = after_error
        self._woken = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    def start(self) -> None:
        """Begin with a first turn at once."""
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        """Have a turn now; a wake-up in the middle of a turn leads to another."""
        self._woken.set()

    def stop(self, patience: float) -> None:
        """Have no further turn, and wait for the present one for *patience* seconds."""
        self._stopped = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def _repeat(self) -> None:
        pause = 0.0
        while True:
            self._woken.wait(pause)
            self._woken.clear()
            if self._stopped:
                return
            try:
                pause = self._work()
            except Exception as error:  # noqa: BLE001 - the daemon must outlive any surprise
                self._log.error("chore failed", chore=self._thread.name, error=str(error))
                pause = self._after_error
