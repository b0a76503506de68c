"""One password after another, with a time in which both work.

A new password is drawn first and accepted beside the one before. Only when a login has proven it
does it become the documented one, so that what is documented works at every moment. The one
before ends when its grace is over, counted from then; the grace stands in the spec and may be
changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import Snapshot
from cachepilot.plan.actions import (
    Action,
    AdoptPassword,
    ForgetCredentials,
    GenerateCredential,
    PromoteCredential,
    ProveLogin,
)
from cachepilot.plan.logins import Login, list_logins
from cachepilot.plan.passwords import LONG_AGO, accepted_passwords, replaced_passwords
from cachepilot.spec.quantities import duration_to_text
from cachepilot.spec.tenant import TenantSpec


def plan_credentials(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield what gives every user a password, or another one."""
    for login in list_logins(spec):
        known = seen.memory.credentials_of(login.user)
        newest = known[0] if known else None
        if login.password_file:
            found = seen.files.password_of(login.user)
            if (
                found is not None
                and not found.problem
                and (newest is None or not newest.from_file or found.revision != newest.revision)
            ):
                yield AdoptPassword(
                    tenant_name=spec.name,
                    cause="the file holds another password" if newest else "no password yet",
                    user=login.user,
                    path=login.password_file,
                    pending=newest is not None,
                )
        elif cause := _why_another(login, seen):
            yield GenerateCredential(
                tenant_name=spec.name,
                cause=cause,
                user=login.user,
                pending=newest is not None,
                # Whoever is born with a wish has it.
                wish=login.rotated_at,
            )


def plan_promotion(spec: TenantSpec, seen: Snapshot, memory: Memory) -> Iterator[Action]:
    """Yield what documents a password once the running server takes it, and ends old ones.

    The server must have been told of all users of *memory* before.
    """
    users = tuple(login.user for login in list_logins(spec))
    for user in users:
        yield from _plan_proof(spec, seen, memory, user)
    for user in users:
        ended = replaced_passwords(spec, memory, user)
        if over := tuple(sorted(old.revision for old in ended if old.until <= seen.at)):
            yield ForgetCredentials(
                tenant_name=spec.name, cause="its grace is over", user=user, revisions=over
            )


def plan_forgetting(asked: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the end of what is remembered of users who are not in *asked* any more.

    The server must have been told before that they are gone.
    """
    present = {login.user for login in list_logins(asked)}
    for user in sorted({kept.user for kept in seen.memory.credentials} - present):
        revisions = (kept.revision for kept in seen.memory.credentials_of(user))
        yield ForgetCredentials(
            tenant_name=asked.name,
            cause="the user was taken out of the spec",
            user=user,
            revisions=tuple(sorted(revisions)),
        )


def next_rotation_step(spec: TenantSpec, memory: Memory) -> datetime | None:
    """Return when the next password has to be drawn or ended, if that moment is known."""
    moments = []
    for login in list_logins(spec):
        moments += [old.until for old in replaced_passwords(spec, memory, login.user)]
        current = memory.credential(login.user)
        if login.rotate_every and current and current.since:
            moments.append(current.since + login.rotate_every)
    return min(moments, default=None)


def _plan_proof(spec: TenantSpec, seen: Snapshot, memory: Memory, user: str) -> Iterator[Action]:
    if pending := memory.pending(user):
        yield ProveLogin(
            tenant_name=spec.name,
            cause="it must work before it is documented",
            instance=memory.instance,
            user=user,
            passwords=accepted_passwords(spec, memory, user, seen.at),
        )
        yield PromoteCredential(
            tenant_name=spec.name,
            cause="the server takes it",
            user=user,
            revision=pending.revision,
        )
    current = memory.credential(user)
    if current and current.since and current.since > seen.at:
        yield PromoteCredential(
            tenant_name=spec.name,
            cause="it came into force while the clock was wrong",
            user=user,
            revision=current.revision,
        )


def _why_another(login: Login, seen: Snapshot) -> str:
    """Return why a password has to be drawn for a user, or empty."""
    memory, user = seen.memory, login.user
    current = memory.credential(user)
    if current is None:
        return "no password yet"
    newest = memory.credentials_of(user)[0]
    if newest.from_file:
        return "passwordFile was removed from the spec"
    if login.rotated_at is not None and login.rotated_at != memory.served_rotation(user):
        return f"rotatedAt is {login.rotated_at}"
    every = login.rotate_every
    if every and not newest.pending and (newest.since or LONG_AGO) + every <= seen.at:
        return f"it is older than {duration_to_text(every)}"
    return ""
