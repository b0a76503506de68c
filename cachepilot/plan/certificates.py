"""The leaf that a tenant serves: when it is signed, and signed again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import SeenCertificate, Snapshot
from cachepilot.plan.actions import (
    Action,
    Blocked,
    CreateAuthority,
    IssueCertificate,
    PruneCertificates,
)
from cachepilot.plan.clients import (
    asks_clients,
    clients_blocked,
    plan_client_authority,
    tickets_may_linger,
    why_another_authority,
)
from cachepilot.spec.tenant import TenantSpec

# Leaves start a little in the past, for clients whose clocks are late.
_BACKDATED = timedelta(hours=1)


def authority_blocked(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why no certificate can be signed, if so."""
    if spec.access.has_tls and seen.host.authority.problem:
        return Blocked(reason="AuthorityBroken", message=seen.host.authority.problem)
    return None


def plan_certificate(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    now: datetime,
    *,
    spared: frozenset[str],
) -> Iterator[Action]:
    """Yield what makes a leaf with the right names, the right trust and enough time left.

    Args:
        spec: What is wanted.
        seen: What is.
        reservation: Whose user the files are made for.
        now: The time.
        spared: Directives that only a hand has changed and that stay as they are.
    """
    yield from plan_client_authority(spec, seen)
    if not spec.access.has_tls or authority_blocked(spec, seen):
        return
    if asks_clients(spec) and clients_blocked(spec, seen):
        return
    if not seen.host.authority.exists:
        yield CreateAuthority(tenant_name=spec.name, cause="this host has no authority yet")
    cause = _certificate_cause(spec, seen, seen.certificate, now)
    if not cause and "tls-auth-clients" not in spared and tickets_may_linger(spec, seen):
        cause = "clients may hold tickets that let them in without a certificate"
    if cause:
        yield IssueCertificate(
            tenant_name=spec.name,
            cause=cause,
            revision=seen.memory.certificate + 1,
            names=spec.names,
            lifetime=spec.certificate_lifetime,
            uid=reservation.uid,
            clients=asks_clients(spec),
        )


def can_wait(spec: TenantSpec, leaf: SeenCertificate | None) -> bool:
    """Return whether a server starts with *leaf*, so that a new one may come later.

    Even one that seems to be over: maybe it is the clock that is wrong.
    """
    if leaf is None or leaf.problem:
        return False
    return bool(leaf.clients) or not asks_clients(spec)


def trusts_nobody_yet(spec: TenantSpec, seen: Snapshot) -> bool:
    """Return whether clients cannot be asked for certificates until a person mends something."""
    blocked = authority_blocked(spec, seen) or clients_blocked(spec, seen)
    leaf = seen.certificate
    return asks_clients(spec) and blocked is not None and (leaf is None or not leaf.clients)


def plan_pruning(spec: TenantSpec, *, stale: bool, keep: int) -> Iterator[Action]:
    """Yield the removal of leaves that nothing serves any more."""
    if stale and keep:
        yield PruneCertificates(tenant_name=spec.name, cause="no longer served", keep=keep)


def _certificate_cause(
    spec: TenantSpec, seen: Snapshot, leaf: SeenCertificate | None, now: datetime
) -> str:
    if leaf is None:
        return "no certificate" if not seen.memory.certificate else "its files are gone"
    authority = seen.host.authority
    checks = (
        (leaf.problem, bool(leaf.problem)),
        (
            f"expires {leaf.not_after:%Y-%m-%d}",
            # A leaf that ends with its root cannot get any longer by signing it again.
            leaf.not_after - now <= spec.renew_before and leaf.not_after != authority.not_after,
        ),
        (f"not valid before {leaf.not_before:%Y-%m-%d}", leaf.not_before > now),
        ("the names that clients dial changed", leaf.names != spec.names),
        (
            "the authority changed",
            authority.exists and leaf.authority != authority.fingerprint,
        ),
        (
            "clients are to trust other roots",
            authority.exists and leaf.roots != authority.bundle,
        ),
        ("it goes with other client certificates", _trusts_others(spec, seen, leaf)),
        (
            "its lifetime was shortened",
            leaf.not_after - leaf.not_before > spec.certificate_lifetime + _BACKDATED,
        ),
    )
    return next((cause for cause, holds in checks if holds), "")


def _trusts_others(spec: TenantSpec, seen: Snapshot, leaf: SeenCertificate) -> bool:
    """Return whether the server that serves *leaf* trusts other clients than it should."""
    if seen.clients.problem:
        return False
    if not asks_clients(spec):
        return bool(leaf.clients)
    return leaf.clients != seen.clients.authority or bool(why_another_authority(spec, seen))
