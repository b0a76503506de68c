"""Changing what survives the server, while it runs and without losing a key.

The record says in which mode the data on disk is really kept. A server always starts in that
mode, even if the spec asks for another: with ``appendonly yes`` and only a dump on disk it would
start empty, and with a leftover append-only folder it would load old data. The wish is then
carried out on the running server, and the record follows when that is complete.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachepilot.observe.snapshot import Liveness, Role, SeenServer, Snapshot, Unreachable
from cachepilot.plan.actions import (
    AbandonReplacement,
    Action,
    AwaitRewrite,
    DiscardAppendOnly,
    DiscardDump,
    ExpectDump,
    RememberPersistence,
    ResumeWrites,
    SaveDataset,
    SaveInBackground,
    SetDirectives,
    WriteConfiguration,
)
from cachepilot.plan.server_config import fingerprint, render, wanted_directives
from cachepilot.plan.shape import stop_timeout
from cachepilot.spec.document import PersistenceMode, TenantName
from cachepilot.spec.tenant import TenantSpec

# What a server does when it is told to end; by default it saves where it has save points.
_AT_ITS_END = "shutdown-on-sigterm"
AS_EVER_AT_ITS_END = {_AT_ITS_END: "default"}
AOF, RDB, NONE = PersistenceMode.AOF, PersistenceMode.RDB, PersistenceMode.NONE


def mode_in_force(spec: TenantSpec, seen: Snapshot) -> PersistenceMode:
    """Return the mode a server must start in now."""
    return seen.memory.persistence or spec.persistence


def plan_first_mode(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the remembering of a newborn tenant's mode, before it has any data."""
    if seen.memory.persistence is None:
        cause = "no data yet"
        yield RememberPersistence(tenant_name=spec.name, cause=cause, mode=spec.persistence)


def plan_mode_change(
    spec: TenantSpec,
    seen: Snapshot,
    server: SeenServer,
    *,
    uid: int,
    certificate: int,
    cause: str = "",
) -> Iterator[Action]:
    """Yield the steps from the mode in force to the wanted one, on a running server."""
    before, after = mode_in_force(spec, seen), spec.persistence
    name, instance = spec.name, seen.memory.instance
    if before is after or server.loading:
        return
    cause = cause or f"persistence changes from {before} to {after}"
    directives = wanted_directives(spec, certificate=certificate, persistence=after)
    write = WriteConfiguration(
        tenant_name=name, cause=cause, instance=instance, uid=uid, text=render(directives)
    )
    remember = RememberPersistence(tenant_name=name, cause=cause, mode=after)
    save_points = _set(name, cause, instance, save=directives["save"])
    append_only = _set(name, cause, instance, appendonly=directives["appendonly"])
    background = SaveInBackground(tenant_name=name, cause=cause, instance=instance)
    if after is AOF:
        yield append_only
        yield AwaitRewrite(tenant_name=name, cause=cause, instance=instance)
        yield write
        yield remember
        yield save_points
    elif after is RDB:
        # The snapshot comes first: from the moment the record says rdb, it is what a start loads.
        yield save_points
        yield background
        yield write
        yield remember
        yield append_only
        yield from _discard(seen, append_only=True)
    else:
        if before is AOF and seen.files.has_dump:
            # Of an earlier mode: a server that crashes behind the new file would load it.
            yield DiscardDump(tenant_name=name, cause=cause, instance=instance)
        # The record first: whoever starts from the old file has all of it, whatever the record
        # says; with the new file and the old record, the next look would bring the old file back
        # below a server that has other data by then.
        yield remember
        yield write
        yield _set(
            name, cause, instance, appendonly=directives["appendonly"], save=directives["save"]
        )
        yield from _discard(seen, append_only=True, dump=before is RDB)


def plan_leftovers(spec: TenantSpec, seen: Snapshot, server: SeenServer) -> Iterator[Action]:
    """Yield the removal of files that a later start would load by mistake.

    Only ever with a server running that does not use them any more.
    """
    name, instance, mode = spec.name, seen.memory.instance, mode_in_force(spec, seen)
    if server.loading or mode is not spec.persistence:
        return
    if seen.memory.load_once:
        cause = "it was not stopped"
        yield ResumeWrites(tenant_name=name, cause=cause, instance=instance)
        yield _set(name, cause, instance, **AS_EVER_AT_ITS_END)
    unused = mode is not AOF and server.directive("appendonly") == "no"
    yield from _discard(seen, append_only=unused, dump=mode is NONE)
    if seen.memory.load_once:
        cause = "the saved data is loaded"
        yield ExpectDump(tenant_name=name, cause=cause, expected=False)


def _discard(seen: Snapshot, *, append_only: bool, dump: bool = False) -> Iterator[Action]:
    name, instance, cause = seen.tenant_name, seen.memory.instance, "a later start would load it"
    if append_only and seen.files.has_append_only:
        yield DiscardAppendOnly(tenant_name=name, cause=cause, instance=instance)
    if dump and seen.files.has_dump:
        yield DiscardDump(tenant_name=name, cause=cause, instance=instance)


def plan_clean_start(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield what keeps a memory-only server from starting with old data."""
    if mode_in_force(spec, seen) is not NONE:
        return
    cause = "a memory-only server must not revive old data"
    name, instance = spec.name, seen.memory.instance
    if seen.files.has_dump and not seen.memory.load_once:
        yield DiscardDump(tenant_name=name, cause=cause, instance=instance)


def plan_quiet(spec: TenantSpec, seen: Snapshot, cause: str) -> Iterator[Action]:
    """Yield what makes sure that a planned stop loses nothing.

    A server that cannot save refuses to stop, and each attempt takes writes from its clients, so a
    save is proven first. For a memory-only server the intent is durable before the dump exists, so
    that a crash in between is understood.
    """
    server, instance = seen.loaded_server, seen.memory.instance
    if server is None:
        return
    mode = mode_in_force(spec, seen)
    if mode is AOF and server.directive("appendonly") != "yes":
        # Somebody switched it off: the file lacks every write since.
        yield _set(spec.name, cause, instance, appendonly="yes")
        yield AwaitRewrite(tenant_name=spec.name, cause=cause, instance=instance)
    if mode is RDB:
        wanted = wanted_directives(spec, certificate=0, persistence=RDB)["save"]
        if server.directive("save") != wanted:
            # Without save points a server does not save when it is stopped.
            yield _set(spec.name, cause, instance, save=wanted)
        yield SaveInBackground(tenant_name=spec.name, cause=cause, instance=instance)
    if mode is NONE:
        yield from plan_clean_start(spec, seen)
        yield ExpectDump(tenant_name=spec.name, cause=cause, expected=True)
        # Or else what it takes between the pause and its end would be lost.
        yield _set(spec.name, cause, instance, **{_AT_ITS_END: "save"})
        yield SaveDataset(
            tenant_name=spec.name,
            cause=cause,
            instance=instance,
            # Twice what a save may take: writes must not come back between save and stop.
            pause=2 * stop_timeout(server.used_memory),
        )


def plan_relief(spec: TenantSpec, seen: Snapshot) -> tuple[Action, ...]:
    """Return what gives clients their ease back after a visit that could not stop a server."""
    begun = seen.memory.replacement
    is_begun = begun is not None and begun.instance != seen.memory.instance
    noted, server = begun is not None and is_begun and begun.note, seen.loaded_server
    if server is None:
        return ()
    cause, instance = "it could not be stopped", seen.memory.instance
    resume = ResumeWrites(tenant_name=spec.name, cause=cause, instance=instance)
    # What was noted is history from now on.
    forget = AbandonReplacement(tenant_name=spec.name, cause=cause)
    logs_for_us = is_begun or spec.persistence is AOF
    if (
        logs_for_us
        and mode_in_force(spec, seen) is not AOF
        and server.directive("appendonly") == "yes"
    ):
        # A server that cannot write its log tries for ever, and refuses writes where it may.
        cause = "its log is not complete"
        return (_set(spec.name, cause, instance, appendonly="no"),)
    if noted:
        return forget, resume
    return (resume,) if seen.memory.load_once else ()


def cannot_be_quiet(spec: TenantSpec, seen: Snapshot) -> str:
    """Return why a running server must not be stopped on purpose now, or empty.

    What cannot be asked cannot be made to save, and what loads has nothing worth saving yet.
    """
    container = seen.container(Role.SERVER)
    if container is None or container.liveness is not Liveness.RUNNING:
        return ""
    if seen.memory.data_ready and not seen.files.data_marker:
        return "its data folder is gone, so the server holds the last copy"
    if isinstance(seen.server, SeenServer):
        if seen.server.directive("dir") == "":
            return "its data folder was deleted below it, so the server holds the last copy"
        return "it is loading its data" if seen.server.loading else ""
    # A server in the middle of a script, or one that hangs, does not hear that it is to stop, and
    # is killed.
    deaf = isinstance(seen.server, Unreachable) and (seen.server.busy or seen.server.silent)
    if mode_in_force(spec, seen) is AOF or (
        not spec.serves and mode_in_force(spec, seen) is RDB and not deaf
    ):
        # It keeps what it holds when it is told to stop.
        return ""
    why = seen.server.why if isinstance(seen.server, Unreachable) else "nobody asked it"
    return f"its data cannot be saved first: {why}"


def configuration_is(seen: Snapshot, text: str) -> bool:
    """Return whether redis.conf on disk already says *text*."""
    return seen.files.configuration == fingerprint(text)


def _set(name: str, cause: str, instance: int, **directives: str) -> SetDirectives:
    return SetDirectives(
        tenant_name=TenantName(name),
        cause=cause,
        instance=instance,
        directives=tuple(sorted(directives.items())),
    )
