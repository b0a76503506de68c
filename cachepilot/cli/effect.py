"""Waits until a change of documents has taken effect."""

from __future__ import annotations

from cachepilot.adapters.spec_changes import ChangeSet
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.rows import waiting_of
from cachepilot.cli.waiting import READY, Goal, Kind, State, await_all
from cachepilot.spec.document import State as SpecState

_GOALS = {
    SpecState.RUNNING: READY,
    SpecState.STOPPED: Goal(Kind.WORD, "Stopped"),
    SpecState.DELETED: Goal(Kind.GONE, "Deleted"),
}


def await_effect(invocation: Invocation, change_set: ChangeSet, *, timeout: float) -> None:
    """Return when every changed tenant is what its document wants; progress goes to stderr."""

    def tell(state: State) -> None:
        word = state.tenant.word if state.tenant else "Deleted"
        waits = waiting_of(state.tenant).get("message") if state.tenant else None
        invocation.say(f"{state.name}: {word}" + (f"; {waits}" if waits else ""))

    goals = {each.name: _GOALS[each.parsed.spec.state] for each in change_set.changes}
    await_all(invocation, goals, timeout=timeout, told=tell)
