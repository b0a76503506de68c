"""Changes that a running server takes without its clients noticing."""

from __future__ import annotations

from collections.abc import Iterator

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import (
    Resources,
    Role,
    SeenServer,
    Snapshot,
)
from cachepilot.plan.actions import (
    Action,
    AwaitRewrite,
    Blocked,
    DeleteUser,
    PurgeMemory,
    RememberRules,
    RestrictUser,
    SetDirectives,
    SetUser,
    UpdateResources,
)
from cachepilot.plan.server_config import (
    CERTIFICATE_FILES,
    LIVE_ONLY,
    Directives,
    differences,
    needs_restart,
    opening,
)
from cachepilot.plan.shape import wanted_resources
from cachepilot.plan.user_rules import kept_rules
from cachepilot.plan.users import loses_channels, strangers, user_differences, wanted_users
from cachepilot.spec.document import MemoryPolicy, PersistenceMode
from cachepilot.spec.quantities import approximate_size
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec


def memory_blocked(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why memory.max cannot shrink: nothing may be evicted and the data does not fit."""
    server = seen.server
    if not isinstance(server, SeenServer) or spec.memory_policy is not MemoryPolicy.NOEVICTION:
        return None
    before = server.directive("maxmemory")
    shrinks = before is not None and (int(before) > spec.memory_max or before == "0")
    if shrinks and server.used_memory > spec.memory_max:
        return Blocked(
            reason="MemoryDoesNotFit",
            message=f"cannot shrink memory.max to {approximate_size(spec.memory_max)}: "
            f"{approximate_size(server.used_memory)} are in use and memory.policy is noeviction; "
            "delete keys, raise memory.max or allow eviction",
        )
    return None


def plan_growth(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield what gives the container more room, before the server is told to use it."""
    container, wanted = seen.container(Role.SERVER), wanted_resources(spec)
    if container and container.resources != wanted and wanted.memory >= container.resources.memory:
        cause = resources_cause(container.resources, wanted)
        yield UpdateResources(
            tenant_name=spec.name,
            cause=cause,
            container_id=container.container_id,
            resources=wanted,
        )


def plan_shrinking(
    spec: TenantSpec, seen: Snapshot, server: SeenServer, rules: Rules
) -> Iterator[Action]:
    """Yield what takes room away, once the server has already given it back.

    Where it does not fit yet, everything but the memory limit is applied and the next visit
    tries again.
    """
    container, wanted = seen.container(Role.SERVER), wanted_resources(spec)
    if container is None or container.resources == wanted:
        return
    present = container.resources
    if wanted.memory >= present.memory:
        return
    if not shrink_fits(spec, server, rules):
        wanted = Resources(
            memory=present.memory,
            swap=present.memory,
            cpu_quota=wanted.cpu_quota,
            restart=wanted.restart,
        )
        if server.directive("maxmemory") != str(spec.memory_max):
            # Once, together with the new maxmemory; from then on pages come back by themselves.
            cause = "freed pages keep the container's limit up"
            yield PurgeMemory(tenant_name=spec.name, cause=cause, instance=seen.memory.instance)
    if wanted != present:
        yield UpdateResources(
            tenant_name=spec.name,
            cause=resources_cause(present, wanted),
            container_id=container.container_id,
            resources=wanted,
        )


def shrink_fits(spec: TenantSpec, server: SeenServer, rules: Rules) -> bool:
    """Return whether what is resident now, and a fork of it, fits below the wanted limit."""
    forks = spec.persistence is not PersistenceMode.NONE
    copied = rules.headRoom.copyOnWrite * server.used_memory if forks else 0
    return server.resident_memory + copied <= spec.memory_limit


def plan_opening(
    spec: TenantSpec, seen: Snapshot, server: SeenServer, directives: Directives
) -> Iterator[Action]:
    """Yield the opening of a server that was left closed; its clients wait for nothing else."""
    before = server.directive("bind")
    if before != directives["bind"]:
        yield SetDirectives(
            tenant_name=spec.name,
            cause=f"bind is {before}",
            instance=seen.memory.instance,
            directives=opening(directives),
        )


def plan_directives(
    spec: TenantSpec, seen: Snapshot, server: SeenServer, directives: Directives
) -> Iterator[Action]:
    """Yield CONFIG SET for whatever the running server means differently."""
    found = [
        entry
        for entry in differences(directives, server)
        if entry[0] != "bind" and not needs_restart(entry[0])
    ]
    served = {at.fingerprint or at.refused for at in seen.endpoints} - {""}
    ordinary = {name: value for name, value, _ in found if name not in LIVE_ONLY}
    cause = ", ".join(f"{name} is {before}" for name, _, before in found if name not in LIVE_ONLY)
    leaf = seen.certificate
    if ordinary.keys() & CERTIFICATE_FILES or (leaf and served and served != {leaf.fingerprint}):
        # The files of a revision must match each other, so they always travel together.
        ordinary |= {name: directives[name] for name in CERTIFICATE_FILES if name in directives}
        cause = cause or "another certificate is served"
    if ordinary:
        yield SetDirectives(
            tenant_name=spec.name,
            cause=cause,
            instance=seen.memory.instance,
            directives=tuple(sorted(ordinary.items())),
        )
    if ordinary.get("appendonly") == "yes":
        # Until the rewrite is complete, a crash would bring back the file as it was before.
        cause = "somebody had switched the append-only file off"
        yield AwaitRewrite(tenant_name=spec.name, cause=cause, instance=seen.memory.instance)


def plan_live_only(
    spec: TenantSpec, seen: Snapshot, server: SeenServer, directives: Directives
) -> Iterator[Action]:
    """Yield, one by one, what some builds refuse and what therefore stands in no file."""
    for name, value, before in differences(directives, server):
        if name in LIVE_ONLY:
            yield SetDirectives(
                tenant_name=spec.name,
                cause=f"{name} is {before}",
                instance=seen.memory.instance,
                directives=((name, value),),
            )


def plan_users(
    spec: TenantSpec, seen: Snapshot, server: SeenServer, memory: Memory
) -> Iterator[Action]:
    """Yield what makes the running server know exactly our users."""
    wanted = wanted_users(spec, memory, seen.at)
    for user, why in user_differences(wanted, server):
        verb = RestrictUser if loses_channels(user, server) else SetUser
        yield verb(tenant_name=spec.name, cause=why, instance=seen.memory.instance, user=user)
    for name in strangers(wanted, server):
        cause = "nobody asked for it"
        yield DeleteUser(
            tenant_name=spec.name, cause=cause, instance=seen.memory.instance, user=name
        )
    if (rules := kept_rules(spec.users)) != memory.rules:
        yield RememberRules(tenant_name=spec.name, cause="the server has these", rules=rules)


def resources_cause(present: Resources, wanted: Resources) -> str:
    """Return which of the resources differ, in words."""
    checks = (
        ("memory limit", present.memory != wanted.memory or present.swap != wanted.swap),
        ("cpus", present.cpu_quota != wanted.cpu_quota),
        ("restart policy", present.restart != wanted.restart),
    )
    return ", ".join(what for what, differs in checks if differs) + " changed"
