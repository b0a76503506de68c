"""Decide; never do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from cachepilot.observe.memory import Memory, Reservation, SeenCredential
from cachepilot.observe.snapshot import Role, SeenServer, Snapshot, Unknown
from cachepilot.plan.actions import (
    Action,
    AdoptPassword,
    Blocked,
    GenerateCredential,
    IssueCertificate,
    Plan,
    PrepareFolders,
    Reserve,
    WriteConfiguration,
    WriteUsers,
)
from cachepilot.plan.containers import plan_rest, plan_server, plan_wish
from cachepilot.plan.identity import (
    authority_blocked,
    choose_reservation,
    password_blocked,
    plan_certificate,
    plan_credentials,
    plan_pruning,
)
from cachepilot.plan.live import (
    memory_blocked,
    plan_directives,
    plan_growth,
    plan_shrinking,
    plan_users,
)
from cachepilot.plan.persistence import (
    configuration_is,
    mode_in_force,
    plan_first_mode,
    plan_leftovers,
    plan_mode_change,
)
from cachepilot.plan.server_config import Directives, render, wanted_directives
from cachepilot.plan.shape import engine_of
from cachepilot.plan.users import CUSTOMER, render_users, wanted_users
from cachepilot.spec.rules import DriftMode, Rules
from cachepilot.spec.tenant import TenantSpec


def plan_tenant(spec: TenantSpec, seen: Snapshot, rules: Rules, now: datetime) -> Plan:
    """Return the actions that turn *seen* into *spec* as of *now*.

    A plan may stop short of the goal where only a fresh look can tell what is next, for example
    behind the start of a server; a visit therefore plans until nothing is left. What blocks one
    concern does not hold up the others: a tenant whose new port is taken still gets its
    certificate renewed and its dead container started.
    """
    if spec.paused:
        return Plan()
    if isinstance(seen.containers, Unknown):
        return Plan(blocked=Blocked(reason="EngineUnavailable", message=seen.containers.why))
    if not spec.serves:
        return Plan((*plan_rest(spec, seen), *plan_wish(spec, seen)))
    return _plan_serving(spec, seen, rules, now)


def _plan_serving(spec: TenantSpec, seen: Snapshot, rules: Rules, now: datetime) -> Plan:
    """Return what makes a tenant serve: identity, then files, then server, then live changes."""
    blocked = _list_blocks(spec, seen)
    spec = _feasible(spec, seen)
    chosen = choose_reservation(spec, seen, rules)
    reservation = seen.memory.reservation if isinstance(chosen, Blocked) else chosen
    if isinstance(chosen, Blocked):
        blocked = (*blocked, chosen)
    if reservation is None or not spec.bind:
        return Plan((), blocked[0])

    first = blocked[0] if blocked else None
    identity = tuple(_plan_identity(spec, seen, reservation, now))
    memory = _project(seen.memory, reservation, identity)
    if memory.credential(CUSTOMER) is None or (spec.access.has_tls and not memory.certificate):
        return Plan(identity, first)  # nothing may start without them; *first* says why
    files = tuple(_plan_files(spec, seen, memory, reservation))
    if seen.memory.data_ready and not seen.files.data_marker:
        return Plan((*identity, *files), first or _data_missing(spec, seen))

    directives = _directives(spec, seen, memory)
    server = tuple(plan_server(spec, seen, reservation, rules, directives))
    if not server and isinstance(seen.server, SeenServer) and not seen.server.loading:
        settled = not (identity or files)
        server = tuple(
            _plan_live(spec, seen, memory, rules, directives, seen.server, settled=settled)
        )
    return Plan((*identity, *files, *server), first)


def _list_blocks(spec: TenantSpec, seen: Snapshot) -> tuple[Blocked, ...]:
    """Return everything that a person must mend, the most important first."""
    found = (
        _foreign_address(seen),
        authority_blocked(spec, seen),
        password_blocked(spec, seen),
        memory_blocked(spec, seen),
        _wrong_engine(spec, seen),
    )
    return tuple(blocked for blocked in found if blocked)


def _feasible(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec* with what cannot be had replaced by what is there already."""
    container = seen.container(Role.SERVER)
    if seen.host.foreign_addresses:
        local = tuple(at for at in spec.bind if at not in seen.host.foreign_addresses)
        if not local and container:
            local = tuple(sorted({listener.address for listener in container.shape.published}))
        spec = replace(spec, bind=local)
    if container and isinstance(seen.server, SeenServer) and memory_blocked(spec, seen):
        spec = replace(
            spec,
            memory_max=int(seen.server.directive("maxmemory") or spec.memory_max),
            memory_limit=container.resources.memory,
        )
    return spec


def _plan_identity(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, now: datetime
) -> Iterator[Action]:
    if reservation != seen.memory.reservation:
        cause = "nothing is reserved yet" if not seen.memory.reservation else "the spec changed"
        yield Reserve(tenant_name=spec.name, cause=cause, reservation=reservation)
    yield from plan_first_mode(spec, seen)
    yield from plan_credentials(spec, seen)
    yield from plan_certificate(spec, seen, reservation, now)


def _project(memory: Memory, reservation: Reservation, identity: tuple[Action, ...]) -> Memory:
    """Return *memory* as it will be once *identity* is done, so that one plan can go on."""
    for action in identity:
        match action:
            case GenerateCredential(user=user) | AdoptPassword(user=user):
                before = memory.credential(user)
                credential = SeenCredential(
                    user=user,
                    revision=before.revision + 1 if before else 1,
                    from_file=isinstance(action, AdoptPassword),
                )
                others = (kept for kept in memory.credentials if kept.user != user)
                memory = replace(memory, credentials=(*others, credential))
            case IssueCertificate(revision=revision):
                memory = replace(memory, certificate=revision)
            case _:
                pass
    return replace(memory, reservation=reservation)


def _directives(spec: TenantSpec, seen: Snapshot, memory: Memory) -> Directives:
    return wanted_directives(
        spec, certificate=memory.certificate, persistence=mode_in_force(spec, seen)
    )


def _plan_files(
    spec: TenantSpec, seen: Snapshot, memory: Memory, reservation: Reservation
) -> Iterator[Action]:
    lost = memory.data_ready and not seen.files.data_marker
    if not (seen.files.folders_ready or lost):
        cause = "no folders yet" if not memory.data_ready else "folders are missing or changed"
        yield PrepareFolders(
            tenant_name=spec.name,
            cause=cause,
            instance=memory.instance,
            uid=reservation.uid,
            with_data=True,
        )
    text = render(_directives(spec, seen, memory))
    if not configuration_is(seen, text):
        yield WriteConfiguration(
            tenant_name=spec.name,
            cause=_file_cause("redis.conf", seen.files.configuration),
            instance=memory.instance,
            uid=reservation.uid,
            text=text,
        )
    users = wanted_users(spec, memory)
    if seen.files.users != render_users(users):
        yield WriteUsers(
            tenant_name=spec.name,
            cause=_file_cause("users.acl", seen.files.users),
            instance=memory.instance,
            uid=reservation.uid,
            users=users,
        )


def _plan_live(
    spec: TenantSpec,
    seen: Snapshot,
    memory: Memory,
    rules: Rules,
    directives: Directives,
    server: SeenServer,
    *,
    settled: bool,
) -> Iterator[Action]:
    """Yield live changes; if *settled*, a difference can only come from somebody's hand."""
    uid = memory.reservation.uid if memory.reservation else 0
    yield from plan_growth(spec, seen)
    yield from plan_users(spec, seen, server, memory)
    yield from plan_mode_change(spec, seen, server, uid=uid, certificate=memory.certificate)
    if not (settled and rules.drift is DriftMode.OBSERVE):
        yield from plan_directives(spec, seen, server, directives)
    yield from plan_shrinking(spec, seen, server, rules)
    yield from plan_leftovers(spec, seen, server)
    stale = bool(seen.stale_certificates) and memory.certificate == seen.memory.certificate
    yield from plan_pruning(spec, stale=stale, keep=memory.certificate)


def _foreign_address(seen: Snapshot) -> Blocked | None:
    if not seen.host.foreign_addresses:
        return None
    addresses = ", ".join(seen.host.foreign_addresses)
    message = f"{addresses} is not an address of this host; correct spec.access.bind"
    return Blocked(reason="AddressNotLocal", message=message)


def _wrong_engine(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    container = seen.container(Role.SERVER)
    if (
        container is None
        or container.shape.image != spec.image
        or not isinstance(seen.server, SeenServer)
        or seen.server.engine is engine_of(spec.image)
    ):
        return None
    message = f"image {spec.image} runs {seen.server.engine}, its name says otherwise"
    return Blocked(reason="EngineMismatch", message=message)


def _data_missing(spec: TenantSpec, seen: Snapshot) -> Blocked:
    message = seen.files.data_problem or f"the data folder of {spec.name} is gone; put it back"
    return Blocked(reason="DataMissing", message=message)


def _file_cause(name: str, seen: str | None) -> str:
    return f"{name} is missing" if seen is None else f"{name} says something else"
