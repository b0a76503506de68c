"""A container that runs off its network: nobody put it there yet, or somebody took it away.

A container is put on its network only once it runs, and the daemon may die in between. Nobody has
to be disturbed to mend that: no client gets in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import Liveness, Role, SeenContainer, Snapshot
from cachepilot.plan.actions import Action, StartContainer
from cachepilot.plan.birth import plan_prerequisites
from cachepilot.plan.containers import plan_name
from cachepilot.plan.shape import bridge_name
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec


def plan_attachment(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, rules: Rules
) -> tuple[tuple[Action, ...], Snapshot]:
    """Return what puts running containers on their network, and *seen* as if that were done.

    Being off it is no reason to make another container. What else is needed a fresh look tells.
    """
    found = ((role, seen.container(role)) for role in (Role.SANDBOX, Role.SERVER))
    off = [(role, container) for role, container in found if container and _is_off(container)]
    if not off or not isinstance(seen.containers, tuple):
        return (), seen
    starts = (action for at in off for action in _put_back(spec, seen, *at))
    bridge = bridge_name(reservation.bridge)
    containers = tuple(
        replace(each, shape=replace(each.shape, bridge=bridge)) if _is_off(each) else each
        for each in seen.containers
    )
    actions = (*plan_prerequisites(spec, seen, reservation, rules), *starts)
    return actions, replace(seen, containers=containers)


def _put_back(
    spec: TenantSpec, seen: Snapshot, role: Role, container: SeenContainer
) -> Iterator[Action]:
    # It is started by its name, which somebody may have taken away as well.
    yield from plan_name(spec, container, role)
    yield StartContainer(
        tenant_name=spec.name,
        cause="it runs off its network",
        role=role,
        instance=seen.memory.instance,
    )


def _is_off(container: SeenContainer) -> bool:
    return container.liveness is Liveness.RUNNING and not container.shape.bridge
