"""The server's container: make, start, replace, repair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.memory import Memory, Reservation
from cachepilot.observe.snapshot import Liveness, Role, SeenContainer, Snapshot
from cachepilot.plan.actions import (
    AbandonReplacement,
    Action,
    AwaitServer,
    FinishRestart,
    RemoveContainer,
    RenameContainer,
    RestartContainer,
    ResumeWrites,
    UpdateResources,
)
from cachepilot.plan.birth import PATIENCE, plan_birth, plan_prerequisites, plan_start, roomy
from cachepilot.plan.held_back import made_from
from cachepilot.plan.live import resources_cause
from cachepilot.plan.persistence import mode_in_force, plan_clean_start
from cachepilot.plan.replacement import (
    departure_cause,
    plan_departure,
    restarted_already,
    successor,
)
from cachepilot.plan.sandbox import plan_sandbox, plan_sandbox_up
from cachepilot.plan.server_config import Directives
from cachepilot.plan.shape import wanted_resources, wanted_workload
from cachepilot.plan.stopping import patience_to_stop, plan_thaw
from cachepilot.plan.trial import failure_of, plan_proof_of_data, plan_return, plan_trial
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec


def container_name(tenant_name: str, role: Role) -> str:
    """Return the contracted name of a tenant's container of *role*."""
    return f"cachepilot-{tenant_name}" + ("" if role.value == "server" else f".{role}")


def plan_server(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    rules: Rules,
    directives: Directives,
    memory: Memory,
    asked: TenantSpec,
) -> Iterator[Action]:
    """Yield what makes the one right container run; nothing if it does already.

    Args:
        spec: What is wanted.
        seen: What is.
        reservation: Ports, user and bridge.
        rules: The host's.
        directives: What the server is to be told at its start.
        memory: What is remembered once the plan has come so far.
        asked: What the document wants, possible or not; a failure is remembered of that.
    """
    container, begun = seen.container(Role.SERVER), seen.memory.replacement
    if begun and begun.instance == seen.memory.instance:
        if container is None:
            yield from _plan_lost_trial(spec, seen, reservation, rules, directives)
        else:
            yield from plan_name(spec, container, Role.SERVER)
            yield from plan_sandbox_up(spec, seen, reservation)
            yield from plan_trial(spec, seen, reservation, directives, begun, container)
    elif container is None and begun:
        yield from plan_departure(
            spec, seen, reservation, rules, directives, memory, begun.cause, asked
        )
    elif container is None:
        yield from _plan_missing(spec, seen, reservation, rules, "no container")
    elif container.liveness is Liveness.PAUSED:
        yield plan_thaw(spec, container)
    elif cause := departure_cause(spec, seen, reservation, directives):
        yield from plan_departure(spec, seen, reservation, rules, directives, memory, cause, asked)
    elif container.liveness is Liveness.DEAD:
        cause = "Docker is removing it, or gave up"
        yield from _plan_giving_up(spec, seen)
        yield RemoveContainer(
            tenant_name=spec.name,
            cause=cause,
            container_id=container.container_id,
            digest=container.digest,
        )
        yield from _plan_missing(spec, seen, reservation, rules, cause, container)
    else:
        yield from _plan_giving_up(spec, seen)
        yield from plan_name(spec, container, Role.SERVER)
        yield from plan_sandbox_up(spec, seen, reservation)
        yield from _plan_liveness(spec, seen, container)


def _plan_missing(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    rules: Rules,
    cause: str,
    before: SeenContainer | None = None,
) -> Iterator[Action]:
    """Yield a container for the data that is there, with no less room than it had *before*."""
    instance = seen.memory.instance
    yield from plan_prerequisites(spec, seen, reservation, rules)
    yield from plan_clean_start(spec, seen)
    workload = made_from(wanted_workload(spec, reservation, instance=instance), seen)
    if before:
        workload = replace(workload, resources=roomy(workload.resources, before))
    yield from plan_sandbox(spec, seen, reservation, cause)
    yield from plan_birth(spec, workload, cause, instance=instance)
    yield from plan_wish(spec, seen)


def plan_wish(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the book-keeping of a wish for a restart that something else fulfils.

    A wish that a tenant is born with, or that comes while it does not serve, is served by that.
    """
    wish = spec.restarted_at
    if wish is not None and wish != seen.memory.restarted_at:
        cause = "no server has to be restarted for it"
        yield FinishRestart(tenant_name=spec.name, cause=cause, wish=wish)


def plan_name(spec: TenantSpec, container: SeenContainer, role: Role) -> Iterator[Action]:
    """Yield the contracted name of whoever plays *role*, whatever it was made for."""
    if container.name != container_name(spec.name, role):
        yield RenameContainer(
            tenant_name=spec.name,
            cause=f"it was renamed to {container.name}",
            container_id=container.container_id,
            role=role,
        )


def _plan_lost_trial(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    rules: Rules,
    directives: Directives,
) -> Iterator[Action]:
    """Yield what goes on with a server on trial that has no container."""
    begun = seen.memory.on_trial
    if begun is None:
        return
    if failure := failure_of(spec, seen):
        yield from plan_return(spec, seen, begun, failure)
        return
    yield from plan_prerequisites(spec, seen, reservation, rules)
    workload = successor(spec, reservation, begun)
    yield from plan_sandbox(spec, seen, reservation, begun.cause)
    yield from plan_birth(spec, workload, begun.cause, instance=begun.instance)
    has_note = begun.note is not None
    mode = mode_in_force(spec, seen)
    yield from plan_proof_of_data(spec, reservation, directives, begun, mode, has_note=has_note)


def _plan_giving_up(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the end of a replacement that nobody wants any more, as it has not begun to serve."""
    begun = seen.memory.replacement
    if begun is None:
        return
    cause = "nothing has to be replaced any more"
    yield AbandonReplacement(tenant_name=spec.name, cause=cause)
    if seen.loaded_server:
        instance = seen.memory.instance
        yield ResumeWrites(tenant_name=spec.name, cause=cause, instance=instance)


def _plan_liveness(spec: TenantSpec, seen: Snapshot, container: SeenContainer) -> Iterator[Action]:
    match container.liveness:
        case Liveness.CREATED | Liveness.EXITED:
            cause = (
                "it never started"
                if container.liveness is Liveness.CREATED
                else f"found stopped with exit code {container.exit_code}"
            )
            yield from _plan_room(spec, container)
            yield from plan_clean_start(spec, seen)
            yield from plan_start(spec, seen.memory.instance, cause)
            yield from plan_wish(spec, seen)
        case Liveness.RESTARTING:
            yield from _plan_room(spec, container)
            yield from plan_clean_start(spec, seen)
            yield from _plan_restart(spec, seen, container, "it crashes again and again")
            yield from plan_wish(spec, seen)
        case Liveness.RUNNING | Liveness.PAUSED | Liveness.DEAD:
            if restarted_already(spec, seen):
                yield from plan_wish(spec, seen)


def _plan_room(spec: TenantSpec, container: SeenContainer) -> Iterator[Action]:
    """Yield the wanted limits for a server that is down, maybe because of too tight ones."""
    wanted = roomy(wanted_resources(spec), container)
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
