"""Every write is logged before a planned restart, so that nothing is left to save in its pause.

A server that keeps snapshots, or nothing, would have to save all it holds while nobody may write,
which takes as long as there is data. Told to keep an append-only file instead, it writes that
beside its traffic, and from then on each write is on disk once it ends. The mode changes back on
its successor, like any change of mode. See ADR 27.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import Role, SeenServer, Snapshot
from cachepilot.plan.actions import Action, RewriteAppendOnly, SetDirectives, UpdateResources
from cachepilot.plan.holding import in_force_meanwhile
from cachepilot.plan.persistence import (
    AOF,
    AS_EVER_AT_ITS_END,
    mode_in_force,
    plan_mode_change,
)
from cachepilot.plan.server_config import Directives, with_mode
from cachepilot.spec.headroom import container_limit
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec

_CAUSE = "nothing may be left to save while writes are paused"


def logged(directives: Directives) -> Directives:
    """Return *directives* of a server that logs every write."""
    return directives | with_mode(AOF)


def plan_logging(
    spec: TenantSpec,
    seen: Snapshot,
    server: SeenServer,
    rules: Rules,
    *,
    memory: Memory,
    cause: str,
) -> Iterator[Action]:
    """Yield what makes a running server log every write, completely and in few words.

    If it crashes meanwhile it starts as it is, with the log: only what a restart would not change
    gets into its file.
    """
    name, instance = spec.name, seen.memory.instance
    logs_already = mode_in_force(spec, seen) is AOF
    # A stop that was cut short may have left it saving as it ends.
    told = dict(AS_EVER_AT_ITS_END) if seen.memory.load_once else {}
    yield from _plan_room(spec, seen, server, rules)
    if logs_already:
        # And so may a change of mode; or somebody switched the log off.
        told |= {
            key: value for key, value in with_mode(AOF).items() if server.directive(key) != value
        }
    else:
        before = replace(in_force_meanwhile(spec, seen), persistence=AOF)
        uid = memory.reservation.uid if memory.reservation else 0
        yield from plan_mode_change(
            before, seen, server, uid=uid, certificate=memory.certificate, cause=_CAUSE
        )
    if told:
        yield SetDirectives(
            tenant_name=name,
            cause=_CAUSE,
            instance=instance,
            directives=tuple(sorted(told.items())),
        )
    if logs_already:
        yield RewriteAppendOnly(tenant_name=name, cause=cause, instance=instance)


def _plan_room(
    spec: TenantSpec, seen: Snapshot, server: SeenServer, rules: Rules
) -> Iterator[Action]:
    """Yield room for the process that writes the log, where none is meant to fork.

    It is taken back with the mode.
    """
    container, rule = seen.container(Role.SERVER), rules.headRoom
    held = server.resident_memory + int(rule.copyOnWrite * server.used_memory)
    needed = max(held, container_limit(spec.memory_max, AOF, rule))
    if container and container.resources.memory < needed:
        yield UpdateResources(
            tenant_name=spec.name,
            cause="a second process writes the log",
            container_id=container.container_id,
            resources=replace(container.resources, memory=needed, swap=needed),
        )
