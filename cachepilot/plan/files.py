"""The files of an instance, and what is remembered once a plan's identity is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.memory import Memory, Reservation, SeenCredential
from cachepilot.observe.snapshot import Snapshot
from cachepilot.plan.actions import (
    Action,
    AdoptPassword,
    GenerateCredential,
    IssueCertificate,
    PrepareFolders,
    WriteConfiguration,
    WriteUsers,
)
from cachepilot.plan.persistence import configuration_is
from cachepilot.plan.server_config import Directives, render
from cachepilot.plan.users import render_users, wanted_users
from cachepilot.spec.tenant import TenantSpec


def project(memory: Memory, reservation: Reservation, identity: tuple[Action, ...]) -> Memory:
    """Return *memory* as it will be once *identity* is done, so that one plan can go on."""
    for action in identity:
        match action:
            case (
                GenerateCredential(user=user, pending=pending)
                | AdoptPassword(user=user, pending=pending)
            ):
                before = memory.credentials_of(user)
                credential = SeenCredential(
                    user=user,
                    revision=before[0].revision + 1 if before else 1,
                    from_file=isinstance(action, AdoptPassword),
                    pending=pending,
                )
                kept = (old for old in memory.credentials if old.user != user or not old.pending)
                memory = replace(memory, credentials=(credential, *kept))
            case IssueCertificate(revision=revision):
                memory = replace(memory, certificate=revision)
            case _:
                pass
    return replace(memory, reservation=reservation)


def plan_files(
    spec: TenantSpec,
    seen: Snapshot,
    memory: Memory,
    reservation: Reservation,
    directives: Directives,
) -> Iterator[Action]:
    """Yield what makes folders, redis.conf and users.acl right."""
    lost = memory.data_ready and not seen.files.data_marker
    if not (seen.files.folders_ready or lost):
        cause = "no folders yet" if not memory.data_ready else "folders are missing or changed"
        yield PrepareFolders(
            tenant_name=spec.name,
            cause=cause,
            instance=memory.instance,
            uid=reservation.uid,
        )
    text = render(directives)
    if not configuration_is(seen, text):
        yield WriteConfiguration(
            tenant_name=spec.name,
            cause=_file_cause("redis.conf", seen.files.configuration),
            instance=memory.instance,
            uid=reservation.uid,
            text=text,
        )
    users = wanted_users(spec, memory, seen.at)
    if seen.files.users != render_users(users):
        yield WriteUsers(
            tenant_name=spec.name,
            cause=_file_cause("users.acl", seen.files.users),
            instance=memory.instance,
            uid=reservation.uid,
            users=users,
        )


def _file_cause(name: str, seen: str | None) -> str:
    return f"{name} is missing" if seen is None else f"{name} says something else"
