"""The server's container: make, start, replace, repair."""

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
    CreateContainer,
    EnsureImage,
    EnsureNetwork,
    FinishRestart,
    RenameContainer,
    RestartContainer,
    StartContainer,
    UpdateResources,
    Workload,
)
from cachepilot.plan.live import resources_cause
from cachepilot.plan.persistence import cannot_be_quiet, plan_clean_start, plan_quiet
from cachepilot.plan.server_config import Directives, differences, needs_restart
from cachepilot.plan.shape import wanted_resources, wanted_workload
from cachepilot.plan.stopping import patience_to_stop, plan_end, plan_thaw, replace_cause
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec

# A server that loads for longer, or crashes, must not keep a worker from the other tenants.
PATIENCE = timedelta(seconds=5)


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
        missing = "no container"
        yield from _plan_prerequisites(spec, seen, reservation, rules)
        yield from plan_clean_start(spec, seen)
        yield from _plan_birth(spec, seen, workload, missing)
        yield from plan_wish(spec, seen)
    elif container.liveness is Liveness.PAUSED:
        yield plan_thaw(spec, container)
    elif cause := replace_cause(container, workload):
        yield from _plan_prerequisites(spec, seen, reservation, rules)
        yield from plan_end(spec, seen, container, cause)
        roomy = replace(workload, resources=_roomy(workload.resources, container))
        yield from _plan_birth(spec, seen, roomy, cause)
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


def plan_wish(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the book-keeping of a wish for a restart that something else fulfils.

    A wish that a tenant is born with, or that comes while it does not serve, is served by that.
    """
    wish = spec.restarted_at
    if wish is not None and wish != seen.memory.restarted_at:
        cause = "no server has to be restarted for it"
        yield FinishRestart(tenant_name=spec.name, cause=cause, wish=wish)


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
        timeout=patience_to_stop(spec, seen),
    )
    yield AwaitServer(
        tenant_name=spec.name, cause="just restarted", instance=instance, patience=PATIENCE
    )
