"""One server takes the place of another and loses nothing, or is taken back.

The new one gets folders of its own: a newer program may rewrite data in a format that the older
one cannot load. It opens no port before its data was compared with what the one before held, so
nobody can have written to a server that is taken back. See ADR 24.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.memory import Memory, Reservation
from cachepilot.observe.replacement import Replacement
from cachepilot.observe.snapshot import Liveness, Role, SeenContainer, Snapshot
from cachepilot.plan.actions import (
    Action,
    BeginReplacement,
    CarryData,
    DiscardInstance,
    ExamineImage,
    NoteData,
    RemoveContainer,
    StageInstance,
    StopContainer,
    SwitchInstance,
    Workload,
    WriteConfiguration,
    WriteUsers,
)
from cachepilot.plan.birth import plan_birth, plan_prerequisites
from cachepilot.plan.guard import data_format_of_server
from cachepilot.plan.held_back import keep, target_of
from cachepilot.plan.logged_writes import logged, plan_logging
from cachepilot.plan.persistence import AOF, NONE, RDB, mode_in_force, plan_clean_start
from cachepilot.plan.sandbox import plan_sandbox
from cachepilot.plan.server_config import (
    Directives,
    closed,
    differences,
    needs_restart,
    render,
)
from cachepilot.plan.shape import engine_of, stop_timeout, wanted_workload
from cachepilot.plan.stopping import must_kill, patience_to_stop, stop_cause
from cachepilot.plan.trial import plan_proof_of_data
from cachepilot.plan.users import wanted_users
from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec

_ALIVE = (Liveness.RUNNING, Liveness.RESTARTING)


def plan_departure(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    rules: Rules,
    directives: Directives,
    memory: Memory,
    cause: str,
    asked: TenantSpec,
) -> Iterator[Action]:
    """Yield the way from the server that is there to its successor on trial, and its proof."""
    container = seen.container(Role.SERVER)
    begun = continued(seen)
    yield from plan_discards(seen)
    yield from plan_prerequisites(spec, seen, reservation, rules)
    if container and seen.image_id != container.image_id:
        yield _examine(spec, seen, cause)
    target, before = target_of(asked), begun
    if begun is None and container is not None:
        begun = _begin(spec, seen, container, cause, target)
    elif begun and begun.target != target:
        # Whatever comes of it is said of what is wanted by now.
        begun = replace(begun, cause=cause, target=target, wish=_wish(spec, seen))
    if begun != before and begun is not None:
        yield BeginReplacement(tenant_name=spec.name, cause=cause, replacement=begun)
    if begun is None:
        return
    noting = container is not None and container.liveness in _ALIVE and bool(seen.loaded_server)
    if noting:
        directives = logged(directives)
    yield from _plan_staging(spec, seen, reservation, directives, memory, begun)
    if container is not None:
        yield from _plan_farewell(spec, seen, rules, memory, container, cause)
    mode = AOF if noting else mode_in_force(spec, seen)
    yield from _plan_hand_over(spec, seen, reservation, begun, container, mode)
    workload = successor(spec, reservation, begun)
    yield from plan_sandbox(spec, seen, reservation, cause)
    yield from plan_birth(spec, workload, cause, instance=begun.instance)
    has_note = noting or begun.note is not None
    yield from plan_proof_of_data(spec, reservation, directives, begun, mode, has_note=has_note)


def departure_cause(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, directives: Directives
) -> str | None:
    """Return why the server that is there has to make room for another, or None."""
    container, wish, server = seen.container(Role.SERVER), spec.restarted_at, seen.loaded_server
    if container is None or seen.memory.on_trial:
        return None
    if cause := stop_cause(spec, seen, reservation, container):
        return cause
    if container.liveness is not Liveness.RUNNING:
        return None
    if wish is not None and wish != seen.memory.restarted_at and not restarted_already(spec, seen):
        return f"restartedAt is {wish}"
    if server is None:
        return None
    stuck = [name for name, _, _ in differences(directives, server) if needs_restart(name)]
    return f"only a restart changes {', '.join(stuck)}" if stuck else None


def restarted_already(spec: TenantSpec, seen: Snapshot) -> bool:
    """Return whether the wish was carried out by a version that could not say so any more."""
    container, begun = seen.container(Role.SERVER), seen.memory.restart_wish
    return bool(
        begun
        and begun[0] == spec.restarted_at
        and container
        and container.started_at
        and container.started_at > begun[1]
    )


def continued(seen: Snapshot) -> Replacement | None:
    """Return the replacement under way, if the server before stopped right behind its note.

    It logged every write, so what it held is on disk then.
    """
    begun, container = seen.memory.replacement, seen.container(Role.SERVER)
    if begun is None or begun.instance == seen.memory.instance:
        return None
    if container is None:
        return begun
    ended = container.finished_at
    rests = container.liveness in (Liveness.EXITED, Liveness.CREATED)
    is_known = begun.note is not None and ended is not None and ended <= begun.note.until
    # One that was killed may lack its last second, which no comparison would forgive.
    is_whole = seen.memory.persistence is AOF and container.exit_code == 0
    return begun if rests and is_known and is_whole else None


def successor(spec: TenantSpec, reservation: Reservation, begun: Replacement) -> Workload:
    """Return the container of the new instance, with room for the data of the one before."""
    workload = wanted_workload(spec, reservation, instance=begun.instance)
    memory = max(workload.resources.memory, begun.kept.memory)
    return replace(workload, resources=replace(workload.resources, memory=memory, swap=memory))


def plan_discards(seen: Snapshot) -> Iterator[Action]:
    """Yield the end of folders that nobody needs any more."""
    for number in seen.memory.outgoing:
        yield DiscardInstance(
            tenant_name=seen.tenant_name, cause="another instance serves", instance=number
        )


def _begin(
    spec: TenantSpec, seen: Snapshot, container: SeenContainer, cause: str, target: str
) -> Replacement:
    before = seen.memory.replacement
    number = before.instance if before else seen.memory.instance + 1
    return Replacement(
        cause=cause,
        target=target,
        wish=_wish(spec, seen),
        former=seen.memory.instance,
        instance=number,
        kept=keep(spec, seen, container),
        begun=seen.at,
        staged=before.staged if before else False,
    )


def _wish(spec: TenantSpec, seen: Snapshot) -> str | None:
    """Return the wish for a restart that is served by a replacement, if there is one."""
    return spec.restarted_at if spec.restarted_at != seen.memory.restarted_at else None


def _examine(spec: TenantSpec, seen: Snapshot, cause: str) -> Action:
    return ExamineImage(
        tenant_name=spec.name,
        cause=cause,
        image=spec.image,
        engine=engine_of(spec.image),
        data_format=data_format_of_server(seen),
    )


def _plan_staging(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    directives: Directives,
    memory: Memory,
    begun: Replacement,
) -> Iterator[Action]:
    name, number, uid, cause = spec.name, begun.instance, reservation.uid, "beside the one in use"
    yield StageInstance(tenant_name=name, cause=cause, instance=number, uid=uid)
    text = render(closed(directives))
    yield WriteConfiguration(tenant_name=name, cause=cause, instance=number, uid=uid, text=text)
    users = wanted_users(spec, memory, seen.at)
    yield WriteUsers(tenant_name=name, cause=cause, instance=number, uid=uid, users=users)


def _plan_farewell(
    spec: TenantSpec,
    seen: Snapshot,
    rules: Rules,
    memory: Memory,
    container: SeenContainer,
    cause: str,
) -> Iterator[Action]:
    """Yield the end of the server before; what it held is noted while nobody can write."""
    name, number, server = spec.name, seen.memory.instance, seen.loaded_server
    if container.liveness not in _ALIVE:
        yield from plan_clean_start(spec, seen)
        return
    if server:
        yield from plan_logging(spec, seen, server, rules, memory=memory, cause=cause)
        pause = 2 * stop_timeout(server.used_memory)
        yield NoteData(tenant_name=name, cause=cause, instance=number, pause=pause)
    yield StopContainer(
        tenant_name=name,
        cause=cause,
        container_id=container.container_id,
        timeout=patience_to_stop(spec, seen),
        kills=must_kill(spec, seen, container),
    )


def _plan_hand_over(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    begun: Replacement,
    container: SeenContainer | None,
    mode: PersistenceMode,
) -> Iterator[Action]:
    name, cause = spec.name, "the server before has stopped"
    if mode is RDB and container and container.exit_code:
        cause = f"the server before ended with exit code {container.exit_code}, maybe unsaved"
    yield CarryData(
        tenant_name=name,
        cause=cause,
        source=begun.former,
        instance=begun.instance,
        uid=reservation.uid,
        dump=mode is RDB or (mode is NONE and seen.memory.load_once),
        append_only=mode is AOF,
    )
    if container is not None:
        yield RemoveContainer(
            tenant_name=name,
            cause=cause,
            container_id=container.container_id,
            digest=container.digest,
        )
    yield SwitchInstance(tenant_name=name, cause=cause, instance=begun.instance)
