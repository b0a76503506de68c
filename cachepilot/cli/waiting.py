"""Waits until published status says what was asked for, about the documents as they are now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cachepilot.adapters.published import PublishedStatus, PublishedTenant, StatusUnreadableError
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.look import no_status, warn_if_stale
from cachepilot.cli.names import no_such_tenant
from cachepilot.cli.wanted import Wanted, WantedDocuments

POLL_SECONDS = 0.2
# These two are listed only while they are True.
_UNLISTED = {"Reconciling": "False", "Stalled": "False"}


class Kind(StrEnum):
    """What can be waited for."""

    CONDITION = "condition"
    WORD = "word"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Goal:
    """A state to wait for: a condition with its status, or the one word of a tenant."""

    kind: Kind
    name: str = ""
    status: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.status}" if self.kind is Kind.CONDITION else self.name

    def is_met(self, tenant: PublishedTenant | None, wanted: Wanted | None) -> bool:
        """Return whether *tenant* is there, speaking about the documents as they are now."""
        if tenant is None or wanted is None:
            is_gone = wanted is None and (tenant is None or tenant.word == self.name)
            return self.kind is Kind.GONE and is_gone
        if self.kind is Kind.CONDITION:
            seen = tenant.condition(self.name).get("status", _UNLISTED.get(self.name))
            # An invalid document has no fingerprint; only its being invalid can be waited for.
            is_verdict = not wanted.digest and self.name == "SpecValid"
            is_current = is_verdict or wanted.is_seen_by(tenant)
            return seen == self.status and is_current
        return tenant.word == self.name and wanted.is_seen_by(tenant)


READY = Goal(Kind.CONDITION, "Ready", "True")
STOPPED = Goal(Kind.WORD, "Stopped")
DELETED = Goal(Kind.GONE, "Deleted")


@dataclass(frozen=True, slots=True)
class State:
    """Where a tenant is, while somebody waits."""

    name: str
    tenant: PublishedTenant | None
    wanted: Wanted | None

    def __str__(self) -> str:
        if self.wanted and self.wanted.problem:
            return f"{self.name}: {self.wanted.problem}"
        if self.tenant is None:
            return f"{self.name}: the daemon has not published anything about it yet"
        if self.wanted is None:
            return f"{self.name}: {self.tenant.word}, but no file holds its document any more"
        if not self.wanted.is_seen_by(self.tenant):
            return f"{self.name}: {self.tenant.word}, but of older files than those there now"
        told = _explanation(self.tenant)
        return f"{self.name}: {self.tenant.word}" + (f" ({told})" if told else "")


def wait_for(
    invocation: Invocation, goals: Mapping[str, Goal], *, timeout: float
) -> Iterator[State]:
    """Yield each tenant's state when its goal is met; return when all are.

    Args:
        invocation: Where to look.
        goals: What to wait for, by name of tenant.
        timeout: Seconds; 0 waits forever.

    Raises:
        CommandError: Time is up, there is no such tenant, or nothing can be read at all.
    """
    published = PublishedStatus(invocation.paths)
    documents = WantedDocuments(invocation.paths, tuple(goals))
    warn_if_stale(invocation, published)
    started, told = invocation.surroundings.monotonic(), dict[str, str]()
    pending = dict(goals)
    while True:
        states = _look(published, documents, pending)
        for name, state in states.items():
            _require_known(state, pending[name], published)
            if pending[name].is_met(state.tenant, state.wanted):
                yield state
                del pending[name]
            elif told.get(name) != str(state):
                told[name] = str(state)
                invocation.say(str(state))
        if not pending:
            return
        if timeout and invocation.surroundings.monotonic() - started >= timeout:
            raise _timed_out([states[name] for name in pending], pending, timeout)
        invocation.surroundings.pause(POLL_SECONDS)


def await_all(
    invocation: Invocation,
    goals: Mapping[str, Goal],
    *,
    timeout: float,
    told: Callable[[State], None] = lambda _: None,
) -> None:
    """Return when all *goals* are met; see :func:`wait_for`."""
    for state in wait_for(invocation, goals, timeout=timeout):
        told(state)


def _look(
    published: PublishedStatus, documents: WantedDocuments, names: Mapping[str, Goal]
) -> dict[str, State]:
    wanted = documents.look()
    try:
        return {name: State(name, published.tenant(name), wanted.get(name)) for name in names}
    except StatusUnreadableError as error:
        raise no_status(error) from error


def _require_known(state: State, goal: Goal, published: PublishedStatus) -> None:
    """Refuse to wait for what nobody ever heard of."""
    if goal.kind is Kind.GONE or state.tenant or state.wanted:
        return
    try:
        known = published.names()
    except StatusUnreadableError:
        known = ()
    raise no_such_tenant(state.name, known)


def _timed_out(states: Sequence[State], goals: Mapping[str, Goal], timeout: float) -> CommandError:
    wanted = ", ".join(dict.fromkeys(str(goals[state.name]) for state in states))
    tenants = f"{len(states)} tenants" if len(states) > 1 else f"tenant {states[0].name}"
    return CommandError(
        f"{tenants} did not become {wanted} within {timeout:g} s",
        exit_code=Exit.TIMED_OUT,
        causes=[str(state) for state in states],
        hint=f"see `cachepilotctl describe tenant {states[0].name}`",
    )


def _explanation(tenant: PublishedTenant) -> str:
    for kind in ("Stalled", "Reconciling", "Ready"):
        seen = tenant.condition(kind)
        if seen and not (kind == "Ready" and seen.get("status") == "True"):
            return str(seen.get("message") or seen.get("reason") or "")
    return ""
