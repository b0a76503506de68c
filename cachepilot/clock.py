"""The only module that asks what time it is, and the one spelling of the answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current instant, aware and in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that never jump; only differences mean anything."""
    return time.monotonic()


def rfc3339(moment: datetime, *, precision: str = "auto") -> str:
    """Return *moment* as files, logs and machine output spell it: RFC 3339, in UTC.

    Args:
        moment: What to spell, aware of its zone.
        precision: ``milliseconds`` is enough for people; what is read back needs ``auto``.
    """
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
