"""Stopping a server: when it may not be, and how it loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import Liveness, Role, SeenContainer, SeenServer, Snapshot
from cachepilot.plan.actions import (
    AbandonReplacement,
    Action,
    Blocked,
    RemoveContainer,
    StopContainer,
    UnpauseContainer,
)
from cachepilot.plan.drift import shape_drift
from cachepilot.plan.persistence import (
    AOF,
    cannot_be_quiet,
    mode_in_force,
    plan_clean_start,
    plan_quiet,
)
from cachepilot.plan.sandbox import plan_sandbox_end, sandbox_cause, stranded_cause
from cachepilot.plan.shape import stop_timeout, wanted_listeners, wanted_workload
from cachepilot.spec.document import State
from cachepilot.spec.tenant import TenantSpec, is_wildcard

_ALIVE = (Liveness.RUNNING, Liveness.PAUSED, Liveness.RESTARTING)


def must_not_stop(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation | None
) -> Blocked | None:
    """Return why a planned stop has to wait, if one is wanted and would lose data."""
    container, why = seen.container(Role.SERVER), cannot_be_quiet(spec, seen)
    if container is None or not why:
        return None
    wish = spec.restarted_at
    wanted = not spec.serves or (wish is not None and wish != seen.memory.restarted_at)
    server = seen.server
    wanted = wanted or (isinstance(server, SeenServer) and server.directive("dir") == "")
    if reservation is not None and not wanted:
        wanted = stop_cause(spec, seen, reservation, container) is not None
    if not wanted:
        return None
    message = f"cannot stop the server of {spec.name}: {why}"
    return Blocked(reason="CannotStopSafely", message=message)


def place_taken(spec: TenantSpec, seen: Snapshot, reservation: Reservation) -> Blocked | None:
    """Return whose place a replacement would need, so that what serves is not stopped for it."""
    container = seen.container(Role.SERVER)
    if container is None or container.liveness is not Liveness.RUNNING:
        return None
    mine = {(at.address, at.host_port) for at in seen.published}
    others = seen.host.listeners - mine
    for at in wanted_listeners(spec, reservation):
        if (at.address, at.host_port) not in mine and any(
            port == at.host_port
            and (at.address == address or is_wildcard(at.address) or is_wildcard(address))
            for address, port in others
        ):
            message = (
                f"port {at.host_port} of {at.address} is in use by another program; stop it, "
                "pin another port or correct spec.access.bind"
            )
            return Blocked(reason="PortInUse", message=message)
    return None


def plan_rest(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield what stops a server that should not serve; its data stays.

    A stopped tenant keeps its container, a deleted one does not.
    """
    container = seen.container(Role.SERVER)
    cause, is_deleted = f"state is {spec.state}", spec.state is State.DELETED
    if container is None:
        yield from plan_sandbox_end(spec, seen, cause, keep=not is_deleted)
        return
    begun = seen.memory.replacement
    if begun and begun.instance != seen.memory.instance and container.liveness in _ALIVE:
        # What was noted of it is history from now on.
        yield AbandonReplacement(tenant_name=spec.name, cause=cause)
    if container.liveness is Liveness.PAUSED:
        yield plan_thaw(spec, container)
        return
    if is_deleted:
        yield from plan_end(spec, seen, container, cause)
    elif container.liveness in _ALIVE:
        yield from _plan_stop(spec, seen, container, cause)
    yield from plan_sandbox_end(spec, seen, cause, keep=not is_deleted)


def plan_end(
    spec: TenantSpec, seen: Snapshot, container: SeenContainer, cause: str
) -> Iterator[Action]:
    """Yield the stop, if it runs, and the removal of *container*."""
    if container.liveness in _ALIVE:
        yield from _plan_stop(spec, seen, container, cause)
    else:
        yield from plan_clean_start(spec, seen)
    yield RemoveContainer(
        tenant_name=spec.name,
        cause=cause,
        container_id=container.container_id,
        digest=container.digest,
    )


def _plan_stop(
    spec: TenantSpec, seen: Snapshot, container: SeenContainer, cause: str
) -> Iterator[Action]:
    saved = tuple(plan_quiet(spec, seen, cause))
    yield from saved
    yield StopContainer(
        tenant_name=spec.name,
        cause=cause,
        container_id=container.container_id,
        timeout=patience_to_stop(spec, seen),
        kills=must_kill(spec, seen, container),
    )
    if not saved:
        # Only then: behind a save, a dump is the very data that the next start must load.
        yield from plan_clean_start(spec, seen)


def stop_cause(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, container: SeenContainer
) -> str | None:
    """Return why a server has to be stopped that might serve on, for itself or for its sandbox."""
    workload = wanted_workload(spec, reservation, instance=seen.memory.instance)
    return (
        shape_drift(workload.shape, container.shape)
        or sandbox_cause(spec, seen, reservation)
        or stranded_cause(seen, container)
    )


def must_kill(spec: TenantSpec, seen: Snapshot, container: SeenContainer) -> bool:
    """Return whether a server that does not end in time is killed.

    Only one that loses nothing by it, as it crashes all the time, or logs every write and does not
    answer; else it could hang for ever.
    """
    if container.liveness is not Liveness.RUNNING:
        return True
    return seen.loaded_server is None and mode_in_force(spec, seen) is AOF


def plan_thaw(spec: TenantSpec, container: SeenContainer) -> Action:
    """Return what makes a frozen server answer; only then is it known what else to do."""
    return UnpauseContainer(
        tenant_name=spec.name,
        cause="somebody froze it",
        container_id=container.container_id,
    )


def patience_to_stop(spec: TenantSpec, seen: Snapshot) -> timedelta:
    """Return how long the server gets to save before it is killed."""
    used = seen.server.used_memory if isinstance(seen.server, SeenServer) else spec.memory_max
    # A server cannot hold more than its container, whatever it says of itself.
    container = seen.container(Role.SERVER)
    most = container.resources.memory if container else spec.memory_limit
    return stop_timeout(min(used, max(most, spec.memory_limit)))
