"""Ports, user id and certificate: what a tenant is, before anything runs."""

from __future__ import annotations

import hashlib
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
from cachepilot.spec.rules import Range, Rules
from cachepilot.spec.tenant import TenantSpec

# Leaves start a little in the past, for clients whose clocks are late.
_BACKDATED = timedelta(hours=1)


def choose_reservation(spec: TenantSpec, seen: Snapshot, rules: Rules) -> Reservation | Blocked:
    """Return what the tenant should hold: what it has, what it pins, or something free."""
    held = seen.memory.reservation
    tls = _choose_port(
        spec,
        seen,
        spec.tls_port,
        held.tls_port if held else None,
        rules.ports.tls,
        needed=spec.access.has_tls,
        avoid=spec.plain_port or (held.plain_port if held else None),
    )
    if isinstance(tls, Blocked):
        return tls
    plain = _choose_port(
        spec,
        seen,
        spec.plain_port,
        held.plain_port if held else None,
        rules.ports.plain,
        needed=spec.access.has_plain,
        avoid=tls,
    )
    if isinstance(plain, Blocked):
        return plain
    if held:
        return Reservation(tls_port=tls, plain_port=plain, uid=held.uid, bridge=held.bridge)
    uid, bridge = _choose_uid(spec, seen, rules), _choose_bridge(seen, rules)
    if isinstance(uid, Blocked):
        return uid
    if isinstance(bridge, Blocked):
        return bridge
    return Reservation(tls_port=tls, plain_port=plain, uid=uid, bridge=bridge)


def password_blocked(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why the author's password file cannot be used, if so."""
    if spec.password_file and seen.files.password_problem:
        return Blocked(reason="PasswordFileUnusable", message=seen.files.password_problem)
    return None


def authority_blocked(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why no certificate can be signed, if so."""
    if spec.access.has_tls and seen.host.authority.problem:
        return Blocked(reason="AuthorityBroken", message=seen.host.authority.problem)
    return None


def plan_certificate(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, now: datetime
) -> Iterator[Action]:
    """Yield what makes a leaf with the right names and enough time left."""
    if not spec.access.has_tls or authority_blocked(spec, seen):
        return
    if not seen.host.authority.exists:
        yield CreateAuthority(tenant_name=spec.name, cause="this host has no authority yet")
    if cause := _certificate_cause(spec, seen, seen.certificate, now):
        yield IssueCertificate(
            tenant_name=spec.name,
            cause=cause,
            revision=seen.memory.certificate + 1,
            names=spec.names,
            lifetime=spec.certificate_lifetime,
            uid=reservation.uid,
        )


def can_wait(leaf: SeenCertificate | None) -> bool:
    """Return whether a server starts with *leaf*, so that a new one may come later.

    Even one that seems to be over: maybe it is the clock that is wrong.
    """
    return leaf is not None and not leaf.problem


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
            "its lifetime was shortened",
            leaf.not_after - leaf.not_before > spec.certificate_lifetime + _BACKDATED,
        ),
    )
    return next((cause for cause, holds in checks if holds), "")


def _choose_port(
    spec: TenantSpec,
    seen: Snapshot,
    pinned: int | None,
    held: int | None,
    among: Range,
    *,
    needed: bool,
    avoid: int | None,
) -> int | Blocked | None:
    """Return the port to hold; a port once held is kept even while its listener is closed.

    The tenant's other listener may take it over: *avoid* is what that one has or pins.
    """
    held = None if held == avoid else held
    if not needed:
        return held
    owners = dict(seen.host.owned_ports)
    if pinned is None:
        # A port pinned earlier is kept: clients know it.
        return held or _free_port(spec, seen, among, owners, avoid)
    if pinned == held:
        return held
    owner = owners.get(pinned, spec.name)
    if owner != spec.name:
        message = f"port {pinned} belongs to tenant {owner}; pin another one or move that tenant"
        return Blocked(reason="PortConflict", message=message)
    if pinned in seen.host.listening_ports and pinned not in owners:
        message = f"port {pinned} is in use by another program; stop it or pin another port"
        return Blocked(reason="PortInUse", message=message)
    return pinned


def _free_port(
    spec: TenantSpec, seen: Snapshot, among: Range, owners: dict[int, str], avoid: int | None
) -> int | Blocked:
    mine = {port for port, owner in owners.items() if owner == spec.name and port in among}
    if mine - {avoid}:  # reserved by a visit that was cut short
        return min(mine - {avoid})
    taken = owners.keys() | seen.host.resting_ports | seen.host.listening_ports
    port = _first_free(spec.name, among, taken)
    if port is None:
        message = (
            f"no port is free from {among.first} to {among.last}; widen ports in the settings"
        )
        return Blocked(reason="PortsExhausted", message=message)
    return port


def _choose_uid(spec: TenantSpec, seen: Snapshot, rules: Rules) -> int | Blocked:
    owners = dict(seen.host.owned_uids)
    mine = [uid for uid, owner in owners.items() if owner == spec.name]
    if mine:
        return min(mine)
    uid = _first_free(spec.name, rules.uids, owners.keys() | seen.host.resting_uids)
    if uid is None:
        message = f"no user id is free from {rules.uids.first} to {rules.uids.last}"
        return Blocked(reason="UidsExhausted", message=message)
    return uid


def _choose_bridge(seen: Snapshot, rules: Rules) -> int | Blocked:
    used = dict(seen.host.bridges)
    for index in range(len(rules.network.subnets)):
        if used.get(index, 0) < rules.network.tenantsPerBridge:
            return index
    return Blocked(reason="BridgesFull", message="all bridges are full; add network.subnets")


def _first_free(tenant_name: str, among: Range, taken: frozenset[int] | set[int]) -> int | None:
    """Return a free number, searched from a place that follows from the tenant's name.

    Neighbouring visits that plan at the same time rarely want the same number that way, and a
    tenant that is made anew elsewhere tends to get its old one.
    """
    size = among.last - among.first + 1
    begin = int.from_bytes(hashlib.sha256(tenant_name.encode()).digest()[:8], "big") % size
    for step in range(size):
        number = among.first + (begin + step) % size
        if number not in taken:
            return number
    return None
