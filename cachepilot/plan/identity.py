"""Ports and user id: what a tenant is, before anything runs."""

from __future__ import annotations

import hashlib

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import Snapshot
from cachepilot.plan.actions import Blocked
from cachepilot.plan.logins import list_password_files
from cachepilot.spec.rules import Range, Rules
from cachepilot.spec.tenant import TenantSpec


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
    for user, _ in list_password_files(spec):
        found = seen.files.password_of(user)
        if found and found.problem:
            return Blocked(reason="PasswordFileUnusable", message=found.problem)
    return None


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
