"""Log lines: JSON for machines, words on a terminal.

All of it is ASCII. A visit must not fail because somebody's words do not fit the locale that the
daemon happened to be started with.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TextIO

from cachepilot import clock

LEVELS = ("debug", "info", "warning", "error")


class Logger:
    """Writes one line an event; what is less severe than *least* is left out.

    Args:
        stream: Where lines go; a terminal gets words instead of JSON.
        least: One of :data:`LEVELS`.
        utc_now: The time that a line bears.
    """

    def __init__(
        self, stream: TextIO, *, least: str, utc_now: Callable[[], datetime] = clock.utc_now
    ) -> None:
        self._stream = stream
        self._shown = LEVELS[LEVELS.index(least) :]
        self._utc_now = utc_now
        self._format = _words if stream.isatty() else _json
        self._lock = threading.Lock()

    def info(self, event: str, **details: object) -> None:
        """Tell what went as it should."""
        self._write("info", event, details)

    def warning(self, event: str, **details: object) -> None:
        """Tell what somebody may want to look at."""
        self._write("warning", event, details)

    def error(self, event: str, **details: object) -> None:
        """Tell what somebody must look at."""
        self._write("error", event, details)

    def _write(self, level: str, event: str, details: Mapping[str, object]) -> None:
        if level not in self._shown:
            return
        now = clock.rfc3339(self._utc_now())
        line = self._format({"ts": now, "level": level, "event": event, **details})
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()


def configure(level: str, stream: TextIO) -> Logger:
    """Return the daemon's logger; the libraries' own logging is quiet below warnings."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    return Logger(stream, least=level)


def _json(line: Mapping[str, object]) -> str:
    return json.dumps(line, default=str)


def _words(line: Mapping[str, object]) -> str:
    """Return a line for a person; text with spaces is quoted and keeps to its line."""
    ts, level, event, *details = line.items()
    words = [f"{ts[1]} {level[1]!s:7} {event[1]}"]
    for name, value in details:
        text = str(value)
        plain = text.isascii() and text.isalnum()
        words.append(f"{name}={text if plain else json.dumps(text)}")
    return " ".join(words)
