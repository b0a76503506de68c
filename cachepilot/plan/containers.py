"""The server's container: make, start, replace, repair, stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import (
    Liveness,
    Resources,
    Role,
    SeenContainer,
    SeenServer,
    Snapshot,
)
from cachepilot.plan.actions import (
    Action,
    AwaitServer,
    BeginRestart,
    Blocked,
    CreateContainer,
    EnsureImage,
    EnsureNetwork,
    FinishRestart,
    RemoveContainer,
    RenameContainer,
    RestartContainer,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateResources,
    Workload,
)
from cachepilot.plan.drift import shape_drift
from cachepilot.plan.live import resources_cause
from cachepilot.plan.persistence import cannot_be_quiet, plan_clean_start, plan_quiet
from cachepilot.plan.server_config import Directives, differences, needs_restart
from cachepilot.plan.shape import (
    stop_timeout,
    wanted_listeners,
    wanted_resources,
    wanted_workload,
)
from cachepilot.spec.document import State
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec, is_wildcard

# A server that loads for longer, or crashes, must not keep a worker from the other tenants.
PATIENCE = timedelta(seconds=5)
_ALIVE = (Liveness.RUNNING, Liveness.PAUSED, Liveness.RESTARTING)


def container_name(tenant_name: str, role: Role) -> str:
    """Return the contracted name of a tenant's container of *role*."""
    return f"cachepilot-{tenant_name}" + ("" if role.value == "server" else f".{role}")


def plan_server(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    rules: Rules,
    directives: Directives,
) -> Iterator[Action]:
    """Yield what makes the one right container run; nothing if it does already."""
    workload = wanted_workload(spec, reservation, instance=seen.memory.instance)
    container = seen.container(Role.SERVER)
    if container is None:
        cause = "no container"
        yield from _plan_prerequisites(spec, seen, reservation, rules)
        yield from plan_clean_start(spec, seen)
        yield from _plan_birth(spec, seen, workload, cause)
        yield from plan_wish(spec, seen)
    elif container.liveness is Liveness.PAUSED:
        yield _thaw(spec, container)
    elif replace_cause := _replace_cause(container, workload):
        yield from _plan_prerequisites(spec, seen, reservation, rules)
        yield from _plan_end(spec, seen, container, replace_cause)
        roomy = replace(workload, resources=_roomy(workload.resources, container))
        yield from _plan_birth(spec, seen, roomy, replace_cause)
        yield from plan_wish(spec, seen)
    else:
        if container.name != container_name(spec.name, Role.SERVER):
            yield RenameContainer(
                tenant_name=spec.name,
                cause=f"it was renamed to {container.name}",
                container_id=container.container_id,
                role=Role.SERVER,
            )
        yield from _plan_liveness(spec, seen, container, directives)


def plan_rest(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield what stops a server that should not serve; its data stays.

    A stopped tenant keeps its container, a deleted one does not.
    """
    container = seen.container(Role.SERVER)
    if container is None:
        return
    cause = f"state is {spec.state}"
    if container.liveness is Liveness.PAUSED:
        yield _thaw(spec, container)
    elif spec.state is State.DELETED:
        yield from _plan_end(spec, seen, container, cause)
    elif container.liveness in _ALIVE:
        yield from _plan_stop(spec, seen, container, cause)


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
        workload = wanted_workload(spec, reservation, instance=seen.memory.instance)
        wanted = _replace_cause(container, workload) is not None
    if not wanted:
        return None
    message = f"cannot stop the server of {spec.name}: {why}"
    return Blocked(reason="CannotStopSafely", message=message)


def place_taken(spec: TenantSpec, seen: Snapshot, reservation: Reservation) -> Blocked | None:
    """Return whose place a replacement would need, so that what serves is not stopped for it."""
    container = seen.container(Role.SERVER)
    if container is None or container.liveness is not Liveness.RUNNING:
        return None
    mine = {(at.address, at.host_port) for at in container.shape.published}
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


def plan_wish(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the book-keeping of a wish for a restart that something else fulfils.

    A wish that a tenant is born with, or that comes while it does not serve, is served by that.
    """
    wish = spec.restarted_at
    if wish is not None and wish != seen.memory.restarted_at:
        cause = "no server has to be restarted for it"
        yield FinishRestart(tenant_name=spec.name, cause=cause, wish=wish)


def _replace_cause(container: SeenContainer, workload: Workload) -> str | None:
    if container.liveness is Liveness.DEAD:
        return "Docker is removing it, or gave up"
    return shape_drift(workload.shape, container.shape)


def _plan_prerequisites(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, rules: Rules
) -> Iterator[Action]:
    if not seen.image_exists:
        cause = "the container needs it"
        yield EnsureImage(tenant_name=spec.name, cause=cause, image=spec.image)
    workload = wanted_workload(spec, reservation, instance=seen.memory.instance)
    if reservation.bridge < len(rules.network.subnets):
        yield EnsureNetwork(
            tenant_name=spec.name,
            cause="the container needs it",
            bridge=workload.shape.bridge,
            subnet=rules.network.subnets[reservation.bridge],
        )


def _plan_birth(
    spec: TenantSpec, seen: Snapshot, workload: Workload, cause: str
) -> Iterator[Action]:
    instance = seen.memory.instance
    yield CreateContainer(tenant_name=spec.name, cause=cause, workload=workload, instance=instance)
    yield from _plan_start(spec, instance, "just created")


def _plan_start(spec: TenantSpec, instance: int, cause: str) -> Iterator[Action]:
    yield StartContainer(tenant_name=spec.name, cause=cause, role=Role.SERVER, instance=instance)
    yield AwaitServer(
        tenant_name=spec.name, cause="just started", instance=instance, patience=PATIENCE
    )


def _plan_end(
    spec: TenantSpec, seen: Snapshot, container: SeenContainer, cause: str
) -> Iterator[Action]:
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
        timeout=_patience_to_stop(spec, seen),
    )
    if not saved:
        # Only then: behind a save, a dump is the very data that the next start must load.
        yield from plan_clean_start(spec, seen)


def _plan_liveness(
    spec: TenantSpec,
    seen: Snapshot,
    container: SeenContainer,
    directives: Directives,
) -> Iterator[Action]:
    match container.liveness:
        case Liveness.CREATED | Liveness.EXITED:
            cause = (
                "it never started"
                if container.liveness is Liveness.CREATED
                else f"found stopped with exit code {container.exit_code}"
            )
            yield from _plan_room(spec, container)
            yield from plan_clean_start(spec, seen)
            yield from _plan_start(spec, seen.memory.instance, cause)
            yield from plan_wish(spec, seen)
        case Liveness.RESTARTING:
            yield from _plan_room(spec, container)
            yield from plan_clean_start(spec, seen)
            yield from _plan_restart(spec, seen, container, "it crashes again and again")
            yield from plan_wish(spec, seen)
        case Liveness.RUNNING | Liveness.DEAD | Liveness.PAUSED:
            yield from _plan_wished_restart(spec, seen, container, directives)


def _plan_wished_restart(
    spec: TenantSpec,
    seen: Snapshot,
    container: SeenContainer,
    directives: Directives,
) -> Iterator[Action]:
    """Yield a restart that the spec asks for, or that a directive cannot do without."""
    wish, begun = spec.restarted_at, seen.memory.restart_wish
    if wish is not None and wish != seen.memory.restarted_at:
        if begun and begun[0] == wish and container.started_at and container.started_at > begun[1]:
            cause = "it restarted before we could say so"
            yield FinishRestart(tenant_name=spec.name, cause=cause, wish=wish)
            return
        cause = f"restartedAt is {wish}"
        yield BeginRestart(tenant_name=spec.name, cause=cause, wish=wish, at=seen.at)
        yield from plan_quiet(spec, seen, cause)
        yield from _plan_restart(spec, seen, container, cause)
        yield FinishRestart(tenant_name=spec.name, cause="it restarted", wish=wish)
        return
    if isinstance(seen.server, SeenServer) and not seen.server.loading:
        stuck = [
            name for name, _, _ in differences(directives, seen.server) if needs_restart(name)
        ]
        if stuck and not cannot_be_quiet(spec, seen):
            cause = f"only a restart changes {', '.join(stuck)}"
            yield from plan_quiet(spec, seen, cause)
            yield from _plan_restart(spec, seen, container, cause)


def _thaw(spec: TenantSpec, container: SeenContainer) -> Action:
    """Return what makes a frozen server answer; only then is it known what else to do."""
    return UnpauseContainer(
        tenant_name=spec.name,
        cause="somebody froze it",
        container_id=container.container_id,
    )


def _roomy(wanted: Resources, container: SeenContainer) -> Resources:
    """Return *wanted* with no less memory than the container has: what it holds must still load.

    A limit shrinks only below a running server that has given the memory back.
    """
    memory = max(wanted.memory, container.resources.memory)
    return replace(wanted, memory=memory, swap=memory)


def _plan_room(spec: TenantSpec, container: SeenContainer) -> Iterator[Action]:
    """Yield the wanted limits for a server that is down, maybe because of too tight ones."""
    wanted = _roomy(wanted_resources(spec), container)
    if container.resources != wanted:
        yield UpdateResources(
            tenant_name=spec.name,
            cause=resources_cause(container.resources, wanted),
            container_id=container.container_id,
            resources=wanted,
        )


def _plan_restart(
    spec: TenantSpec, seen: Snapshot, container: SeenContainer, cause: str
) -> Iterator[Action]:
    instance = seen.memory.instance
    yield RestartContainer(
        tenant_name=spec.name,
        cause=cause,
        container_id=container.container_id,
        instance=instance,
        timeout=_patience_to_stop(spec, seen),
    )
    yield AwaitServer(
        tenant_name=spec.name, cause="just restarted", instance=instance, patience=PATIENCE
    )


def _patience_to_stop(spec: TenantSpec, seen: Snapshot) -> timedelta:
    used = seen.server.used_memory if isinstance(seen.server, SeenServer) else spec.memory_max
    # A server cannot hold more than its container, whatever it says of itself.
    container = seen.container(Role.SERVER)
    most = container.resources.memory if container else spec.memory_limit
    return stop_timeout(min(used, max(most, spec.memory_limit)))
