"""The course of a hand-over: what is next, from the first folder to the new server's first write.

Every plan takes it from where it is. What was interrupted before it was decided is either gone on
with, while clients have noticed nothing, or taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from cachepilot.observe.memory import HandOver, HandOverPhase, Memory, Reservation
from cachepilot.observe.snapshot import (
    Liveness,
    Role,
    SeenContainer,
    SeenReplication,
    Snapshot,
)
from cachepilot.plan.actions import (
    Action,
    AwaitServer,
    AwaitSuccessor,
    Blocked,
    CreateContainer,
    DiscardDump,
    DrainServer,
    EnsureImage,
    ExamineImage,
    FenceServer,
    FollowServer,
    OpenSuccessor,
    PrepareFolders,
    RememberHandOver,
    ResumeWrites,
    StartContainer,
    UpdateResources,
    WriteConfiguration,
    WriteUsers,
)
from cachepilot.plan.birth import PATIENCE
from cachepilot.plan.guard import data_format_of_server
from cachepilot.plan.hand_over.ending import (
    plan_failure,
    plan_forgetting,
    plan_reopening,
    plan_withdrawal,
)
from cachepilot.plan.hand_over.need import (
    failed_before,
    hand_over_cause,
    memory_missing,
    must_be_asked_first,
    news_buffer,
    patience_to_copy,
    room_to_copy,
)
from cachepilot.plan.persistence import mode_in_force
from cachepilot.plan.server_config import Directives, fingerprint, render, shut
from cachepilot.plan.shape import PLAIN_PORT, TLS_PORT, engine_of, wanted_workload
from cachepilot.plan.unsafe_stop import plan_end_of_script
from cachepilot.plan.users import wanted_users
from cachepilot.spec.document import PersistenceMode, TenantName
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.upgrade import UpgradeFallback

# Far longer than the rest takes; a daemon that dies in between must not lock clients out for ever.
_PAUSE = timedelta(seconds=10)
_PREPARING, _CLOSING = HandOverPhase.PREPARING, HandOverPhase.CLOSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a hand-over asks for now.

    Attributes:
        actions: To be done instead of starting, stopping or changing the server.
        blocked: Why nothing is done although another server is needed; live changes go on.

    Users and passwords need no step of their own: the new server is born with those that are
    wanted, and proves a new password once it is in charge.
    """

    actions: tuple[Action, ...] = ()
    blocked: Blocked | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a plan knows besides what was seen."""

    spec: TenantSpec
    rules: Rules
    reservation: Reservation
    memory: Memory
    directives: Directives


def plan_hand_over(setting: Setting, seen: Snapshot, *, may_begin: bool) -> Course | None:
    """Return what a hand-over asks for; None where starting and stopping decide."""
    begun = seen.memory.hand_over
    cause = hand_over_cause(setting.spec, seen, setting.reservation, setting.directives)
    if begun is not None and begun.phase is _CLOSING:
        return Course(actions=tuple(plan_reopening(setting.spec, seen, setting.directives)))
    if begun is not None and begun.phase is _PREPARING:
        if seen.loaded_server is None:
            # Whoever serves comes first, and may have to make room for another with that number.
            cause = "the server before has to be looked after"
            return Course(actions=tuple(plan_withdrawal(setting.spec, seen, cause)))
        return Course(actions=tuple(_go_on(setting, seen, begun, cause)))
    # A server that cannot be asked for a moment does not prove that all is well.
    needed = cause is not None or seen.loaded_server is None
    if leftover := tuple(plan_forgetting(setting.spec, seen, needed=needed)):
        return Course(actions=leftover)
    if not may_begin or seen.memory.replacement:
        return None
    if cause is None:
        return _ask_first(setting, seen)
    if blocked := failed_before(seen):
        return Course(blocked=blocked)
    if blocked := memory_missing(setting.spec, seen, setting.rules):
        wants_restart = setting.spec.fallback is UpgradeFallback.RESTART
        return None if wants_restart else Course(blocked=blocked)
    return Course(actions=tuple(_begin(setting, seen, cause)))


def _ask_first(setting: Setting, seen: Snapshot) -> Course | None:
    """Return the wait for a server that has to be handed over; None if none has to be."""
    spec = setting.spec
    may_restart = spec.fallback is UpgradeFallback.RESTART
    if may_restart or not must_be_asked_first(spec, seen, setting.reservation):
        return None
    asks = AwaitServer(
        tenant_name=spec.name,
        cause="another server has to take over from it",
        instance=seen.memory.instance,
        patience=PATIENCE,
    )
    return Course(actions=(*plan_end_of_script(spec, seen), asks))


def _begin(setting: Setting, seen: Snapshot, cause: str) -> Iterator[Action]:
    spec, memory = setting.spec, seen.memory
    if not seen.image_exists:
        yield EnsureImage(tenant_name=spec.name, cause=cause, image=spec.image)
    container = seen.container(Role.SERVER)
    if container and seen.image_id != container.image_id:
        yield ExamineImage(
            tenant_name=spec.name,
            cause=cause,
            image=spec.image,
            engine=engine_of(spec.image),
            data_format=data_format_of_server(seen),
        )
    begun = HandOver(
        phase=_PREPARING,
        # Folders with a lower number may still have to go.
        instance=max(memory.instance, *memory.outgoing, 0) + 1,
        former=memory.instance,
        since=seen.at,
        generation=memory.generation,
        wish=spec.restarted_at,
    )
    yield RememberHandOver(tenant_name=spec.name, cause=cause, hand_over=begun)
    yield from _make(setting, seen, begun, cause)
    yield from _take_over(setting, seen, begun, cause)


def _go_on(
    setting: Setting, seen: Snapshot, begun: HandOver, cause: str | None
) -> Iterator[Action]:
    """Yield what comes after what was seen; whatever does not fit any more is taken back."""
    spec, container = setting.spec, seen.container(Role.SERVER)
    if cause is None:
        yield from plan_withdrawal(spec, seen, "it is not needed any more")
        return
    if container and container.started_at and container.started_at > begun.since:
        yield from plan_withdrawal(spec, seen, "the server was started again meanwhile")
        return
    successor = seen.container(Role.SUCCESSOR)
    if successor and (outdated := _outdated(setting, seen, begun, successor)):
        yield from plan_withdrawal(spec, seen, outdated)
        return
    if successor and (failure := _failure(spec, seen, successor)):
        yield from plan_failure(spec, seen, failure)
        return
    said = seen.successor.replication if seen.successor else None
    if isinstance(said, SeenReplication):
        if not said.follows or not (said.link_up or said.has_password):
            yield _follow(setting, seen, begun, cause)
    else:
        yield from _make(setting, seen, begun, cause)
    yield from _take_over(setting, seen, begun, cause)


def _outdated(setting: Setting, seen: Snapshot, begun: HandOver, successor: SeenContainer) -> str:
    """Return why the successor is not the one that is wanted now, or empty."""
    wanted = wanted_workload(setting.spec, setting.reservation, instance=begun.instance)
    text = render(shut(setting.directives))
    written = seen.successor.configuration if seen.successor else None
    if wanted.shape != successor.shape or written != fingerprint(text):
        return "another server is wanted by now"
    return ""


def _failure(spec: TenantSpec, seen: Snapshot, successor: SeenContainer) -> str:
    """Return why the successor will never take over, or empty."""
    words = successor.error or successor.last_words
    last = f"; its last words: {words}" if words else ""
    if successor.liveness is Liveness.CREATED and successor.error:
        return f"the new server of {spec.name} cannot be started{last}"
    if successor.liveness not in (Liveness.CREATED, Liveness.RUNNING):
        return f"the new server of {spec.name} is {successor.liveness}{last}"
    # Since it runs, and not since we began: we may have been away.
    since = successor.started_at or seen.at
    said = seen.successor.replication if seen.successor else None
    waits = not isinstance(said, SeenReplication) or (said.has_password and not said.link_up)
    is_late = seen.at - since > patience_to_copy(spec, seen)
    if successor.liveness is Liveness.RUNNING and waits and is_late:
        return f"the new server of {spec.name} did not get the data in time{last}"
    return ""


def _make(setting: Setting, seen: Snapshot, begun: HandOver, cause: str) -> Iterator[Action]:
    """Yield what makes a successor run, closed to clients, and replicate."""
    spec, name, instance = setting.spec, setting.spec.name, begun.instance
    uid = setting.reservation.uid
    yield PrepareFolders(tenant_name=name, cause=cause, instance=instance, uid=uid)
    text = render(shut(setting.directives))
    yield _write(setting, instance, cause, text)
    yield WriteUsers(
        tenant_name=name,
        cause=cause,
        instance=instance,
        uid=uid,
        users=wanted_users(spec, setting.memory, seen.at),
    )
    yield from _give_room(setting, seen, cause)
    workload = wanted_workload(spec, setting.reservation, instance=instance, role=Role.SUCCESSOR)
    # Docker must not start it at a boot before it has won.
    asleep = replace(workload, resources=replace(workload.resources, restart="no"))
    yield CreateContainer(tenant_name=name, cause=cause, workload=asleep, instance=instance)
    yield StartContainer(tenant_name=name, cause=cause, role=Role.SUCCESSOR, instance=instance)
    yield AwaitServer(tenant_name=name, cause=cause, instance=instance, patience=PATIENCE)
    yield _follow(setting, seen, begun, cause)


def _give_room(setting: Setting, seen: Snapshot, cause: str) -> Iterator[Action]:
    """Yield more memory for the old server, which forks to be copied; it goes away with it."""
    container = seen.container(Role.SERVER)
    if container is None:
        return
    present = container.resources
    memory = setting.spec.memory_limit + room_to_copy(setting.spec, seen, setting.rules)
    if present.memory < memory:
        yield UpdateResources(
            tenant_name=setting.spec.name,
            cause=cause,
            container_id=container.container_id,
            resources=replace(present, memory=memory, swap=memory),
        )


def _follow(setting: Setting, seen: Snapshot, begun: HandOver, cause: str) -> Action:
    encrypted = setting.spec.access.has_tls
    return FollowServer(
        tenant_name=setting.spec.name,
        cause=cause,
        instance=begun.instance,
        leader=seen.memory.instance,
        port=TLS_PORT if encrypted else PLAIN_PORT,
        encrypted=encrypted,
        buffer=news_buffer(setting.spec),
    )


def _take_over(setting: Setting, seen: Snapshot, begun: HandOver, cause: str) -> Iterator[Action]:
    """Yield the decision and what makes it safe; the order is that of ADR 25."""
    name, old, new = setting.spec.name, seen.memory.instance, begun.instance
    directives = setting.directives
    yield AwaitSuccessor(
        tenant_name=name, cause=cause, instance=new, leader=old, patience=PATIENCE
    )
    if mode_in_force(setting.spec, seen) is PersistenceMode.NONE:
        # It came with the copy, and a later start would load it.
        yield DiscardDump(tenant_name=name, cause=cause, instance=new)
    yield _remember(name, cause, replace(begun, phase=_CLOSING))
    yield _write(setting, old, cause, render(shut(directives)))
    yield DrainServer(tenant_name=name, cause=cause, instance=old, successor=new, pause=_PAUSE)
    listeners = tuple((each, directives[each]) for each in ("port", "tls-port"))
    yield OpenSuccessor(tenant_name=name, cause=cause, instance=new, listeners=listeners)
    yield FenceServer(tenant_name=name, cause=cause, instance=old, successor=new)
    yield _remember(name, cause, replace(begun, phase=HandOverPhase.WON))
    yield ResumeWrites(tenant_name=name, cause=cause, instance=new)
    # Clients need not wait for it: only we start this server, and write its file before.
    yield _write(setting, new, cause, render(directives))


def _write(setting: Setting, instance: int, cause: str, text: str) -> Action:
    return WriteConfiguration(
        tenant_name=setting.spec.name,
        cause=cause,
        instance=instance,
        uid=setting.reservation.uid,
        text=text,
    )


def _remember(name: TenantName, cause: str, hand_over: HandOver) -> Action:
    return RememberHandOver(tenant_name=name, cause=cause, hand_over=hand_over)
