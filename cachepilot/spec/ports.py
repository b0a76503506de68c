"""Where tenant documents come from."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from cachepilot.spec.document import TenantName
from cachepilot.spec.reading import Reading


class SpecSource(Protocol):
    """Reads the folder of tenants."""

    def read(self, tenant_name: TenantName) -> Reading:
        """Return what the folder said about *tenant_name* at the last refresh."""

    def refresh(self, now: datetime) -> frozenset[TenantName]:
        """List the folder again, read what changed, and return whom that concerns."""

    def names(self) -> frozenset[TenantName]:
        """Return everybody who has a document, valid or not."""
