"""One root after another: when the host's authority is replaced, and how far it may go.

A new root joins what clients are given. Once every server holds both, the new one is announced for
a while, in which customers take up the bundle; then it signs, every leaf is issued anew, and at
last the old one leaves. Each step waits for proof from every tenant that serves, and none but the
last two can be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from cachepilot.observe.snapshot import RotationPhase, SeenAuthority, SeenRotation

# A clock may be a little ahead of the one that wrote down when a phase began.
_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessionTerms:
    """What the owner of the host wants.

    Attributes:
        rotated_at: The newest wish for another root, as written.
        notice: How long the new root is announced before it signs.
        overlap: How long the old root is trusted after the last leaf was issued anew.
        rotate_before: How long before its end a root is replaced by itself.
    """

    rotated_at: str | None
    notice: timedelta
    overlap: timedelta
    rotate_before: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A tenant whose clients depend on the root.

    Attributes:
        roots: Fingerprints of the roots that its server was proven to hold, sorted.
        signer: Fingerprint of the root that signed the leaf which it was proven to serve.
    """

    name: str
    roots: tuple[str, ...] = ()
    signer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginRotation:
    """Remember that another root is to be made."""

    cause: str
    by_wish: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRoot:
    """Make the new root, and let it join what clients trust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceRoot:
    """Every server holds the new root; from now on customers have time to take it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteRoot:
    """Let the new root sign.

    Attributes:
        served: The wish that is served by this, or None.
    """

    served: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRoot:
    """Every leaf was issued anew; the old root is trusted for a while longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRoot:
    """Take a root out of what clients trust: the old one, or a new one nobody wants any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRoot:
    """Delete key and certificate of a root that nobody trusts any more."""


Step = BeginRotation | JoinRoot | AnnounceRoot | PromoteRoot | ReleaseRoot | DropRoot | RemoveRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What comes next.

    Attributes:
        step: What is to be done now, or None.
        waits_for: Tenants that have not proven yet what the phase asks for, sorted.
        until: When the phase ends at the earliest, if that is a matter of time.
    """

    step: Step | None = None
    waits_for: tuple[str, ...] = ()
    until: datetime | None = None


def next_step(
    seen: SeenAuthority, terms: SuccessionTerms, holders: tuple[Holder, ...], now: datetime
) -> Progress:
    """Return how the replacement of the root goes on."""
    if not seen.exists or seen.problem:
        return Progress()
    rotation = seen.rotation
    if rotation is None:
        return Progress(step=_beginning(seen, terms, now))
    if _is_withdrawn(seen, rotation, terms, now):
        return Progress(step=DropRoot())
    if rotation.problem:
        return Progress()
    return _go_on(seen, rotation, terms, holders, now)


def _beginning(seen: SeenAuthority, terms: SuccessionTerms, now: datetime) -> Step | None:
    wish = terms.rotated_at
    if wish not in (None, seen.served_wish):
        return BeginRotation(cause=f"authority.rotatedAt is {wish}", by_wish=True)
    if _is_old(seen, terms, now):
        return BeginRotation(cause=f"the root ends {seen.not_after:%Y-%m-%d}", by_wish=False)
    return None


def _is_old(seen: SeenAuthority, terms: SuccessionTerms, now: datetime) -> bool:
    return seen.not_after is not None and seen.not_after - now <= terms.rotate_before


def _is_withdrawn(
    seen: SeenAuthority, rotation: SeenRotation, terms: SuccessionTerms, now: datetime
) -> bool:
    """Return whether nobody wants a rotation any more that can still be taken back."""
    return (
        rotation.phase in (RotationPhase.MAKING, RotationPhase.JOINING, RotationPhase.ANNOUNCED)
        and rotation.by_wish
        and terms.rotated_at in (None, seen.served_wish)
        and not _is_old(seen, terms, now)
    )


def _go_on(
    seen: SeenAuthority,
    rotation: SeenRotation,
    terms: SuccessionTerms,
    holders: tuple[Holder, ...],
    now: datetime,
) -> Progress:
    phase = rotation.phase
    if phase in (RotationPhase.MAKING, RotationPhase.REMOVING):
        return Progress(step=JoinRoot() if phase is RotationPhase.MAKING else RemoveRoot())
    is_early = phase in (RotationPhase.JOINING, RotationPhase.ANNOUNCED)
    waits_for = _without_bundle(seen, holders) if is_early else _without_leaf(seen, holders)
    begin: Step = AnnounceRoot() if is_early else ReleaseRoot()
    if phase in (RotationPhase.JOINING, RotationPhase.REISSUING):
        return Progress(step=None if waits_for else begin, waits_for=waits_for)
    if rotation.since > now + _TOLERANCE:
        # Written by a clock that was wrong; the time that was promised begins anew.
        return Progress(step=begin)
    end: Step = PromoteRoot(served=terms.rotated_at) if is_early else DropRoot()
    until = rotation.since + (terms.notice if is_early else terms.overlap)
    is_over = now >= until and not waits_for
    return Progress(step=end if is_over else None, waits_for=waits_for, until=until)


def _without_bundle(seen: SeenAuthority, holders: tuple[Holder, ...]) -> tuple[str, ...]:
    return tuple(sorted(each.name for each in holders if each.roots != seen.bundle))


def _without_leaf(seen: SeenAuthority, holders: tuple[Holder, ...]) -> tuple[str, ...]:
    return tuple(sorted(each.name for each in holders if each.signer != seen.fingerprint))


def tell(step: Step) -> str:
    """Return one sentence about a step, for events and logs."""
    match step:
        case BeginRotation(cause=cause):
            return f"another root is made: {cause}"
        case JoinRoot():
            return "a new root joined the bundle in public/ca.pem; every server takes it up"
        case AnnounceRoot():
            return "every server holds the new root; hand public/ca.pem to customers now"
        case PromoteRoot():
            return "the new root signs; every certificate is issued anew"
        case ReleaseRoot():
            return "every certificate is signed by the new root; the old one leaves later"
        case DropRoot():
            return "a root left the bundle in public/ca.pem"
        case RemoveRoot():
            return "key and certificate of the root that left are deleted"
        case _:
            assert_never(step)


def tell_progress(phase: RotationPhase, progress: Progress) -> str:
    """Return one sentence about how far a rotation is, for a person."""
    words = _WORDS[phase]
    if progress.until:
        words += f", until {progress.until:%Y-%m-%d %H:%M:%SZ} at least"
    if progress.waits_for:
        few = ", ".join(progress.waits_for[:_FEW])
        more = len(progress.waits_for) - _FEW
        words += f"; it waits for {few}{f' and {more} more' if more > 0 else ''}"
    return words


_FEW = 8
_WORDS = {
    RotationPhase.MAKING: "another root is being made",
    RotationPhase.JOINING: "every server takes up a bundle with a new root",
    RotationPhase.ANNOUNCED: "the new root is announced: customers take up public/ca.pem",
    RotationPhase.REISSUING: "the new root signs, every certificate is issued anew",
    RotationPhase.LEAVING: "the old root is still trusted",
    RotationPhase.REMOVING: "a root that left is deleted",
}
