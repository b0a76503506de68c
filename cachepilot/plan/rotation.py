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
from cachepilot.plan.passwords import LONG_AGO, accepted_passwords, replaced_passwords
from cachepilot.plan.users import CUSTOMER, OWN_USERS
from cachepilot.spec.quantities import duration_to_text
from cachepilot.spec.tenant import TenantSpec


def plan_credentials(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield what gives every user of ours a password, or the customer another one."""
    for user in OWN_USERS:
        known = seen.memory.credentials_of(user)
        newest = known[0] if known else None
        if user == CUSTOMER and spec.password_file:
            if not seen.files.password_problem and (
                newest is None
                or not newest.from_file
                or seen.files.password_file != newest.revision
            ):
                yield AdoptPassword(
                    tenant_name=spec.name,
                    cause="the file holds another password" if newest else "no password yet",
                    user=user,
                    path=spec.password_file,
                    pending=newest is not None,
                )
        elif cause := _why_another(spec, seen, user):
            yield GenerateCredential(
                tenant_name=spec.name,
                cause=cause,
                user=user,
                pending=newest is not None,
                # A tenant that is born with a wish has it.
                wish=spec.rotated_at if user == CUSTOMER else None,
            )


def plan_promotion(spec: TenantSpec, seen: Snapshot, memory: Memory) -> Iterator[Action]:
    """Yield what documents a password once the running server takes it, and ends old ones.

    The server must have been told of all users of *memory* before.
    """
    if pending := memory.pending(CUSTOMER):
        yield ProveLogin(
            tenant_name=spec.name,
            cause="it must work before it is documented",
            instance=memory.instance,
            user=CUSTOMER,
            passwords=accepted_passwords(spec, memory, CUSTOMER, seen.at),
        )
        yield PromoteCredential(
            tenant_name=spec.name,
            cause="the server takes it",
            user=CUSTOMER,
            revision=pending.revision,
        )
    current = memory.credential(CUSTOMER)
    if current and current.since and current.since > seen.at:
        yield PromoteCredential(
            tenant_name=spec.name,
            cause="it came into force while the clock was wrong",
            user=CUSTOMER,
            revision=current.revision,
        )
    for user in OWN_USERS:
        ended = replaced_passwords(spec, memory, user)
        if over := tuple(sorted(old.revision for old in ended if old.until <= seen.at)):
            yield ForgetCredentials(
                tenant_name=spec.name, cause="its grace is over", user=user, revisions=over
            )


def next_rotation_step(spec: TenantSpec, memory: Memory) -> datetime | None:
    """Return when the next password has to be drawn or ended, if that moment is known."""
    moments = [old.until for old in replaced_passwords(spec, memory, CUSTOMER)]
    current = memory.credential(CUSTOMER)
    if spec.rotate_every and current and current.since:
        moments.append(current.since + spec.rotate_every)
    return min(moments, default=None)


def _why_another(spec: TenantSpec, seen: Snapshot, user: str) -> str:
    """Return why a password has to be drawn for *user*, or empty."""
    memory = seen.memory
    current = memory.credential(user)
    if current is None:
        return "no password yet"
    if user != CUSTOMER:
        return ""
    newest = memory.credentials_of(user)[0]
    if newest.from_file:
        return "passwordFile was removed from the spec"
    if spec.rotated_at is not None and spec.rotated_at != memory.rotated_at:
        return f"rotatedAt is {spec.rotated_at}"
    every = spec.rotate_every
    if every and not newest.pending and (newest.since or LONG_AGO) + every <= seen.at:
        return f"it is older than {duration_to_text(every)}"
    return ""
