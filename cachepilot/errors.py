"""Errors, sorted by what the loop must do next.

::

    CachePilotError
    ├── SpecError        the file is wrong; only its author can fix it
    ├── SettingsError    the daemon's own settings are wrong
    ├── WaitingError     nothing is wrong; the world needs time       -> look again soon
    ├── StalledError     repeating cannot help until a person acts    -> look again at resync
    └── UnavailableError something we depend on does not answer       -> back off and retry
        └── (any other exception in a visit is treated the same way)
"""

from __future__ import annotations

from datetime import timedelta


class CachePilotError(Exception):
    """Base of every error this package raises on purpose."""


class SettingsError(CachePilotError):
    """The daemon's settings file cannot be used."""


class WaitingError(CachePilotError):
    """Nothing is wrong; the world needs time."""

    def __init__(self, message: str, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StalledError(CachePilotError):
    """Repeating cannot help until a person, the spec or the world changes.

    Attributes:
        reason: One CamelCase word for the condition.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnavailableError(CachePilotError):
    """Something we depend on did not answer; worth another try after a while."""
