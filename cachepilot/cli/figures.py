"""Ages and sizes as people read them in tables; machine output never passes through here."""

from __future__ import annotations

from datetime import datetime, timedelta

from cachepilot.adapters.published import instant

_SIZES = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
# Beyond so many of the larger unit, the smaller one says nothing any more.
_COARSE = 10
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def size_text(size: object) -> str:
    """Return bytes in the largest fitting unit, such as ``1.5GiB``; empty for anything else."""
    if not isinstance(size, int) or isinstance(size, bool):
        return ""
    for unit, factor in _SIZES:
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + unit
    return f"{size}B"


def age_text(age: timedelta) -> str:
    """Return a time span in its two largest units, such as ``3m`` or ``2d4h``."""
    seconds = max(int(age.total_seconds()), 0)
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE}m"
    if seconds < 2 * _DAY:
        hours, rest = divmod(seconds, _HOUR)
        return f"{hours}h" if hours >= _COARSE or rest < _MINUTE else f"{hours}h{rest // _MINUTE}m"
    days, rest = divmod(seconds, _DAY)
    return f"{days}d" if days >= _COARSE or rest < _HOUR else f"{days}d{rest // _HOUR}h"


def since_text(value: object, now: datetime) -> str:
    """Return how long ago the moment *value* was, or empty if it is none."""
    moment = instant(value)
    return age_text(now - moment) if moment else ""
