"""Stopping a server whose data cannot be saved first: patience, and then the author's word.

Whoever wrote that a tenant is to be stopped or deleted is told beforehand until when we wait, and
that what is only in memory is lost then. A restart, or a file that vanished, is no such word.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cachepilot.observe.snapshot import Role, Snapshot, Unreachable
from cachepilot.plan.actions import Action, Blocked, EndScript, Plan, RememberWait, StopUnsaved
from cachepilot.plan.shape import stop_timeout
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec


def plan_unsafe_stop(
    spec: TenantSpec, seen: Snapshot, why: Blocked, rules: Rules, now: datetime
) -> Plan:
    """Return what to do about a wished end that *why* forbids for now."""
    script = tuple(plan_end_of_script(spec, seen))
    container = seen.container(Role.SERVER)
    lost = seen.memory.data_ready and not seen.files.data_marker
    if (
        container is None
        or not isinstance(seen.server, Unreachable)
        or lost
        or seen.memory.retired
    ):
        return Plan(script, why)
    generation, wait = seen.memory.generation, seen.memory.wait
    waits = wait is not None and wait[0] == generation
    until = wait[1] if wait and waits else now + rules.stopPatience
    if now >= until:
        stop = StopUnsaved(
            tenant_name=spec.name,
            cause=f"state is {spec.state}, and until {_said(until)} it could not be asked to save",
            container_id=container.container_id,
            timeout=stop_timeout(spec.memory_max),
        )
        return Plan((stop,))
    remember = RememberWait(tenant_name=spec.name, cause=why.message, wait=(generation, until))
    message = (
        f"{why.message}; from {_said(until)} on it is stopped all the same, "
        "and what is only in memory is lost"
    )
    blocked = Blocked(reason="CannotStopSafely", message=message)
    return Plan(script if waits else (remember, *script), blocked)


def plan_end_of_script(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the end of what keeps a server from answering, as it is to be stopped anyway."""
    if isinstance(seen.server, Unreachable) and seen.server.busy:
        cause = "it keeps the server from saving before a stop"
        yield EndScript(tenant_name=spec.name, cause=cause, instance=seen.memory.instance)


def plan_end_of_wait(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the forgetting of a wait that is over: another one begins anew."""
    if seen.memory.wait:
        yield RememberWait(
            tenant_name=spec.name, cause="nothing has to be saved any more", wait=None
        )


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
