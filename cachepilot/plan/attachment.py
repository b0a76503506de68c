"""A container that runs off its network: nobody put it there yet, or somebody took it away.

A container is put on its network only once it runs, and the daemon may die in between. Nobody has
to be disturbed to mend that: no client gets in.
"""

from __future__ import annotations

from dataclasses import replace

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import Liveness, Role, SeenContainer, Snapshot
from cachepilot.plan.actions import Action, StartContainer
from cachepilot.plan.birth import plan_prerequisites
from cachepilot.plan.shape import bridge_name
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec


def plan_attachment(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, rules: Rules
) -> tuple[tuple[Action, ...], Snapshot]:
    """Return what puts running containers on their network, and *seen* as if that were done.

    Being off it is no reason to make another container. What else is needed a fresh look tells.
    """
    off = [role for role in (Role.SANDBOX, Role.SERVER) if _is_off(seen.container(role))]
    if not off or not isinstance(seen.containers, tuple):
        return (), seen
    starts = (
        StartContainer(
            tenant_name=spec.name,
            cause="it runs off its network",
            role=role,
            instance=seen.memory.instance,
        )
        for role in off
    )
    bridge = bridge_name(reservation.bridge)
    containers = tuple(
        replace(each, shape=replace(each.shape, bridge=bridge)) if _is_off(each) else each
        for each in seen.containers
    )
    actions = (*plan_prerequisites(spec, seen, reservation, rules), *starts)
    return actions, replace(seen, containers=containers)


def _is_off(container: SeenContainer | None) -> bool:
    return (
        container is not None
        and container.liveness is Liveness.RUNNING
        and not container.shape.bridge
    )
