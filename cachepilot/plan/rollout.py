"""Who takes new defaults of the host next: canaries first, then so many at a time.

Pure, as all planning is: from what is seen of the fleet, what was decided before, and the time.
What was decided is kept durably before anybody acts on it, so that the next daemon goes on there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cachepilot.plan.holding import Turn
from cachepilot.spec.document import TenantName

Share = int | str
_PASSED, _GAVE_BACK = True, False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the host's owner decided about taking turns.

    Attributes:
        canary: How many go first and alone, as a number or a percentage of all that serve.
        max_unavailable: How many may be under way, or out of service for any reason, at a time.
        pause_on_failure: Whether the first failure ends it until somebody says otherwise.
        settle: How long a tenant must have been ready again before the next one goes.
        deadline: How long it may take to become ready again.
        resumed_at: The newest wish to go on after a failure, as written.
    """

    canary: Share
    max_unavailable: Share
    pause_on_failure: bool
    settle: timedelta
    deadline: timedelta
    resumed_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What the rollout has to know of one tenant.

    Attributes:
        seen_at: When it was last looked at, under the settings of now; None before that.
        is_blind: Whether something of its own keeps everybody from looking, such as a record
            that cannot be read. For all that is known its server goes on.
        counts: Whether it should serve and is looked after.
        is_ready: Whether it serves.
        message: Why it does not serve or nobody could look, as far as that is known.
        waits: Whether it waits for its turn.
        waits_for_window: Whether it waits for its maintenance window.
        trouble: Why a person has to act, or empty.
        obstacle: What it waits for or tries again right now, or empty.
        volunteers: Whether its owner wants it to go first.
    """

    name: TenantName
    seen_at: datetime | None
    is_blind: bool
    counts: bool
    is_ready: bool
    message: str
    waits: bool
    waits_for_window: bool
    trouble: str
    obstacle: str
    volunteers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A tenant whose turn it is.

    Attributes:
        since: When it was let go.
        ready_since: When it was first seen to be ready with the new defaults; None before.
    """

    name: TenantName
    since: datetime
    ready_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why nobody else is let go."""

    name: TenantName
    message: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What was decided so far.

    Attributes:
        target: Fingerprint of the defaults that are being rolled out.
        passed: Who took them and stayed ready.
        failed: Who did not.
        resumed_at: The wish to go on that was served last.
        complete: Whether everybody has them who could; from then on nobody's turn has to come.
    """

    target: str = ""
    under_way: tuple[UnderWay, ...] = ()
    passed: tuple[TenantName, ...] = ()
    failed: tuple[TenantName, ...] = ()
    halted: Halt | None = None
    resumed_at: str | None = None
    complete: bool = False

    def turn_of(self, name: TenantName) -> Turn:
        """Return what the tenant called *name* may do about the new defaults."""
        if (
            self.complete
            or name in self.failed
            or any(each.name == name for each in self.under_way)
        ):
            return Turn.ITS_OWN
        return Turn.NOBODYS if self.halted else Turn.ANOTHERS


def decide(
    members: Iterable[Member], policy: Policy, target: str, before: Rollout, now: datetime
) -> Rollout:
    """Return *before* as it goes on at *now*: who passed, who failed, and whose turn it is."""
    fleet = {member.name: member for member in members}
    found = aligned(before, policy, target)
    if found.complete:
        return found
    if found.halted is None:
        # While it is halted, what is under way is left to itself: its end changes nothing.
        found = _judged(found, fleet, policy, now)
    if found.halted:
        return found
    found = _let_go(found, fleet, policy, now)
    return replace(found, complete=not found.under_way and not found.failed and _is_over(fleet))


def _is_over(fleet: dict[TenantName, Member]) -> bool:
    """Return whether nobody waits, as far as everybody was looked at."""
    return all(
        member.seen_at is not None and not member.waits and not member.waits_for_window
        for member in fleet.values()
        if member.counts
    )


def share_of(share: Share, total: int, *, up: bool) -> int:
    """Return how many of *total* tenants *share* is; at least one if it is more than none."""
    if isinstance(share, int):
        return share
    exact = int(share.removesuffix("%")) * total / 100
    return max(1, math.ceil(exact) if up else math.floor(exact)) if exact else 0


def aligned(before: Rollout, policy: Policy, target: str) -> Rollout:
    """Return *before*, or a new beginning where other defaults, or going on, are wanted now."""
    if before.target != target:
        return Rollout(target=target, resumed_at=policy.resumed_at)
    if before.resumed_at != policy.resumed_at:
        return replace(before, halted=None, failed=(), resumed_at=policy.resumed_at)
    return before


def _judged(
    before: Rollout, fleet: dict[TenantName, Member], policy: Policy, now: datetime
) -> Rollout:
    """Return *before* with everybody under way judged by how they are now."""
    found = {
        each.name: _verdict(each, fleet.get(each.name), policy, now) for each in before.under_way
    }
    passed = {name for name, verdict in found.items() if verdict is _PASSED}
    failures = {name: verdict for name, verdict in found.items() if isinstance(verdict, str)}
    halted = None
    if failures and policy.pause_on_failure:
        name = min(failures)
        halted = Halt(name=name, message=failures[name], at=now)
    return replace(
        before,
        under_way=tuple(each for each in found.values() if isinstance(each, UnderWay)),
        passed=tuple(sorted(passed.union(before.passed))),
        failed=tuple(sorted({*before.failed, *failures})),
        halted=halted,
    )


def _verdict(
    each: UnderWay, member: Member | None, policy: Policy, now: datetime
) -> UnderWay | bool | str:
    """Return why *each* failed, that it passed or gave its turn back, or where it stands."""
    if member is None or not member.counts:
        return _GAVE_BACK  # stopped, paused or gone: it is nobody's business any more
    is_late = now - each.since > policy.deadline
    if member.seen_at is None or member.seen_at <= each.since:
        why = f": {member.message}" if member.message and member.seen_at is None else ""
        return f"nobody could look at it in time{why}" if is_late else each
    if member.trouble:
        return member.trouble
    if member.waits_for_window:
        return _GAVE_BACK  # its window closed before it could begin
    if member.is_ready and not member.waits:
        ready_since = each.ready_since or member.seen_at
        has_settled = now - ready_since >= policy.settle
        return _PASSED if has_settled else replace(each, ready_since=ready_since)
    if each.ready_since:
        return "it was ready again, but did not stay so"
    why = f": {member.obstacle}" if member.obstacle else ""
    return f"it did not become ready in time{why}" if is_late else each


def _let_go(
    before: Rollout, fleet: dict[TenantName, Member], policy: Policy, now: datetime
) -> Rollout:
    """Return *before* with as many more under way as may be."""
    going = {each.name for each in before.under_way}
    ready = [
        member
        for member in fleet.values()
        if member.waits
        and member.counts
        and member.is_ready
        and member.seen_at is not None
        and not member.trouble
        and member.name not in going
        and member.name not in before.failed
    ]
    room = _room_beside(fleet.values(), policy, before) - len(going)
    canaries = share_of(policy.canary, _total(fleet.values()), up=True)
    if len(before.passed) < canaries:
        if any(_is_to_be_seen(member) for member in fleet.values()):
            return before  # somebody may volunteer who was not looked at yet
        room = min(room, canaries - len(before.passed) - len(going))
    order = sorted(ready, key=lambda member: (not member.volunteers, member.name))
    more = tuple(UnderWay(name=each.name, since=now) for each in order[: max(room, 0)])
    return replace(before, under_way=(*before.under_way, *more))


def has_room_beside(members: Collection[Member], policy: Policy, rollout: Rollout) -> bool:
    """Return whether anybody may go at all beside those who are out of service anyway."""
    return _room_beside(members, policy, rollout) > 0


def _room_beside(members: Collection[Member], policy: Policy, rollout: Rollout) -> int:
    """Return how many may be under way beside those who are out of service anyway."""
    going = {each.name for each in rollout.under_way}
    away = sum(
        member.counts and not member.is_ready and not member.is_blind and member.name not in going
        for member in members
    )
    return share_of(policy.max_unavailable, _total(members), up=False) - away


def _total(members: Collection[Member]) -> int:
    return sum(member.counts for member in members)


def _is_to_be_seen(member: Member) -> bool:
    """Return whether a look at *member* is still to come, and not in vain."""
    return member.counts and member.seen_at is None and not member.is_blind
