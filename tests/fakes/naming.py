"""Under which names the world in memory keeps what belongs to one tenant."""

from __future__ import annotations

from cachepilot.spec.document import TenantName


def tenant_of(key: TenantName) -> TenantName:
    """Return whose something is that is kept under *key*."""
    return TenantName(key.partition(".")[0])


def sandbox_of(key: TenantName) -> TenantName:
    """Return where the sandbox is kept that a server joins."""
    return TenantName(f"{tenant_of(key)}.sandbox")
