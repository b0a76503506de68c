"""Certificates of a tenant's clients: an authority of the tenant's own, and what it signs.

An authority that all tenants share would let one customer's client knock at the next customer's
door, so each tenant has its own. It ends only by a wish, because the certificates that it signed
are in other people's hands.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cachepilot.observe.snapshot import SeenClientCertificate, SeenServer, Snapshot
from cachepilot.plan.actions import (
    Action,
    Blocked,
    CreateClientAuthority,
    IssueClientCertificate,
    RemoveClientCertificate,
)
from cachepilot.plan.server_config import AUTH_CLIENTS
from cachepilot.spec.document import ClientCertificates
from cachepilot.spec.tenant import TenantSpec


def asks_clients(spec: TenantSpec) -> bool:
    """Return whether the server asks its clients for a certificate."""
    return spec.access.has_tls and spec.client_certificates is not ClientCertificates.OFF


def clients_blocked(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why nothing can be signed for clients, if so."""
    if _needs_authority(spec) and seen.clients.problem:
        return Blocked(reason="ClientAuthorityBroken", message=seen.clients.problem)
    return None


def plan_client_authority(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield what makes, or on a wish replaces, the tenant's authority for clients."""
    if cause := why_another_authority(spec, seen):
        yield CreateClientAuthority(
            tenant_name=spec.name, cause=cause, wish=spec.clients_rotated_at
        )


def why_another_authority(spec: TenantSpec, seen: Snapshot) -> str:
    """Return why the client authority has to be made, or empty."""
    if not _needs_authority(spec) or seen.clients.problem:
        return ""
    if not seen.clients.authority:
        return "there is no authority for its clients yet"
    wish = spec.clients_rotated_at
    served = seen.memory.clients_rotated_at
    return f"clientsRotatedAt is {wish}" if wish not in (None, served) else ""


def plan_client_certificates(spec: TenantSpec, seen: Snapshot, now: datetime) -> Iterator[Action]:
    """Yield what makes a fresh certificate for each client that the spec names, and no other."""
    if clients_blocked(spec, seen):
        return
    another = why_another_authority(spec, seen)
    found = {each.name: each for each in seen.clients.certificates}
    for name in spec.clients:
        cause = "its authority is replaced" if another else ""
        if cause := cause or client_fault(spec, seen, found.get(name), now):
            yield IssueClientCertificate(
                tenant_name=spec.name,
                cause=cause,
                client=name,
                lifetime=spec.certificate_lifetime,
            )
    for name in seen.clients.names:
        if name not in spec.clients:
            cause = "the spec does not name this client"
            yield RemoveClientCertificate(tenant_name=spec.name, cause=cause, client=name)


def client_fault(
    spec: TenantSpec, seen: Snapshot, found: SeenClientCertificate | None, now: datetime
) -> str:
    """Return why a client needs another certificate than *found*, or empty."""
    if found is None:
        return "no certificate yet"
    if problem := client_problem(seen, found, now):
        return problem
    is_due = found.not_after - now <= spec.renew_before
    return f"expires {found.not_after:%Y-%m-%d}" if is_due else ""


def client_problem(seen: Snapshot, found: SeenClientCertificate, now: datetime) -> str:
    """Return why nobody should get in with *found*, or empty."""
    checks = (
        (found.problem, bool(found.problem)),
        (seen.clients.problem, not seen.clients.authority),
        ("another authority signed it", found.authority != seen.clients.authority),
        (f"it ended on {found.not_after:%Y-%m-%d}", found.not_after <= now),
        (f"not valid before {found.not_before:%Y-%m-%d}", found.not_before > now),
    )
    return next((cause for cause, holds in checks if holds), "")


def tickets_may_linger(spec: TenantSpec, seen: Snapshot) -> bool:
    """Return whether clients may hold tickets with which they need no certificate.

    A server that is told to ask for certificates still lets in whoever resumes a session from
    before, and each resumption extends it. Only another certificate makes its tickets void.
    """
    if not asks_clients(spec) or not isinstance(seen.server, SeenServer):
        return False
    live = seen.server.directive("tls-auth-clients")
    return live not in (None, AUTH_CLIENTS[spec.client_certificates])


def _needs_authority(spec: TenantSpec) -> bool:
    return bool(spec.clients) or asks_clients(spec)
