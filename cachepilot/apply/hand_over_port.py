"""What a hand-over needs: verbs on two servers of one tenant; each is safe to repeat."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from cachepilot.spec.document import TenantName


class HandOverWriter(Protocol):
    """Lets one running server take over from another, over their management sockets."""

    def follow(
        self,
        tenant_name: TenantName,
        *,
        instance: int,
        leader: int,
        port: int,
        encrypted: bool,
        buffer: int,
    ) -> None:
        """Draw a password for a user that may only replicate, and let *instance* do so with it.

        What *instance* held before is replaced by what *leader* holds.
        """

    def wait(
        self, tenant_name: TenantName, *, instance: int, leader: int, patience: timedelta
    ) -> None:
        """Return when the link stands and whatever *instance* logs is on disk; void the password.

        Raises:
            WaitingError: It is not so far after *patience*.
            StalledError: It cannot write its append-only file (reason ``RewriteFailed``).
        """

    def drain(
        self, tenant_name: TenantName, *, instance: int, successor: int, pause: timedelta
    ) -> None:
        """Pause writes and close every listener once *successor* has applied what was written.

        Raises:
            WaitingError: It did not within a moment; nothing is closed, and writes go on.
        """

    def promote(
        self, tenant_name: TenantName, *, instance: int, listeners: tuple[tuple[str, str], ...]
    ) -> None:
        """Stop replicating and listen; writes wait until resumed, for years if need be."""

    def fence(self, tenant_name: TenantName, *, instance: int, successor: int) -> None:
        """Refuse every write from now on, and end every connection but our own.

        Raises:
            WaitingError: It took a write since *successor* stopped replicating, because its pause
                was over too soon; *successor* must not win.
        """
