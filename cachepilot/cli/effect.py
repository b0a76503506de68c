"""Waits until a change of documents has taken effect."""

from __future__ import annotations

from cachepilot.adapters.spec_changes import ChangeSet
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.rows import waiting_of
from cachepilot.cli.waiting import Goal, Kind, State, await_all
from cachepilot.spec.document import State as SpecState

# Words and not conditions: a server may serve on while what was asked for cannot be had.
_PAUSED = Goal(Kind.WORD, "Paused")
_GOALS = {
    SpecState.RUNNING: Goal(Kind.WORD, "Ready"),
    SpecState.STOPPED: Goal(Kind.WORD, "Stopped"),
    SpecState.DELETED: Goal(Kind.GONE, "Deleted"),
}


def await_effect(invocation: Invocation, change_set: ChangeSet, *, timeout: float) -> None:
    """Return when every changed tenant is what its document wants; progress goes to stderr."""

    def tell(state: State) -> None:
        word = state.tenant.word if state.tenant else "Deleted"
        waits = waiting_of(state.tenant).get("message") if state.tenant else None
        invocation.say(f"{state.name}: {word}" + (f"; {waits}" if waits else ""))

    specs = {each.name: each.parsed.spec for each in change_set.changes}
    goals = {name: _PAUSED if spec.paused else _GOALS[spec.state] for name, spec in specs.items()}
    await_all(invocation, goals, timeout=timeout, told=tell)
