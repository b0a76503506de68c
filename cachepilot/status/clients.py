"""Certificates of a tenant's clients, and whether anybody gets in with them."""

from __future__ import annotations

from cachepilot.observe.snapshot import Snapshot
from cachepilot.plan.clients import client_problem
from cachepilot.spec.tenant import TenantSpec
from cachepilot.status.conditions import PublishedClient


def list_clients(spec: TenantSpec | None, seen: Snapshot | None) -> tuple[PublishedClient, ...]:
    """Return what is to be published of each certificate that was seen."""
    if spec is None or seen is None:
        return ()
    return tuple(
        PublishedClient(
            name=each.name,
            fingerprint=each.fingerprint,
            not_before=each.not_before,
            not_after=each.not_after,
            renew_at=each.not_after - spec.renew_before,
            folder=each.folder,
            problem=client_problem(seen, each, seen.at),
        )
        for each in seen.clients.certificates
    )
