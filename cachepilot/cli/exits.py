"""How a command can end, as numbers that scripts rely on."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every verb; ``diff`` uses 1 for "differs" and 2 for any error."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3
    NOT_FOUND = 4
    NO_STATUS = 5
    DEGRADED = 6
    TIMED_OUT = 7
    CONFLICT = 8
    INTERRUPTED = 130
