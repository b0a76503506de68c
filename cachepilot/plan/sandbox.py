"""The container that owns a tenant's network and ports, so that servers can take turns in it.

A server shares the network namespace that its sandbox had when the server was started. Whatever
starts the sandbox again gives it another one, so the sandbox always comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import Liveness, Role, SeenContainer, Snapshot
from cachepilot.plan.actions import (
    Action,
    CreateContainer,
    RemoveContainer,
    RestartContainer,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateResources,
)
from cachepilot.plan.drift import shape_drift
from cachepilot.plan.shape import SANDBOX_STOP, wanted_sandbox
from cachepilot.spec.tenant import TenantSpec

_ALIVE = (Liveness.RUNNING, Liveness.PAUSED, Liveness.RESTARTING)


def sandbox_cause(spec: TenantSpec, seen: Snapshot, reservation: Reservation) -> str | None:
    """Return why the tenant needs another sandbox, or none any more; None if all is well."""
    sandbox = seen.container(Role.SANDBOX)
    if not spec.in_sandbox:
        return "it leaves its sandbox" if sandbox else None
    if sandbox is None:
        return "it has no sandbox"
    if sandbox.liveness is Liveness.DEAD:
        return "Docker is removing its sandbox, or gave up"
    wanted, present = wanted_sandbox(spec, reservation).shape, sandbox.shape
    # It only keeps a namespace open, so any image will do, and another one is not worth an outage.
    same_program = replace(wanted, image=present.image, command=present.command)
    drift = shape_drift(same_program, present)
    return f"its sandbox: {drift}" if drift else None


def stranded_cause(seen: Snapshot, container: SeenContainer) -> str | None:
    """Return why *container* is in another namespace than its sandbox, or None.

    The times say so where clients cannot get in; alone, a clock that was set back would accuse a
    server that is well.
    """
    sandbox = seen.container(Role.SANDBOX)
    if sandbox is None or not container.joined:
        return None
    if container.joined != sandbox.container_id:
        return "its sandbox was made anew"
    begun, joined = sandbox.started_at, container.started_at
    locked_out = any(endpoint.problem for endpoint in seen.endpoints)
    running = sandbox.liveness is container.liveness is Liveness.RUNNING
    if running and locked_out and begun and joined and joined < begun:
        return "its sandbox was started again without it"
    return None


def plan_sandbox(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, cause: str
) -> Iterator[Action]:
    """Yield what makes the one right sandbox run, or none; the server must be down or gone."""
    sandbox = seen.container(Role.SANDBOX)
    if sandbox_cause(spec, seen, reservation) is None:
        yield from plan_sandbox_up(spec, seen, reservation)
        return
    if sandbox:
        yield from plan_sandbox_end(spec, seen, cause)
    if spec.in_sandbox:
        workload = wanted_sandbox(spec, reservation)
        instance = seen.memory.instance
        yield CreateContainer(
            tenant_name=spec.name, cause=cause, workload=workload, instance=instance
        )
        yield _start(spec, instance, "just created")


def plan_sandbox_up(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation
) -> Iterator[Action]:
    """Yield what makes a sandbox that has the right shape run."""
    sandbox, server = seen.container(Role.SANDBOX), seen.container(Role.SERVER)
    if sandbox is None:
        return
    # A server that is still in it needs it, even if the spec asks for none any more.
    is_needed = server is not None and server.joined == sandbox.container_id
    if not (spec.in_sandbox or is_needed):
        return
    wanted = wanted_sandbox(spec, reservation).resources
    if sandbox.resources != wanted:
        yield UpdateResources(
            tenant_name=spec.name,
            cause="limits of its sandbox changed",
            container_id=sandbox.container_id,
            resources=wanted,
        )
    match sandbox.liveness:
        case Liveness.CREATED | Liveness.EXITED:
            yield _start(spec, seen.memory.instance, f"its sandbox is {sandbox.liveness}")
        case Liveness.PAUSED:
            yield UnpauseContainer(
                tenant_name=spec.name,
                cause="somebody froze its sandbox",
                container_id=sandbox.container_id,
            )
        case Liveness.RESTARTING:
            yield RestartContainer(
                tenant_name=spec.name,
                cause="its sandbox crashes again and again",
                container_id=sandbox.container_id,
                instance=seen.memory.instance,
                timeout=SANDBOX_STOP,
            )
        case Liveness.RUNNING | Liveness.DEAD:
            pass


def plan_sandbox_end(
    spec: TenantSpec, seen: Snapshot, cause: str, *, keep: bool = False
) -> Iterator[Action]:
    """Yield the stop, if it runs, and the removal of the sandbox, unless it is to be kept."""
    sandbox = seen.container(Role.SANDBOX)
    if sandbox is None:
        return
    if sandbox.liveness in _ALIVE:
        yield StopContainer(
            tenant_name=spec.name,
            cause=cause,
            container_id=sandbox.container_id,
            timeout=SANDBOX_STOP,
        )
    if not keep:
        yield RemoveContainer(
            tenant_name=spec.name,
            cause=cause,
            container_id=sandbox.container_id,
            digest=sandbox.digest,
        )


def _start(spec: TenantSpec, instance: int, cause: str) -> StartContainer:
    return StartContainer(tenant_name=spec.name, cause=cause, role=Role.SANDBOX, instance=instance)
