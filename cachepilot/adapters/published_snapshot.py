"""Turns the published snapshot of a tenant back into the noun that the planner works with."""

from __future__ import annotations

from functools import cache

from pydantic import TypeAdapter, ValidationError

from cachepilot.adapters.published import PublishedStatus, PublishedTenant, StatusUnreadableError
from cachepilot.observe.snapshot import SeenHost, Snapshot


def snapshot_of(tenant: PublishedTenant) -> Snapshot | None:
    """Return what was last seen of *tenant*, or None if nobody looked yet.

    Raises:
        StatusUnreadableError: Another version of the program published it.
    """
    content = tenant.content.get("snapshot")
    if content is None:
        return None
    try:
        return _adapter().validate_python(content)
    except ValidationError as error:
        raise StatusUnreadableError(
            f"the published snapshot of {tenant.name} is of another version"
        ) from error


def any_host(published: PublishedStatus) -> SeenHost | None:
    """Return what was last seen of the host all tenants share, or None."""
    try:
        tenants = published.tenants()
    except StatusUnreadableError:
        return None
    seen = [found.host for tenant in tenants if (found := _lenient(tenant))]
    return seen[-1] if seen else None


def _lenient(tenant: PublishedTenant) -> Snapshot | None:
    try:
        return snapshot_of(tenant)
    except StatusUnreadableError:
        return None


@cache
def _adapter() -> TypeAdapter[Snapshot]:
    return TypeAdapter(Snapshot)
