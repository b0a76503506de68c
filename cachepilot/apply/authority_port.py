"""What replacing the root of a host needs: verbs only. Each is safe to repeat."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class AuthorityWriter(Protocol):
    """Lets one root of the host follow another, which concerns no tenant alone.

    Each verb looks again at the phase that is recorded, and raises WaitingError in another one.
    """

    def begin(self, *, by_wish: bool, now: datetime) -> None:
        """Record that another root is about to be made; nothing if one is already."""

    def join(self, *, now: datetime) -> None:
        """Make the new root unless it was made, record that it joins, and publish it."""

    def announce(self, *, now: datetime) -> None:
        """Record that the time to take the new root up begins."""

    def promote(self, *, served: str | None, now: datetime) -> None:
        """Let the new root sign from now on, and record *served* as served.

        Raises:
            StalledError: It is not whole (reason ``AuthorityRotationBroken``).
        """

    def release(self, *, now: datetime) -> None:
        """Record that the last time of the old root begins."""

    def drop(self, *, now: datetime) -> None:
        """Take the root that does not sign out of what clients trust."""

    def remove(self) -> None:
        """Delete the root that left, then record that the rotation is over."""
