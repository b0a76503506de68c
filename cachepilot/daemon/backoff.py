"""How long to wait after a failure: longer each time, never in step with others."""

from __future__ import annotations

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 60.0
_DOUBLINGS = 8


def pause_after(failures: int, *, jitter: float) -> float:
    """Return seconds to wait after *failures* failures in a row.

    Args:
        failures: Counted from 1.
        jitter: A random number from 0 to 1; half of the pause depends on it, so that tenants
            that failed together do not come back together.
    """
    doublings = min(max(failures, 1) - 1, _DOUBLINGS)
    pause = min(_FIRST_SECONDS * (1 << doublings), _LONGEST_SECONDS)
    return pause * (0.5 + jitter / 2)
