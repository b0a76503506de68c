"""Whether a server is to be handed over, and what speaks against it for now."""

from __future__ import annotations

from datetime import timedelta

from cachepilot.observe.memory import HandOverPhase, Reservation
from cachepilot.observe.snapshot import (
    Liveness,
    Role,
    SeenContainer,
    SeenServer,
    Snapshot,
)
from cachepilot.plan.actions import Blocked
from cachepilot.plan.drift import shape_drift
from cachepilot.plan.persistence import cannot_be_quiet
from cachepilot.plan.sandbox import sandbox_cause, stranded_cause
from cachepilot.plan.server_config import Directives, differences, needs_restart
from cachepilot.plan.shape import wanted_workload
from cachepilot.spec.quantities import approximate_size
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec

_MEBIBYTE = 2**20
_LEAST_BUFFER = 64 * _MEBIBYTE


def hand_over_cause(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation, directives: Directives
) -> str | None:
    """Return why another server has to take over, where that is possible at all; else None.

    It is possible where a server that can be asked shares the right sandbox: what needs another
    sandbox, or concerns a server that is down, is a matter of starting and stopping.
    """
    container, server = _well_boxed(spec, seen, reservation), seen.server
    if container is None or not isinstance(server, SeenServer) or cannot_be_quiet(spec, seen):
        return None
    workload = wanted_workload(spec, reservation, instance=seen.memory.instance)
    if cause := shape_drift(workload.shape, container.shape):
        return cause
    wish = spec.restarted_at
    if wish is not None and wish != seen.memory.restarted_at:
        return f"restartedAt is {wish}"
    stuck = [name for name, _, _ in differences(directives, server) if needs_restart(name)]
    return f"only another server has {', '.join(stuck)} as wanted" if stuck else None


def must_be_asked_first(spec: TenantSpec, seen: Snapshot, reservation: Reservation) -> bool:
    """Return whether a server has to be replaced that could take part, but does not answer."""
    container, wish = _well_boxed(spec, seen, reservation), spec.restarted_at
    if container is None or seen.loaded_server:
        return False
    workload = wanted_workload(spec, reservation, instance=seen.memory.instance)
    is_wished = wish is not None and wish != seen.memory.restarted_at
    return is_wished or shape_drift(workload.shape, container.shape) is not None


def _well_boxed(
    spec: TenantSpec, seen: Snapshot, reservation: Reservation
) -> SeenContainer | None:
    """Return the container of a server that runs in the right sandbox, or None."""
    container, sandbox = seen.container(Role.SERVER), seen.container(Role.SANDBOX)
    if not spec.in_sandbox or container is None or sandbox is None:
        return None
    is_well = (
        container.liveness is sandbox.liveness is Liveness.RUNNING
        and sandbox_cause(spec, seen, reservation) is None
        and stranded_cause(seen, container) is None
        and container.joined == sandbox.container_id
    )
    return container if is_well else None


def failed_before(seen: Snapshot) -> Blocked | None:
    """Return why the same document is not tried again, if it was tried in vain."""
    begun = seen.memory.hand_over
    if begun is None or begun.phase is not HandOverPhase.FAILED:
        return None
    if begun.generation != seen.memory.generation:
        return None
    message = f"{begun.why}; the server before serves on; change the document to try again"
    return Blocked(reason="HandOverFailed", message=message)


def memory_missing(spec: TenantSpec, seen: Snapshot, rules: Rules) -> Blocked | None:
    """Return why this host cannot hold both servers for a while, with the numbers, or None."""
    available = seen.host.memory_available
    needed = spec.memory_limit + room_to_copy(spec, seen, rules)
    if available is None or available >= needed:
        return None
    message = (
        f"cannot hand over: {approximate_size(needed)} are needed for a second server and for "
        f"copying, {approximate_size(available)} are available on this host; free memory, or let "
        "upgrade.fallback be restart"
    )
    return Blocked(reason="HandOverNeedsMemory", message=message)


def room_to_copy(spec: TenantSpec, seen: Snapshot, rules: Rules) -> int:
    """Return how much more memory the old server may need while its data is copied.

    A copy forks, and pages that are written meanwhile exist twice; and what is written waits for
    the successor.
    """
    used = seen.server.used_memory if isinstance(seen.server, SeenServer) else spec.memory_max
    return int(rules.headRoom.copyOnWrite * used) + news_buffer(spec)


def news_buffer(spec: TenantSpec) -> int:
    """Return how many bytes of news may wait for a successor."""
    return max(_LEAST_BUFFER, spec.memory_max // 4)


def patience_to_copy(spec: TenantSpec, seen: Snapshot) -> timedelta:
    """Return how long a successor may take, in all, before it is given up."""
    used = seen.server.used_memory if isinstance(seen.server, SeenServer) else spec.memory_max
    return timedelta(seconds=60 + used // (5 * _MEBIBYTE))
