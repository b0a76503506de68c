"""Making and starting a container, whatever it takes the place of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import Resources, Role, SeenContainer, Snapshot
from cachepilot.plan.actions import (
    Action,
    AwaitServer,
    CreateContainer,
    EnsureImage,
    EnsureNetwork,
    StartContainer,
    Workload,
)
from cachepilot.plan.shape import bridge_name
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec

# A server that loads for longer, or crashes, must not keep a worker from the other tenants.
PATIENCE = timedelta(seconds=5)


def plan_prerequisites(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, rules: Rules
) -> Iterator[Action]:
    """Yield what a container needs of the engine before it can be made."""
    if not seen.image_exists:
        cause = "the container needs it"
        yield EnsureImage(tenant_name=spec.name, cause=cause, image=spec.image)
    if reservation.bridge < len(rules.network.subnets):
        yield EnsureNetwork(
            tenant_name=spec.name,
            cause="the container needs it",
            bridge=bridge_name(reservation.bridge),
            subnet=rules.network.subnets[reservation.bridge],
        )


def plan_birth(
    spec: TenantSpec, workload: Workload, cause: str, *, instance: int
) -> Iterator[Action]:
    """Yield a new container that answers."""
    yield CreateContainer(tenant_name=spec.name, cause=cause, workload=workload, instance=instance)
    yield from plan_start(spec, instance, "just created")


def plan_start(spec: TenantSpec, instance: int, cause: str) -> Iterator[Action]:
    """Yield the start of the container that is there, until it answers."""
    yield StartContainer(tenant_name=spec.name, cause=cause, role=Role.SERVER, instance=instance)
    yield AwaitServer(
        tenant_name=spec.name, cause="just started", instance=instance, patience=PATIENCE
    )


def roomy(wanted: Resources, container: SeenContainer) -> Resources:
    """Return *wanted* with no less memory than the container has: what it holds must still load.

    A limit shrinks only below a running server that has given the memory back.
    """
    memory = max(wanted.memory, container.resources.memory)
    return replace(wanted, memory=memory, swap=memory)
