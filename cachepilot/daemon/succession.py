"""The one piece of work that concerns all tenants at once: one root follows another."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import assert_never

from cachepilot import clock
from cachepilot.apply.authority_port import AuthorityWriter
from cachepilot.daemon.logging import Logger
from cachepilot.errors import CachePilotError
from cachepilot.observe.snapshot import SeenAuthority
from cachepilot.plan import succession as s
from cachepilot.spec.document import TenantName
from cachepilot.status.conditions import TenantStatus
from cachepilot.status.holders import holder_of
from cachepilot.status.ports import EventLog

_SOON, _LATER = 2.0, 60.0
_MOST_STEPS = 8


class Succession:
    """Takes the steps that :mod:`cachepilot.plan.succession` decides, and asks for visits.

    Args:
        look: Returns the state of the authority.
        writer: Carries a step out.
        names: Returns everybody who is known.
        status: Returns the newest status of a tenant that this daemon has visited.
        visit: Asks for a visit.
        events: Where each step is told.
        log: The daemon's logger.
    """

    def __init__(
        self,
        *,
        look: Callable[[], SeenAuthority],
        writer: AuthorityWriter,
        names: Callable[[], Collection[TenantName]],
        status: Callable[[TenantName], TenantStatus | None],
        visit: Callable[[TenantName], None],
        events: EventLog,
        log: Logger,
    ) -> None:
        self._look = look
        self._writer = writer
        self._names = names
        self._status = status
        self._visit = visit
        self._events = events
        self._log = log
        self._asked: set[tuple[object, str]] = set()
        self._complaint = ""
        self.progress = s.Progress()
        self.problem = ""

    def turn(self, terms: s.SuccessionTerms) -> float:
        """Go on as far as possible; return the seconds until the next turn."""
        try:
            self._go_on(terms)
        except CachePilotError as error:
            self._complain(str(error))
            return _SOON
        if not self.problem:
            self._complaint = ""
        if self._look().rotation is None:
            return _LATER
        until = self.progress.until
        if until is None or self.progress.waits_for:
            return _SOON
        left = (until - clock.utc_now()).total_seconds()
        return min(max(left, _SOON), _LATER)

    def _go_on(self, terms: s.SuccessionTerms) -> None:
        for _ in range(_MOST_STEPS):
            seen = self._look()
            self.problem = seen.rotation.problem if seen.rotation else ""
            self.progress = s.next_step(seen, terms, self._holders(seen), clock.utc_now())
            if self.progress.step is None:
                break
            self._take(self.progress.step)
        if self.problem:
            self._complain(self.problem)
        self._ask_for_visits(self._look())

    def _take(self, step: s.Step) -> None:
        writer, now = self._writer, clock.utc_now()
        match step:
            case s.BeginRotation(by_wish=by_wish):
                writer.begin(by_wish=by_wish, now=now)
            case s.JoinRoot():
                writer.join(now=now)
            case s.AnnounceRoot():
                writer.announce(now=now)
            case s.PromoteRoot(served=served):
                writer.promote(served=served, now=now)
            case s.ReleaseRoot():
                writer.release(now=now)
            case s.DropRoot():
                writer.drop(now=now)
            case s.RemoveRoot():
                writer.remove()
            case _:
                assert_never(step)
        kind, text = type(step).__name__, s.tell(step)
        self._log.info("performed", action=kind, detail=text)
        # Both ask a person for something: time to think of it, and time to hand out the bundle.
        asks = isinstance(step, s.BeginRotation | s.AnnounceRoot)
        self._events.record(at=now, tenant_name=None, warning=asks, reason=kind, message=text)

    def _holders(self, seen: SeenAuthority) -> tuple[s.Holder, ...]:
        """Return who has to prove something; nobody is asked while nothing goes on."""
        if seen.rotation is None:
            return ()
        found = (holder_of(name, self._status(name)) for name in self._names())
        return tuple(each for each in found if each)

    def _ask_for_visits(self, seen: SeenAuthority) -> None:
        """Ask once for a visit of everybody who is waited for; later ones come by themselves."""
        phase = seen.rotation.phase if seen.rotation else None
        self._asked = {each for each in self._asked if each[0] == phase}
        for name in self.progress.waits_for:
            if (phase, name) not in self._asked:
                self._asked.add((phase, name))
                self._visit(TenantName(name))

    def _complain(self, words: str) -> None:
        self.problem = words
        if self._complaint != words:
            self._complaint = words
            self._log.error("cannot go on with the rotation of the root", detail=words)
            self._events.record(
                at=clock.utc_now(),
                tenant_name=None,
                warning=True,
                reason="AuthorityRotationBroken",
                message=words,
            )
