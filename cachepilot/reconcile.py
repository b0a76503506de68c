"""One visit to one tenant: read, look, plan, act, and always say so."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never

from cachepilot.apply.executor import Onlooker, perform_all
from cachepilot.apply.outcome import Done, Failed, Outcome, Stalled, Waiting
from cachepilot.apply.ports import Writers
from cachepilot.errors import CachePilotError
from cachepilot.observe.collect import Questions, collect
from cachepilot.observe.memory import Memory
from cachepilot.observe.ports import Readers
from cachepilot.observe.snapshot import Snapshot, Unknown
from cachepilot.plan.actions import Action, Blocked, Plan, RememberDocument, Retire
from cachepilot.plan.holding import Turn
from cachepilot.plan.in_force import spec_in_force
from cachepilot.plan.logins import customer_logins, list_password_files
from cachepilot.plan.planner import plan_lifting, plan_tenant
from cachepilot.plan.rotation import next_rotation_step
from cachepilot.plan.server_config import managed_directives
from cachepilot.plan.trial import goes_back
from cachepilot.plan.users import expected_users
from cachepilot.spec.document import State, TenantName
from cachepilot.spec.ports import SpecSource
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from cachepilot.status.conditions import TenantStatus
from cachepilot.status.ports import StatusStore
from cachepilot.status.summarize import Visit, summarize

# A plan ends where only a fresh look can tell what is next; eight plans finish every change, also
# one in the middle of another: thaw, end what was begun, hand over or replace, take back what
# failed, start what was before, tidy up, change live, and end what the change has replaced. More
# would hide a plan that undoes itself. The last look only looks.
_ROUNDS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that a visit touches."""

    source: SpecSource
    readers: Readers
    writers: Writers
    status: StatusStore
    utc_now: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all visits until the settings change."""

    rules: Rules
    settings_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeue:
    """When to look again.

    Attributes:
        after: A pause chosen by what we wait for; the next resync ends it, too.
        failed: Whether pauses should grow.
        ended: Whether there is nobody to look at: neither a document nor a record.
    """

    after: timedelta | None = None
    failed: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitResult:
    """What the loop learns from a visit."""

    status: TenantStatus
    requeue: Requeue
    outcomes: tuple[Outcome, ...]
    seen_at: datetime


def reconcile(
    name: TenantName,
    world: World,
    terms: Terms,
    *,
    onlooker: Onlooker,
    turn: Turn = Turn.ITS_OWN,
) -> VisitResult:
    """Visit one tenant once; status is published whatever happens.

    Args:
        name: Whom to visit.
        world: What to touch.
        terms: The settings of the host.
        onlooker: Told of each effect as it happens.
        turn: Who may take new defaults of the host that need a restart.
    """
    reading = world.source.read(name)
    errand = _Errand(
        name=name, reading=reading, world=world, terms=terms, onlooker=onlooker, turn=turn
    )
    started = world.utc_now()
    visit, outcomes = errand.run()
    return VisitResult(
        status=errand.say(visit),
        requeue=next_visit(visit),
        outcomes=outcomes,
        seen_at=visit.seen.at if visit.seen else started,
    )


def next_visit(visit: Visit) -> Requeue:
    """Translate how a visit ended into the queue's language."""
    if visit.is_of_nobody:
        return Requeue(ended=True)
    last = visit.outcomes[-1] if visit.outcomes else None
    match last:
        case Waiting(retry_after=pause):
            return Requeue(after=pause)
        case Failed():
            return Requeue(failed=True)
        case Stalled() | Done() | None:
            unfinished = bool(visit.plan.actions) or bool(visit.trouble)
            unsure = visit.seen is not None and isinstance(visit.seen.containers, Unknown)
            if unfinished or unsure or not _is_settled(visit):
                return Requeue(failed=True)
            return Requeue(after=_until_next_step(visit))
        case _:
            assert_never(last)


def _is_settled(visit: Visit) -> bool:
    """Return whether only a person or an event could change anything."""
    spec, seen = visit.spec, visit.seen
    if spec is None or seen is None or spec.paused:
        return True
    if not spec.serves:
        return visit.plan.blocked is None
    answers = seen.server is not None and not hasattr(seen.server, "why")
    return visit.plan.blocked is None and answers and not any(e.problem for e in seen.endpoints)


def _until_next_step(visit: Visit) -> timedelta | None:
    """Return how long nothing has to be done, if a plan already knows."""
    if visit.spec is None or visit.seen is None or not visit.spec.serves or visit.spec.paused:
        return None
    rotation = next_rotation_step(visit.spec, visit.memory)
    opening = visit.plan.held.until if visit.plan.held else None
    step = min((each for each in (rotation, opening) if each), default=None)
    return max(step - visit.seen.at, timedelta(seconds=1)) if step else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand:
    """One visit under way: whom, what the folder says, what to touch, and by which rules."""

    name: TenantName
    reading: Reading
    world: World
    terms: Terms
    onlooker: Onlooker
    turn: Turn

    def run(self) -> tuple[Visit, tuple[Outcome, ...]]:
        """Carry the visit out; whatever goes wrong is part of what it came to know."""
        visit = Visit(
            tenant_name=self.name,
            reading=self.reading,
            spec=self.reading.spec,
            memory=Memory(),
            seen=None,
            plan=Plan(),
            outcomes=(),
            was_known=self._was_known(),
        )
        try:
            memory = self.world.readers.memory.recall(self.name)
            spec = spec_in_force(self.reading, memory, self.terms.rules)
            visit = replace(visit, memory=memory, spec=spec)
            if spec is None:
                return visit, ()
            outcomes = self._remember(memory, spec)
            if outcomes and not isinstance(outcomes[-1], Done):
                return replace(visit, outcomes=outcomes), outcomes
            return self._converge(visit, spec, outcomes)
        except CachePilotError as error:
            reason = getattr(error, "reason", "")
            plan = Plan(blocked=Blocked(reason=reason, message=str(error))) if reason else Plan()
            return replace(visit, trouble=str(error), plan=plan), ()
        except Exception as error:  # noqa: BLE001 - a status that went on saying Ready would lie
            return replace(visit, trouble=f"cannot finish the visit: {place_of(error)}"), ()

    def say(self, visit: Visit) -> TenantStatus:
        """Publish what *visit* came to know so far; nothing stays published about nobody."""
        status = summarize(
            visit,
            self.world.status.read(self.name),
            rules=self.terms.rules,
            settings_digest=self.terms.settings_digest,
            now=self.world.utc_now(),
        )
        if visit.is_of_nobody:
            self.world.status.withdraw(self.name)
        else:
            self.world.status.publish(status)
        return status

    def _was_known(self) -> bool:
        before = self.world.status.read(self.name)
        return before is not None and before.generation > 0

    def _converge(
        self, visit: Visit, spec: TenantSpec, done: tuple[Outcome, ...]
    ) -> tuple[Visit, tuple[Outcome, ...]]:
        """Look, plan and act until nothing is left, an action is not Done, or rounds run out."""
        outcomes: tuple[Outcome, ...] = ()
        for last_round in (*[False] * (_ROUNDS - 1), True):
            seen = self._look(spec)
            plan = plan_tenant(spec, seen, self.terms.rules, seen.at, turn=self.turn)
            visit = replace(visit, seen=seen, memory=seen.memory, plan=plan, outcomes=outcomes)
            ended = bool(outcomes) and not isinstance(outcomes[-1], Done)
            if ended and not last_round and goes_back(spec, seen):
                ended = False  # nobody serves until it is taken back
            if ended:
                self._perform(plan_lifting(spec, seen))
            if last_round or ended or not plan.actions:
                break
            outcomes = self._carry_out(visit)
            done += outcomes
        return visit, done

    def _carry_out(self, visit: Visit) -> tuple[Outcome, ...]:
        """Perform the plan; an outage is published while it lasts, not once it is over."""
        first = visit.plan.harmless
        rest = visit.plan.actions[len(first) :]
        outcomes = self._perform(first)
        if not rest or not all(isinstance(outcome, Done) for outcome in outcomes):
            return outcomes
        self.say(replace(visit, acting=True))
        return outcomes + self._perform(rest)

    def _look(self, spec: TenantSpec) -> Snapshot:
        questions = Questions(
            image=spec.image,
            bind=spec.bind,
            password_files=list_password_files(spec),
            listeners=spec.listeners,
            directives=managed_directives(spec),
            users=expected_users(spec),
            logins=customer_logins(spec),
            grace=spec.grace,
            gateways=self.terms.rules.network.gateways,
        )
        return collect(self.name, questions, self.world.readers, now=self.world.utc_now())

    def _remember(self, memory: Memory, spec: TenantSpec) -> tuple[Outcome, ...]:
        """Keep a new document, or the end of one, before anything is done because of it."""
        action = self._retirement(memory, spec) or self._news(memory)
        return self._perform((action,)) if action else ()

    def _perform(self, actions: tuple[Action, ...]) -> tuple[Outcome, ...]:
        return perform_all(
            actions, self.world.writers, now=self.world.utc_now(), onlooker=self.onlooker
        )

    def _retirement(self, memory: Memory, spec: TenantSpec) -> Action | None:
        ends = spec.state is State.DELETED and self.reading.presence is Presence.ABSENT
        if memory.retired or not ends:
            return None
        return Retire(tenant_name=self.name, cause="its file is gone for good")

    def _news(self, memory: Memory) -> Action | None:
        reading = self.reading
        changed = reading.digest != memory.document_digest
        if reading.spec is None or not (
            changed or reading.source != memory.source or memory.retired
        ):
            return None
        return RememberDocument(
            tenant_name=self.name,
            cause="the document changed" if changed else "the document moved or came back",
            generation=memory.generation + (1 if changed else 0),
            digest=reading.digest,
            source=reading.source,
            document=reading.json,
        )


def place_of(error: Exception) -> str:
    """Return the type and place of an unexpected error; its text may quote a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
