"""Where status goes, and what is told as it happens."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from cachepilot.spec.document import TenantName
from cachepilot.status.conditions import TenantStatus


class StatusStore(Protocol):
    """Publishes status for everybody on the host."""

    def read(self, tenant_name: TenantName) -> TenantStatus | None:
        """Return what was last published, or None."""

    def publish(self, status: TenantStatus) -> None:
        """Replace what is published about one tenant; an equal status is not written again."""

    def withdraw(self, tenant_name: TenantName) -> None:
        """Forget what was published about a tenant that no longer exists."""


class EventLog(Protocol):
    """Tells what happened, in order, for ever."""

    def record(
        self,
        *,
        at: datetime,
        tenant_name: TenantName | None,
        warning: bool,
        reason: str,
        message: str,
    ) -> None:
        """Append one event."""
