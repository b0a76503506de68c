"""Runs the daemon's own planner over what the daemon published, without touching anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
from cachepilot.adapters.status_files import StatusFiles
from cachepilot.cli.columns import table
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.output import print_text
from cachepilot.clock import rfc3339
from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import Role, SeenAuthority, SeenFiles, SeenHost, Snapshot
from cachepilot.plan.actions import (
    Action,
    Disruption,
    Held,
    Plan,
    StartContainer,
    StopContainer,
    describe,
)
from cachepilot.plan.holding import Turn
from cachepilot.plan.planner import plan_tenant
from cachepilot.spec.document import TenantName
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec

_COLOURS = {
    Disruption.NONE: "green",
    Disruption.RECONNECT: "yellow",
    Disruption.RESTART: "yellow",
    Disruption.DATA_RISK: "red",
}
_NOTICED = {
    Disruption.NONE: "clients notice nothing",
    Disruption.RECONNECT: "clients reconnect",
    Disruption.RESTART: "the server restarts, its data is preserved",
    Disruption.DATA_RISK: "data is at risk",
}


# Stands for the content of an image that the daemon has not looked at.
_UNSEEN_IMAGE = "unseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the next visit to a tenant would do.

    Attributes:
        is_new: Whether nothing is known of the tenant yet, so that all of it has to be made.
    """

    name: str
    plan: Plan
    is_new: bool

    @property
    def worst(self) -> Plan:
        """The part of the plan that clients notice most: what waits, if anything does."""
        return self.plan.held.plan if self.plan.held else self.plan

    def as_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        blocked = self.plan.blocked
        return {
            **_noticed(self.plan),
            "new": self.is_new,
            "actions": [_as_json(action) for action in self.plan.actions],
            "waiting": _waiting(self.plan.held),
            "blocked": {"reason": blocked.reason, "message": blocked.message} if blocked else None,
        }


def _as_json(action: Action) -> dict[str, Any]:
    return {
        "action": type(action).__name__,
        "detail": action.detail(),
        "cause": action.cause,
        "disruption": action.disruption.value,
        "text": describe(action),
    }


def _noticed(plan: Plan) -> dict[str, Any]:
    return {
        "disruption": plan.disruption.value,
        "seconds": plan.length.total_seconds() if plan.length else None,
        "notice": plan.notice,
    }


def _waiting(held: Held | None) -> dict[str, Any] | None:
    if held is None:
        return None
    return {
        "reason": held.reason,
        "message": held.message,
        "until": rfc3339(held.until) if held.until else None,
        **_noticed(held.plan),
        "actions": [_as_json(action) for action in held.actions],
    }


def preview(invocation: Invocation, spec: TenantSpec, rules: Rules) -> Preview:
    """Return what the daemon would do next to make *spec* true.

    Raises:
        UnavailableError: The published snapshot is closed to us.
    """
    store = StatusFiles(invocation.paths, owner=None)
    status = store.read(spec.name)
    seen = status.snapshot if status else None
    now = invocation.surroundings.now()
    is_new = seen is None
    if seen is None:
        seen = _nothing(spec.name, invocation, _any_host(invocation, store))
    if status and (status.spec is None or status.spec.image != spec.image):
        # The daemon looked for another image; what it found says nothing about this one.
        seen = replace(seen, image_exists=None, image_id="")
    container = seen.container(Role.SERVER)
    if spec.users and not seen.image_id and container and container.shape.image != spec.image:
        # It is fetched and tried first, and a refusal ends the plan there; whoever reads the plan
        # must know what comes behind that.
        seen = replace(seen, image_exists=None, image_id=_UNSEEN_IMAGE)
    turn = _turn_of(spec.name, invocation)
    plan = plan_tenant(spec, seen, rules, now, turn=turn)
    return Preview(name=spec.name, plan=plan, is_new=is_new)


def _turn_of(name: str, invocation: Invocation) -> Turn:
    """Return whose turn it is to take new defaults, as far as the daemon has said."""
    try:
        host = PublishedStatus(invocation.paths).host()
    except StatusUnreadableError:
        host = None
    rollout = host.content.get("rollout") if host else None
    if not isinstance(rollout, dict):
        return Turn.ITS_OWN
    going = {each.get("name") for each in rollout.get("underWay", ())}
    if rollout.get("complete") or name in going or name in rollout.get("failed", ()):
        return Turn.ITS_OWN
    return Turn.NOBODYS if rollout.get("halted") else Turn.ANOTHERS


def print_preview(preview: Preview, fields: Sequence[tuple[str, str]] = ()) -> None:
    """Print a plan for a person.

    Args:
        preview: The plan.
        fields: Each field that differs, with what clients notice of it alone.
    """
    plan = preview.plan
    if not plan.actions and plan.blocked is None and plan.held is None:
        print_text(f"tenant/{preview.name}: nothing to do")
        return
    title, colour = _title(plan), _COLOURS[plan.disruption]
    if preview.is_new:
        print_text(f"tenant/{preview.name}: is new")
    else:
        print_text(f"tenant/{preview.name}: {title}", mark=title, fg=colour)
    for line in table(fields):
        print_text(f"  {line}")
    for number, line in enumerate(plan.lines, start=1):
        print_text(f"  {number}. {line}")
    if plan.blocked:
        print_text(f"  blocked: {plan.blocked.reason}: {plan.blocked.message}")
    if plan.held:
        later = plan.held.plan
        print_text(f"  {plan.held.message}; then {_title(later)}:")
        for number, line in enumerate(later.lines, start=len(plan.actions) + 1):
            print_text(f"  {number}. {line}")


def _title(plan: Plan) -> str:
    """Return what clients notice, as a person says it."""
    ends = any(isinstance(action, StopContainer) for action in plan.actions) and not any(
        isinstance(action, StartContainer) for action in plan.actions
    )
    if ends and plan.disruption is Disruption.RESTART:
        return "the server stops, its data is preserved"
    length = f" ({plan.notice})" if plan.length else ""
    return f"{_NOTICED[plan.disruption]}{length}"


def _any_host(invocation: Invocation, store: StatusFiles) -> SeenHost | None:
    """Return what was last seen of the host, which all tenants share, or None."""
    try:
        names = PublishedStatus(invocation.paths).names()
    except StatusUnreadableError:
        return None
    for name in names:
        status = store.read(TenantName(name))
        if status and status.snapshot:
            return status.snapshot.host
    return None


def _nothing(name: TenantName, invocation: Invocation, host: SeenHost | None) -> Snapshot:
    """Return the snapshot of a tenant that nobody has looked at yet."""
    return Snapshot(
        tenant_name=name,
        at=invocation.surroundings.now(),
        memory=Memory(),
        host=host or SeenHost(authority=SeenAuthority(exists=False)),
        containers=(),
        image_exists=None,
        files=SeenFiles(
            folders_ready=False,
            configuration=None,
            users=None,
            data_marker=False,
            has_dump=False,
            has_append_only=False,
        ),
        certificate=None,
    )
