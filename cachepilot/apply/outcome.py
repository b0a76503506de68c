"""How performing an action can end; closed, so that nobody forgets a case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cachepilot.plan.actions import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The action had its effect."""

    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The action needs the world to move first; nothing is wrong."""

    action: Action
    message: str
    retry_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """The action cannot succeed until a person, the spec or the world changes."""

    action: Action
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Something we depend on failed; worth repeating with growing pauses."""

    action: Action
    message: str


Outcome = Done | Waiting | Stalled | Failed
