"""How a hand-over ends: taken back, failed, or won and tidied up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from cachepilot.observe.memory import HandOver, HandOverPhase
from cachepilot.observe.snapshot import (
    Liveness,
    Role,
    SeenContainer,
    SeenServer,
    Snapshot,
)
from cachepilot.plan.actions import (
    Action,
    AwaitRewrite,
    AwaitServer,
    DiscardInstance,
    FinishRestart,
    RememberHandOver,
    RemoveUnused,
    RenameContainer,
    ResumeWrites,
    SaveInBackground,
    SetDirectives,
    StopUnused,
    UpdateResources,
    WriteConfiguration,
)
from cachepilot.plan.birth import PATIENCE
from cachepilot.plan.persistence import configuration_is, mode_in_force
from cachepilot.plan.server_config import FENCE, Directives, render
from cachepilot.plan.shape import wanted_resources
from cachepilot.plan.stopping import plan_thaw
from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.tenant import TenantSpec

_ALIVE = (Liveness.RUNNING, Liveness.PAUSED, Liveness.RESTARTING)
# It holds nothing that is needed, so it need not save.
_AT_ONCE = timedelta(seconds=1)


def is_won(hand_over: HandOver | None) -> bool:
    """Return whether a new server is in charge and what is left of the old one must go."""
    return hand_over is not None and hand_over.phase is HandOverPhase.WON


def plan_withdrawal(spec: TenantSpec, seen: Snapshot, cause: str) -> Iterator[Action]:
    """Yield the end of a hand-over that is not decided, as if it had never begun."""
    begun = seen.memory.hand_over
    if begun is None:
        return
    yield from _end(spec, seen.container(Role.SUCCESSOR), cause)
    yield DiscardInstance(tenant_name=spec.name, cause=cause, instance=begun.instance)
    yield RememberHandOver(tenant_name=spec.name, cause=cause, hand_over=None)


def plan_failure(spec: TenantSpec, seen: Snapshot, why: str) -> Iterator[Action]:
    """Yield the end of a hand-over whose successor is no good; it is not tried again."""
    begun = seen.memory.hand_over
    if begun is None:
        return
    failed = replace(begun, phase=HandOverPhase.FAILED, why=why)
    cause = "the new server is no good"
    yield RememberHandOver(tenant_name=spec.name, cause=cause, hand_over=failed)
    yield from _end(spec, seen.container(Role.SUCCESSOR), cause)
    yield DiscardInstance(tenant_name=spec.name, cause=cause, instance=begun.instance)


def plan_forgetting(spec: TenantSpec, seen: Snapshot, *, needed: bool) -> Iterator[Action]:
    """Yield what is left to clean up after a failure, and its forgetting once it has no cause."""
    begun, successor = seen.memory.hand_over, seen.container(Role.SUCCESSOR)
    if begun is None or begun.phase is not HandOverPhase.FAILED:
        return
    cause = "the new server is no good" if needed else "no other server is needed any more"
    if successor:
        yield from _end(spec, successor, cause)
        yield DiscardInstance(tenant_name=spec.name, cause=cause, instance=begun.instance)
    if not needed:
        yield RememberHandOver(tenant_name=spec.name, cause=cause, hand_over=None)


def plan_reopening(spec: TenantSpec, seen: Snapshot, directives: Directives) -> Iterator[Action]:
    """Yield what lets clients into the old server again, which may have been closed to them.

    First of all the successor goes: it may listen on the very same ports. Clients come before the
    file, which a full disk may refuse. A server that runs but does not answer is waited for, as
    nothing else remembers that it is closed.
    """
    begun, server, instance = seen.memory.hand_over, seen.server, seen.memory.instance
    container = seen.container(Role.SERVER)
    uid = seen.memory.reservation.uid if seen.memory.reservation else 0
    if begun is None:
        return
    cause = "the hand-over was interrupted before it was decided"
    listeners = {name: directives[name] for name in ("port", "tls-port")}
    is_open = isinstance(server, SeenServer) and all(
        server.directive(name) == value for name, value in listeners.items()
    )
    if not is_open:
        yield from _end(spec, seen.container(Role.SUCCESSOR), cause)
    if container and container.liveness is Liveness.PAUSED:
        yield plan_thaw(spec, container)
    answers = isinstance(server, SeenServer)
    runs = container is not None and container.liveness in (Liveness.RUNNING, Liveness.PAUSED)
    if runs and not answers:
        yield AwaitServer(tenant_name=spec.name, cause=cause, instance=instance, patience=PATIENCE)
    if runs or answers:
        yield SetDirectives(
            tenant_name=spec.name,
            cause=cause,
            instance=instance,
            directives=((FENCE, "0"), *listeners.items()),
        )
        yield ResumeWrites(tenant_name=spec.name, cause=cause, instance=instance)
    text = render(directives)
    if not configuration_is(seen, text):
        yield WriteConfiguration(
            tenant_name=spec.name, cause=cause, instance=instance, uid=uid, text=text
        )
    preparing = replace(begun, phase=HandOverPhase.PREPARING)
    yield RememberHandOver(tenant_name=spec.name, cause=cause, hand_over=preparing)


def plan_inheritance(spec: TenantSpec, seen: Snapshot, directives: Directives) -> Iterator[Action]:
    """Yield what is left to do once a successor has won: first for clients, then to tidy up.

    The new server's container gets the name that the old one gives up.
    """
    container, name = seen.container(Role.SERVER), spec.name
    cause, instance = "another server is in charge", seen.memory.instance
    if server := seen.loaded_server:
        listeners = tuple((each, directives[each]) for each in ("port", "tls-port"))
        if any(server.directive(each) != value for each, value in listeners):
            yield SetDirectives(
                tenant_name=name, cause=cause, instance=instance, directives=listeners
            )
        # Whatever else was tidied up already: nothing but an answer proves that it was resumed.
        yield ResumeWrites(tenant_name=name, cause=cause, instance=instance)
    if container and container.resources.restart == "no":
        resources = replace(container.resources, restart=wanted_resources(spec).restart)
        yield UpdateResources(
            tenant_name=name,
            cause=cause,
            container_id=container.container_id,
            resources=resources,
        )
    for old in seen.predecessors:
        yield from _end(spec, old, cause)
    if container and container.name != f"cachepilot-{name}":
        yield RenameContainer(
            tenant_name=name,
            cause=cause,
            container_id=container.container_id,
            role=Role.SERVER,
        )


def plan_dissolution(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the end of every server but the one in charge, of a tenant that is not to serve."""
    cause = f"state is {spec.state}"
    begun = seen.memory.hand_over
    if begun is not None and begun.is_undecided:
        yield from plan_withdrawal(spec, seen, cause)
    for old in seen.predecessors:
        yield from _end(spec, old, cause)


def plan_settlement(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the end of the old server's data, once the new one keeps its own as it should."""
    begun, name, instance = seen.memory.hand_over, spec.name, seen.memory.instance
    if begun is None or seen.loaded_server is None:
        return
    cause, mode = "another server is in charge", mode_in_force(spec, seen)
    if mode is PersistenceMode.AOF:
        yield AwaitRewrite(tenant_name=name, cause=cause, instance=instance)
    if mode is PersistenceMode.RDB:
        yield SaveInBackground(tenant_name=name, cause=cause, instance=instance)
    yield DiscardInstance(tenant_name=name, cause=cause, instance=begun.former)
    if begun.wish is not None and begun.wish != seen.memory.restarted_at:
        cause = "another server serves"
        yield FinishRestart(tenant_name=name, cause=cause, wish=begun.wish)
    yield RememberHandOver(tenant_name=name, cause=cause, hand_over=None)


def _end(spec: TenantSpec, container: SeenContainer | None, cause: str) -> Iterator[Action]:
    if container is None:
        return
    if container.liveness in _ALIVE:
        yield StopUnused(
            tenant_name=spec.name,
            cause=cause,
            container_id=container.container_id,
            timeout=_AT_ONCE,
        )
    yield RemoveUnused(
        tenant_name=spec.name,
        cause=cause,
        container_id=container.container_id,
        digest=container.digest,
    )
