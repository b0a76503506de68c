"""Whether a loop has nothing to do; the daemon itself never needs to know."""

from __future__ import annotations

from cachepilot.daemon.loop import Loop


def is_idle(loop: Loop) -> bool:
    """Return whether nobody is due and nobody is being visited."""
    with loop._changed:
        busy = any(beat.visiting for beat in loop.beats.values())
        return not busy and not loop._queue.depth(loop._monotonic())
