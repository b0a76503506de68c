"""The only module that asks what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current instant, aware and in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that never jump; only differences mean anything."""
    return time.monotonic()
