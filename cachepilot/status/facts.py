"""What can be said about a tenant, each True only because the world was asked and agreed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from cachepilot.observe.snapshot import (
    Liveness,
    Role,
    SeenContainer,
    SeenServer,
    Snapshot,
    Unknown,
    Unreachable,
)
from cachepilot.plan.applied import only_by_hand
from cachepilot.plan.clients import client_fault, why_another_authority
from cachepilot.plan.drift import shape_drift
from cachepilot.plan.live import resources_cause, shrink_fits
from cachepilot.plan.logins import customer_logins, list_logins, list_password_files
from cachepilot.plan.passwords import replaced_passwords
from cachepilot.plan.persistence import mode_in_force
from cachepilot.plan.sandbox import sandbox_cause
from cachepilot.plan.server_config import differences, wanted_directives
from cachepilot.plan.shape import engine_of, wanted_resources, wanted_workload
from cachepilot.plan.user_rules import as_tried, rules_refused
from cachepilot.plan.users import strangers, user_differences, wanted_users
from cachepilot.spec.quantities import duration_to_text
from cachepilot.spec.rules import DriftMode, Rules
from cachepilot.spec.tenant import TenantSpec
from cachepilot.status.conditions import ConditionStatus

# A condition is a sentence; all that is known stands in the snapshot.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Fact:
    """A condition before anybody knows since when it holds."""

    status: ConditionStatus
    reason: str
    message: str

    @classmethod
    def true(cls, reason: str, message: str) -> Fact:
        """Say that something holds."""
        return cls(ConditionStatus.TRUE, reason, message)

    @classmethod
    def false(cls, reason: str, message: str) -> Fact:
        """Say that something does not hold."""
        return cls(ConditionStatus.FALSE, reason, message)

    @classmethod
    def unknown(cls, reason: str, message: str) -> Fact:
        """Say that we could not find out."""
        return cls(ConditionStatus.UNKNOWN, reason, message)


def container_current(spec: TenantSpec, seen: Snapshot, rules: Rules, *, waits: str = "") -> Fact:
    """Say whether the one right container runs with the right limits.

    Args:
        spec: What is in force.
        seen: What was seen.
        rules: Those of the host.
        waits: Why another container has to replace it, but not yet; or empty.
    """
    if isinstance(seen.containers, Unknown):
        return Fact.unknown("EngineUnavailable", seen.containers.why)
    container = seen.container(Role.SERVER)
    if not spec.serves:
        if container is None or container.liveness in (Liveness.EXITED, Liveness.CREATED):
            return Fact.true("NotRunning", "nothing runs, as the spec says")
        return Fact.false("StillRunning", "the container still runs")
    if container is None:
        return Fact.false("NoContainer", "there is no container")
    if container.liveness is not Liveness.RUNNING:
        words = container.error or container.last_words
        more = f"; its last words: {words}" if words else ""
        killed = " after it ran out of memory" if container.oom_killed else ""
        message = f"the container is {container.liveness}{killed}{more}"
        return Fact.false(f"Container{container.liveness.capitalize()}", message)
    if seen.memory.reservation is None:
        return Fact.false("NothingReserved", "it has no ports yet")
    workload = wanted_workload(spec, seen.memory.reservation, instance=seen.memory.instance)
    cause = shape_drift(workload.shape, container.shape) or sandbox_cause(
        spec, seen, seen.memory.reservation
    )
    if cause and not waits:
        return Fact.false("Drifted", f"the container must be replaced: {cause}")
    wanted = wanted_resources(spec)
    if container.resources != wanted:
        if _shrink_deferred(spec, seen, container, rules):
            message = "the memory limit shrinks as soon as freed pages allow it"
            return Fact.true("LimitShrinkDeferred", message)
        return Fact.false("Drifted", resources_cause(container.resources, wanted))
    running = Fact.true("Running", "the container runs as it should")
    return Fact.true("Waiting", waits) if waits else running


def server_reachable(seen: Snapshot) -> Fact:
    """Say whether the server answered over its management socket and has its data."""
    blind = isinstance(seen.containers, Unknown)
    match seen.server:
        case None:
            return Fact.false("NotRunning", "there is no running server to ask")
        case Unreachable(why=why, saturated=True):
            return Fact.true("Saturated", f"it answers, but it is full: {why}")
        case Unreachable(why=why) if blind:
            return Fact.unknown("EngineUnavailable", why)
        case Unreachable(why=why):
            return Fact.false("NoAnswer", why)
        case SeenServer(loading=True):
            return Fact.false("Loading", "it is loading its data")
        case SeenServer(engine=engine, version=version):
            wanted = engine_of(_image(seen)) if not blind else engine
            if engine is not wanted:
                message = f"the image should run {wanted}, but {engine} {version} answers"
                return Fact.false("EngineMismatch", message)
            return Fact.true("Answering", f"{engine} {version} answers")


OBSERVED = "DriftObserved"
"""Reason of a difference that the settings want reported and not reverted."""


def config_applied(spec: TenantSpec, seen: Snapshot, rules: Rules) -> Fact:
    """Say whether every directive was read back as the spec wants it."""
    wanted = wanted_directives(
        spec, certificate=seen.memory.certificate, persistence=mode_in_force(spec, seen)
    )
    spared = only_by_hand(spec, seen, wanted, rules)
    server = seen.loaded_server
    if server is None:
        if rules.drift is DriftMode.OBSERVE and not spared:
            pending = "what the spec wants was never read back; the server could not be asked"
            return Fact.false("NeverReadBack", pending)
        return Fact.unknown("NoAnswer", "the server could not be asked")
    found = differences(wanted, server)
    if found:
        parts = (f"{name} is {_shown(live)}, wanted {_shown(want)}" for name, want, live in found)
        is_by_hand = spared.issuperset(name for name, _, _ in found)
        return Fact.false(OBSERVED if is_by_hand else "Differs", "; ".join(parts))
    if mode_in_force(spec, seen) is not spec.persistence:
        message = f"persistence is still {mode_in_force(spec, seen)}, wanted {spec.persistence}"
        return Fact.false("PersistenceChanging", message)
    return Fact.true("ReadBack", f"{len(wanted)} directives were read back as wanted")


def credentials_applied(spec: TenantSpec, seen: Snapshot) -> Fact:
    """Say whether the server knows exactly our users with their newest passwords."""
    server = seen.loaded_server
    if server is None:
        return Fact.unknown("NoAnswer", "the server could not be asked")
    tried = as_tried(spec, seen)
    wanted = wanted_users(tried, seen.memory, seen.at)
    parts = [f"user {user.name}: {why}" for user, why in user_differences(wanted, server)]
    parts += [
        f"user {login.user}: it has no password yet"
        for login in list_logins(tried)
        if seen.memory.credential(login.user) is None
    ]
    parts += [f"user {name} is not ours" for name in strangers(wanted, server)]
    if refused := rules_refused(spec, seen):
        return Fact.false("UserRulesRefused", "; ".join((refused.message, *parts)))
    parts += [
        f"user {user.name}: its rules were not tried yet"
        for user in spec.users
        if user not in tried.users
    ]
    if parts:
        return Fact.false("Differs", "; ".join(parts))
    if unread := tuple(_unread_passwords(spec, seen)):
        return Fact.false("NotAdopted", "; ".join(unread))
    agreed = f"{len(wanted)} users were read back as wanted"
    if grace := _grace(spec, seen, server):
        return Fact.true("GracePeriod", f"{agreed}; {grace}")
    return Fact.true("ReadBack", agreed)


def _unread_passwords(spec: TenantSpec, seen: Snapshot) -> Iterator[str]:
    """Yield what keeps a password from being the one in the author's file.

    A file that was read once and cannot be read now changes nothing for clients.
    """
    for user, path in list_password_files(spec):
        documented, file = seen.memory.credential(user), seen.files.password_of(user)
        if documented and not documented.from_file:
            why = file.problem if file and file.problem else "it was not read yet"
            yield f"the password of {user} is not that in {path}: {why}"


def _grace(spec: TenantSpec, seen: Snapshot, server: SeenServer) -> str:
    """Return until when replaced passwords work, and who may still use them, or empty."""
    untils = {
        user: max(old.until for old in replaced)
        for user in customer_logins(spec)
        if (replaced := replaced_passwords(spec, seen.memory, user))
        and replaced[0].until > seen.at
    }
    if not untils:
        return ""
    words = "; ".join(
        f"the password of {user} before works until {until:%Y-%m-%d %H:%M:%SZ}"
        for user, until in untils.items()
    )
    if server.old_connections is None:
        return f"{words}; which of its {server.clients} connections are older is not known"
    if not server.old_connections:
        return f"{words}; no connection is older than the new one"
    shown = ", ".join(
        f"{each.address}{f' ({each.name})' if each.name else ''} as {each.user} for "
        f"{duration_to_text(timedelta(seconds=each.age_seconds))}"
        for each in server.old_connections[:_FEW]
    )
    count = server.old_connection_count
    more = f" and {count - _FEW} more" if count > _FEW else ""
    return (
        f"{words}; older than the new one (and maybe logged in again since) are {count} "
        f"connections: {shown}{more}"
    )


def certificate_served(spec: TenantSpec, seen: Snapshot) -> Fact:
    """Say whether a handshake met the newest leaf on every encrypted port."""
    leaf = seen.certificate
    if leaf is None:
        return Fact.false("NotIssued", "there is no certificate")
    if leaf.problem:
        return Fact.false("Unusable", leaf.problem)
    if leaf.names != spec.names:
        return Fact.false("NamesDiffer", "it does not hold the names that clients dial")
    met = [at for at in seen.endpoints if at.listener == "tls"]
    if not met:
        return Fact.unknown("NotProbed", "no encrypted port could be dialled")
    for endpoint in met:
        where = f"{endpoint.address}:{endpoint.port}"
        if endpoint.refused not in ("", leaf.fingerprint):
            return Fact.false("OtherServed", f"{where} serves another certificate")
        if endpoint.problem and not endpoint.fingerprint:
            return Fact.false("HandshakeFailed", f"{where}: {endpoint.problem}")
        if endpoint.fingerprint != leaf.fingerprint:
            return Fact.false("OtherServed", f"{where} serves another certificate")
    return Fact.true("Served", f"served until {leaf.not_after:%Y-%m-%d}, proven by handshake")


def client_certificates_issued(spec: TenantSpec, seen: Snapshot) -> Fact:
    """Say whether a good certificate lies ready for each client that the spec names."""
    if seen.clients.problem:
        return Fact.false("AuthorityBroken", seen.clients.problem)
    if cause := why_another_authority(spec, seen):
        return Fact.false("AuthorityOutdated", cause)
    found = {each.name: each for each in seen.clients.certificates}
    faults = ((name, client_fault(spec, seen, found.get(name), seen.at)) for name in spec.clients)
    if missing := [f"client {name}: {fault}" for name, fault in faults if fault]:
        return Fact.false("NotIssued", "; ".join(missing[:_FEW]))
    if not spec.clients:
        return Fact.true("NobodyNamed", "the spec names no client")
    first = min(found[name].not_after for name in spec.clients)
    words = f"{len(spec.clients)} certificates lie ready, the first ends {first:%Y-%m-%d}"
    return Fact.true("Issued", words)


def endpoints_reachable(spec: TenantSpec, seen: Snapshot) -> Fact:
    """Say whether a client got in at every address, with the documented password."""
    if isinstance(seen.containers, Unknown):
        return Fact.unknown("EngineUnavailable", seen.containers.why)
    if seen.server is None:
        return Fact.false("NotRunning", "nothing listens")
    failed = [
        f"{at.listener} {at.address}:{at.port}: {at.problem}"
        for at in seen.endpoints
        if at.problem
    ]
    if failed:
        return Fact.false("NoEntry", "; ".join(failed))
    held = seen.memory.reservation
    ports = {"tls": held.tls_port, "plain": held.plain_port} if held else {}
    moved = [
        f"{name} is on port {ports.get(name)}, wanted {pinned}"
        for name, pinned in spec.listeners
        if pinned not in (None, ports.get(name))
    ]
    if moved:
        return Fact.false("OtherPort", "; ".join(moved))
    listeners = {at.listener for at in seen.endpoints}
    expected = {
        name
        for name, is_open in (("tls", spec.access.has_tls), ("plain", spec.access.has_plain))
        if is_open
    }
    if listeners != expected:
        return Fact.false("WrongListeners", f"open are: {', '.join(sorted(listeners)) or 'none'}")
    number = len(seen.endpoints)
    where = "the one address" if number == 1 else f"each of {number} addresses"
    return Fact.true("LoggedIn", f"a login succeeded at {where}")


def _shrink_deferred(
    spec: TenantSpec, seen: Snapshot, container: SeenContainer, rules: Rules
) -> bool:
    shrinks = container.resources.memory > spec.memory_limit
    server = seen.server
    return shrinks and isinstance(server, SeenServer) and not shrink_fits(spec, server, rules)


def _image(seen: Snapshot) -> str:
    container = seen.container(Role.SERVER)
    return container.shape.image if container else ""


def _shown(value: str | None) -> str:
    return "unknown to it" if value is None else f'"{value}"'
