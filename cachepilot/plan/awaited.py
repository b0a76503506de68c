"""For whom a rollout of new defaults waits, and why: nobody should have to guess."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from cachepilot.plan.rollout import Member, Policy, Rollout, has_room_beside
from cachepilot.spec.document import TenantName


class AwaitedFor(StrEnum):
    """What a tenant lacks before it, or the rollout, can go on."""

    A_LOOK = "NotSeenYet"
    THE_ENGINE = "EngineUnavailable"
    SERVICE = "OutOfService"
    HELP = "Stalled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A tenant without which it does not go on, or not to the end.

    Attributes:
        message: Why, in a sentence.
    """

    name: TenantName
    reason: AwaitedFor
    message: str


def list_awaited(
    members: Collection[Member], policy: Policy, rollout: Rollout
) -> tuple[Awaited, ...]:
    """Return whom *rollout* waits for, besides those whose turn it is.

    A rollout that has ended, or was halted, waits for nobody.
    """
    if rollout.complete or rollout.halted:
        return ()
    return tuple(_list_awaited(members, policy, rollout))


def list_unseen(members: Collection[Member]) -> tuple[Member, ...]:
    """Return whom it passes over because something of their own keeps everybody from looking."""
    return tuple(member for member in members if member.counts and member.is_blind)


def _list_awaited(
    members: Collection[Member], policy: Policy, rollout: Rollout
) -> Iterator[Awaited]:
    aside = {each.name for each in rollout.under_way}.union(rollout.failed)
    is_full = any(member.waits for member in members) and not has_room_beside(
        members, policy, rollout
    )
    for member in members:
        if not member.counts or member.is_blind or member.name in aside:
            continue
        if member.seen_at is None:
            reason = AwaitedFor.THE_ENGINE if member.message else AwaitedFor.A_LOOK
            otherwise = "nobody has looked at it since the settings changed"
            yield Awaited(name=member.name, reason=reason, message=member.message or otherwise)
        elif not member.is_ready and (is_full or member.waits):
            yield Awaited(name=member.name, reason=AwaitedFor.SERVICE, message=member.message)
        elif member.waits and member.trouble:
            yield Awaited(name=member.name, reason=AwaitedFor.HELP, message=member.trouble)
