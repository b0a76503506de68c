"""One root follows another: when a step is due, and that no order of events strands anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.observe.snapshot import (
    RotationPhase,
    SeenAuthority,
    SeenRoot,
    SeenRotation,
)
from cachepilot.plan import succession as s
from tests.fakes.world import NOON

WISH, OTHER_WISH = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"
DAY = timedelta(days=1)
TERMS = s.SuccessionTerms(
    rotated_at=WISH, notice=30 * DAY, overlap=20 * DAY, rotate_before=365 * DAY
)
NOBODY = replace(TERMS, rotated_at=None)
OLD = SeenRoot(fingerprint="old", not_after=NOON + 2000 * DAY)
NEW = SeenRoot(fingerprint="new", not_after=NOON + 3650 * DAY)
P = RotationPhase
BOTH = ("new", "old")


def authority(phase=None, *, since=NOON, signer=OLD, roots=(OLD,), by_wish=True, **more):
    rotation = None
    if phase:
        problem = more.pop("problem_of_other", "")
        rotation = SeenRotation(phase=phase, since=since, by_wish=by_wish, problem=problem)
    return SeenAuthority(
        exists=True,
        fingerprint=signer.fingerprint,
        not_after=signer.not_after,
        roots=roots,
        rotation=rotation,
        **more,
    )


def joining(phase=P.JOINING, **more):
    return authority(phase, roots=(OLD, NEW), **more)


def leaving(phase=P.LEAVING, **more):
    return authority(phase, signer=NEW, roots=(NEW, OLD), served_wish=WISH, **more)


def step(seen, *holders, terms=TERMS, now=NOON):
    return s.next_step(seen, terms, holders, now).step


HOLDS = s.Holder(name="acme", roots=BOTH, signer="old")
RENEWED = s.Holder(name="acme", roots=BOTH, signer="new")
BEHIND = s.Holder(name="slow", roots=("old",), signer="old")


def test_without_a_wish_and_with_time_left_nothing_happens():
    assert step(authority(), terms=NOBODY) is None
    assert step(authority(served_wish=WISH)) is None


def test_a_wish_begins_a_rotation_and_so_does_age():
    assert step(authority()) == s.BeginRotation(
        cause=f"authority.rotatedAt is {WISH}", by_wish=True
    )
    late = NOON + 1700 * DAY
    begun = step(authority(), terms=NOBODY, now=late)
    assert isinstance(begun, s.BeginRotation)
    assert not begun.by_wish


@pytest.mark.parametrize(
    "seen", [SeenAuthority(exists=False), replace(authority(), problem="its key is missing")]
)
def test_an_authority_that_must_not_be_touched_is_not_replaced_either(seen):
    assert step(seen) is None


def test_a_root_that_was_promised_is_made():
    assert step(authority(P.MAKING)) == s.JoinRoot()


def test_the_new_root_is_announced_once_every_server_holds_both():
    assert step(joining(), HOLDS) == s.AnnounceRoot()
    assert step(joining()) == s.AnnounceRoot()
    found = s.next_step(joining(), TERMS, (HOLDS, BEHIND), NOON)
    assert (found.step, found.waits_for) == (None, ("slow",))


def test_the_new_root_signs_when_its_notice_is_over_and_everybody_still_holds_both():
    seen, over = joining(P.ANNOUNCED), NOON + 30 * DAY
    assert step(seen, HOLDS, now=over - DAY) is None
    assert s.next_step(seen, TERMS, (HOLDS,), NOON).until == over
    assert step(seen, HOLDS, now=over) == s.PromoteRoot(served=WISH)
    assert step(seen, HOLDS, BEHIND, now=over) is None


def test_the_old_root_is_released_once_every_leaf_is_signed_by_the_new_one():
    assert step(leaving(P.REISSUING), RENEWED) == s.ReleaseRoot()
    assert step(leaving(P.REISSUING), RENEWED, HOLDS) is None


def test_the_old_root_leaves_when_the_overlap_is_over_and_nobody_needs_it():
    over = NOON + 20 * DAY
    assert step(leaving(), RENEWED, now=over - DAY) is None
    assert step(leaving(), RENEWED, HOLDS, now=over) is None
    assert step(leaving(), RENEWED, now=over) == s.DropRoot()


def test_what_left_is_removed():
    assert step(authority(P.REMOVING)) == s.RemoveRoot()


@pytest.mark.parametrize("phase", [P.JOINING, P.ANNOUNCED])
def test_a_wish_can_be_withdrawn_until_the_new_root_signs(phase):
    assert step(joining(phase), HOLDS, terms=NOBODY) == s.DropRoot()
    assert step(joining(phase, by_wish=False), HOLDS, terms=NOBODY) != s.DropRoot()
    # Another wish is a wish all the same.
    assert step(joining(phase), BEHIND, terms=replace(TERMS, rotated_at=OTHER_WISH)) is None


@pytest.mark.parametrize("phase", [P.REISSUING, P.LEAVING])
def test_what_customers_may_rely_on_is_not_taken_back(phase):
    assert step(leaving(phase), HOLDS, terms=NOBODY) is None


def test_a_lost_new_root_stops_everything_but_a_withdrawal():
    seen = joining(P.ANNOUNCED, problem_of_other="cannot use the root in /ca/2")
    assert step(seen, HOLDS, now=NOON + 90 * DAY) is None
    assert step(seen, HOLDS, terms=NOBODY) == s.DropRoot()


def test_a_clock_that_was_set_back_begins_a_promised_time_anew():
    later = NOON + 4000 * DAY
    assert step(joining(P.ANNOUNCED, since=later), HOLDS) == s.AnnounceRoot()
    assert step(leaving(since=later), RENEWED) == s.ReleaseRoot()


class Host:
    """A host in miniature: its roots, its tenants, and customers who take up what they are given.

    A customer takes up the bundle at any moment between the announcement and its end.
    """

    def __init__(self):
        self.roots, self.signer, self.phase, self.since = ["old"], "old", None, NOON
        self.served, self.now, self.tenants = None, NOON, {"a": None, "b": None}
        self.bundles = {}
        for name in self.tenants:
            self.visit(name)

    def visit(self, name):
        self.tenants[name] = (tuple(sorted(self.roots)), self.signer)

    def seen(self):
        known = {"old": OLD, "new": NEW}
        return authority(
            self.phase,
            since=self.since,
            signer=known[self.signer],
            roots=tuple(known[name] for name in self.roots),
            served_wish=self.served,
        )

    def step(self, terms):
        holders = tuple(
            s.Holder(name=name, roots=leaf[0], signer=leaf[1])
            for name, leaf in self.tenants.items()
        )
        taken = step(self.seen(), *holders, terms=terms, now=self.now)
        match taken:
            case s.BeginRotation():
                self.go(P.MAKING)
            case s.JoinRoot():
                self.roots = ["old", "new"]
                self.go(P.JOINING)
            case s.AnnounceRoot():
                self.go(P.ANNOUNCED)
            case s.PromoteRoot(served=served):
                self.signer, self.served = "new", served
                self.go(P.REISSUING)
            case s.ReleaseRoot():
                self.go(P.LEAVING)
            case s.DropRoot():
                self.roots = [self.signer]
                self.go(P.REMOVING)
            case s.RemoveRoot():
                self.phase = None
        return taken

    def go(self, phase):
        self.phase, self.since = phase, self.now


MOVES = st.one_of(
    st.tuples(st.just("step")),
    st.tuples(st.just("visit"), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("wait"), st.integers(1, 25)),
    st.tuples(st.just("born")),
    st.tuples(st.just("gone"), st.sampled_from(["a", "b"])),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(MOVES, max_size=60))
def test_whoever_takes_the_bundle_up_in_the_promised_time_verifies_every_server_always(moves):
    """In any order of steps, visits, births, ends and passing time."""
    host = Host()
    published, announced = ("old",), None
    for move, *given_to in moves:
        match move:
            case "step":
                host.step(TERMS)
            case "visit" if given_to[0] in host.tenants:
                host.visit(given_to[0])
            case "wait":
                host.now += given_to[0] * DAY
            case "born":
                host.visit("c")
            case "gone":
                host.tenants.pop(given_to[0], None)
        if host.phase is P.ANNOUNCED and announced is None:
            announced = host.now
        published = tuple(sorted(host.roots))
        signers = {leaf[1] for leaf in host.tenants.values()}
        # A customer who took the bundle up meets only servers whose root is in it.
        assert signers <= set(published)
        # One who has not yet meets only servers of the old root until the notice is over.
        if announced is None or host.now < announced + TERMS.notice:
            assert signers <= {"old"}


def test_a_rotation_that_nothing_holds_up_ends_with_the_new_root_alone():
    host = Host()
    for _ in range(40):
        host.step(TERMS)
        for name in host.tenants:
            host.visit(name)
        host.now += 5 * DAY
    assert (host.roots, host.signer, host.phase) == (["new"], "new", None)
    assert host.step(TERMS) is None
