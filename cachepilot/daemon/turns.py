"""Whose turn it is to take new defaults: what is known of the fleet, decided, kept, and told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cachepilot.daemon.fleet import Fleet
from cachepilot.daemon.logging import Logger
from cachepilot.errors import CachePilotError
from cachepilot.observe.snapshot import Unknown
from cachepilot.plan.awaited import list_awaited, list_unseen
from cachepilot.plan.holding import Turn
from cachepilot.plan.rollout import Member, Policy, Rollout, aligned, decide, share_of
from cachepilot.settings import Settings
from cachepilot.spec.document import TenantName
from cachepilot.status.conditions import ConditionStatus, ConditionType, TenantStatus
from cachepilot.status.host import RolloutStatus
from cachepilot.status.ports import EventLog

CANARY_LABEL = "cachepilot/canary"
# What is under way settles or is late; what waits may find room without anybody telling us.
_BUSY, _WAITING, _IDLE = 1.0, 5.0, 3600.0
# Reasons of Reconciling that say why nothing moves.
_OBSTACLES = frozenset({"Retrying", "Waiting"})


class RolloutStore(Protocol):
    """Keeps durably how far a rollout has come."""

    def load(self) -> Rollout:
        """Return what was kept last."""

    def save(self, rollout: Rollout) -> None:
        """Keep it, and return once a power cut cannot undo it."""


@dataclass(frozen=True, slots=True)
class RolloutProblem:
    """What a person must know of the rollout."""

    reason: str
    message: str


class Turns:
    """Decides whose turn it is, and remembers it across daemons.

    Args:
        store: Where decisions are kept before anybody acts on them.
        fleet: The newest status of everybody.
        names: Everybody with a document or a record, also whom nobody has looked at yet.
        settings: Those in force.
        events: Where news go.
        log: The daemon's logger.
        utc_now: The time.
    """

    def __init__(
        self,
        store: RolloutStore,
        fleet: Fleet,
        names: Callable[[], Collection[TenantName]],
        settings: Settings,
        events: EventLog,
        log: Logger,
        *,
        utc_now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._names = names
        self._events = events
        self._log = log
        self._utc_now = utc_now
        self._lock = threading.Lock()
        self._rollout = Rollout()
        self._trouble = "nobody has looked yet"
        self._policy, self._target, self._digest = _terms(settings)

    def begin(self) -> None:
        """Go on where the daemon before stopped."""
        with self._lock:
            self._load()

    def use_settings(self, settings: Settings) -> None:
        """Take new settings; from now on nobody takes defaults on an earlier decision."""
        with self._lock:
            self._policy, self._target, self._digest = _terms(settings)
            self._rollout = aligned(self._rollout, self._policy, self._target)

    def turn_of(self, name: TenantName) -> Turn:
        """Return what the tenant called *name* may do about new defaults now."""
        with self._lock:
            return Turn.NOBODYS if self._trouble else self._rollout.turn_of(name)

    def concern(self, status: TenantStatus) -> bool:
        """Return whether a visit that ended with *status* may change whose turn it is."""
        waits = status.waiting is not None and status.waiting.reason == "WaitingForTurn"
        return waits or any(each.name == status.tenant_name for each in self._rollout.under_way)

    def decide(self) -> tuple[tuple[TenantName, ...], float]:
        """Decide anew; return whom to visit because of it, and in how many seconds to come back.

        A decision that cannot be kept is none.
        """
        with self._lock:
            if self._trouble and not self._load():
                return (), _WAITING
            members = tuple(self._members())
            before, now = self._rollout, self._utc_now()
            after = decide(members, self._policy, self._target, before, now)
            if not self._save(before, after):
                return (), _WAITING
            self._rollout = after
        names = self._tell(before, after, now, members)
        if after.under_way and not after.halted:
            return names, _BUSY
        return names, _IDLE if after.complete else _WAITING

    def status(self) -> RolloutStatus:
        """Return how far it has come."""
        with self._lock:
            rollout, members = self._rollout, tuple(self._members())
        waiting = sum(member.waits for member in members)
        serving = [member for member in members if member.counts]
        canaries = share_of(self._policy.canary, len(serving), up=True)
        awaited = list_awaited(members, self._policy, rollout)
        phase = "looking" if awaited else "idle"
        if rollout.halted:
            phase = "halted"
        elif waiting or rollout.under_way:
            phase = "canary" if len(rollout.passed) < canaries else "batches"
        obstacles = {member.name: member.trouble or member.obstacle for member in members}
        return RolloutStatus(
            phase=phase,
            rollout=rollout,
            obstacles=tuple(
                (each.name, obstacles[each.name])
                for each in rollout.under_way
                if obstacles.get(each.name)
            ),
            waiting=waiting,
            windows=sum(member.waits_for_window for member in members),
            unready=sum(not member.is_ready for member in serving),
            resting=len(members) - len(serving),
            awaited=awaited,
            unseen=tuple((member.name, member.message) for member in list_unseen(members)),
        )

    @property
    def problem(self) -> RolloutProblem | None:
        """What a person must know: why it is halted, or cannot be kept."""
        if self._trouble:
            return RolloutProblem(reason="RolloutUnreadable", message=self._trouble)
        if halted := self._rollout.halted:
            message = (
                f"new defaults harmed {halted.name}: {halted.message}; nobody else takes them "
                "until the defaults, or rollout.resumedAt, change in the settings"
            )
            return RolloutProblem(reason="RolloutHalted", message=message)
        return None

    def _load(self) -> bool:
        try:
            loaded = self._store.load()
        except CachePilotError as error:
            if self._trouble != str(error):
                self._log.error("cannot go on with the rollout", error=str(error))
            self._trouble = str(error)
            return False
        self._trouble, self._rollout = "", aligned(loaded, self._policy, self._target)
        return True

    def _save(self, before: Rollout, after: Rollout) -> bool:
        if after == before:
            return True
        try:
            self._store.save(after)
        except CachePilotError as error:
            self._log.error("cannot keep the rollout", error=str(error))
            return False
        return True

    def _members(self) -> Iterator[Member]:
        statuses = self._fleet.statuses()
        for status in statuses:
            yield _member(status, self._digest)
        for name in sorted(set(self._names()) - {status.tenant_name for status in statuses}):
            yield Member(
                name=name,
                seen_at=None,
                is_blind=False,
                counts=True,
                is_ready=False,
                message="",
                waits=False,
                waits_for_window=False,
                trouble="",
                obstacle="",
                volunteers=False,
            )

    def _tell(
        self, before: Rollout, after: Rollout, now: datetime, members: tuple[Member, ...]
    ) -> tuple[TenantName, ...]:
        """Tell what was decided; return whom that concerns."""
        known = {each.name for each in before.under_way}
        going = tuple(each.name for each in after.under_way if each.name not in known)
        for name in going:
            message = "its turn to take the new defaults of the host"
            self._events.record(
                at=now, tenant_name=name, warning=False, reason="RolloutTurn", message=message
            )
        if before.halted == after.halted:
            return going
        if problem := self.problem:
            self._log.warning("the rollout is halted", detail=problem.message)
            self._events.record(
                at=now,
                tenant_name=None,
                warning=True,
                reason=problem.reason,
                message=problem.message,
            )
        # Whoever waits is to be told what for.
        return (*going, *(member.name for member in members if member.waits))


def _terms(settings: Settings) -> tuple[Policy, str, str]:
    return settings.rollout_policy(), settings.rollout_target(), settings.digest


def _member(status: TenantStatus, settings_digest: str) -> Member:
    is_current, seen = status.settings_digest == settings_digest, status.snapshot
    # An engine that does not answer says nothing about anybody, least of all that they have it.
    lost = seen.containers.why if seen and isinstance(seen.containers, Unknown) else ""
    was_seen = is_current and seen is not None and not lost
    ready, stalled, trying = (
        status.condition(ConditionType.READY),
        status.condition(ConditionType.STALLED),
        status.condition(ConditionType.RECONCILING),
    )
    told = ready if was_seen else stalled or trying or ready
    reason = status.waiting.reason if status.waiting and was_seen else ""
    spec = status.spec
    # A text that cannot be used says nothing about the server that goes on.
    is_harmed = stalled is not None and stalled.reason != "SpecInvalid"
    is_ready = ready is not None and ready.status is ConditionStatus.TRUE
    return Member(
        name=status.tenant_name,
        seen_at=status.observed_at if was_seen else None,
        is_blind=is_current and seen is None,
        counts=spec is not None and spec.serves and not spec.paused,
        is_ready=is_ready,
        message=lost or (told.message if is_current and told and not is_ready else ""),
        waits=reason == "WaitingForTurn",
        waits_for_window=reason == "WaitingForWindow",
        trouble=stalled.message if stalled and is_harmed else "",
        obstacle=trying.message if was_seen and trying and trying.reason in _OBSTACLES else "",
        volunteers=dict(status.labels).get(CANARY_LABEL) == "true",
    )
