"""However a fleet behaves, new defaults reach it canaries first, so many at a time, or halt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.plan.holding import Turn
from cachepilot.plan.rollout import Member, Policy, Rollout, decide, share_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEP = timedelta(seconds=10)
POLICY = Policy(
    canary=1,
    max_unavailable=1,
    pause_on_failure=True,
    settle=timedelta(seconds=30),
    deadline=timedelta(minutes=5),
    resumed_at=None,
)
GOOD, BAD, SLOW, FLAPPING = "good", "bad", "slow", "flapping"


@dataclass
class Fleet:
    """Tenants that take the new default some time after they were let go, or fail with it."""

    kinds: dict[str, str]
    volunteers: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    has: dict[str, str] = field(default_factory=dict)
    down: dict[str, int] = field(default_factory=dict)
    age: dict[str, int] = field(default_factory=dict)
    blind: frozenset[str] = frozenset()
    stalled: set[str] = field(default_factory=set)
    rollout: Rollout = field(default_factory=Rollout)
    now: datetime = NOON

    def members(self, target):
        for name in self.kinds:
            waits = self.has.get(name, "old") != target and name not in self.resting
            yield Member(
                name=name,
                seen_at=None if name in self.blind else self.now,
                is_blind=name in self.blind,
                counts=name not in self.resting,
                is_ready=not self.down.get(name) and name not in self.broken | self.blind,
                message="",
                waits=waits and name not in self.closed | self.blind,
                waits_for_window=waits and name in self.closed,
                trouble="it is stalled" if name in self.stalled else "",
                obstacle="its image is being fetched" if self.kinds[name] == SLOW else "",
                volunteers=name in self.volunteers,
            )

    def step(self, policy, target):
        """Let ten seconds pass; return who was let go."""
        before = {each.name for each in self.rollout.under_way}
        self.rollout = decide(self.members(target), policy, target, self.rollout, self.now)
        gone = [each.name for each in self.rollout.under_way if each.name not in before]
        self.now += STEP
        for name, kind in self.kinds.items():
            if self.down.get(name, 0) > 0:
                self.down[name] -= 1
            may = self.rollout.turn_of(name) is Turn.ITS_OWN
            differs = self.has.get(name, "old") != target
            if may and differs and name not in self.closed | self.resting:
                self.has[name] = target
                self.age[name] = 0
                self.down[name] = {GOOD: 1, SLOW: 12, BAD: 10**9, FLAPPING: 1}[kind]
                if kind == BAD:
                    self.stalled.add(name)
            elif name in self.age:
                self.age[name] += 1
                if kind == FLAPPING and self.age[name] == 3 and target == "new":
                    self.down[name] = 10**9
        return gone

    @property
    def away(self):
        return {name for name, steps in self.down.items() if steps > 0}


names = st.integers(1, 12).map(lambda count: [f"t{number:02}" for number in range(count)])
kinds = st.sampled_from([GOOD, GOOD, GOOD, SLOW])
shares = st.sampled_from([1, 2, 3, "10%", "25%", "50%"])


@st.composite
def fleets(draw, of=kinds):
    everybody = draw(names)
    some = st.sets(st.sampled_from(everybody), max_size=3).map(frozenset)
    return Fleet(
        kinds={name: draw(of) for name in everybody},
        volunteers=draw(some),
        resting=draw(some),
    )


policies = st.builds(
    lambda canary, most, pause: replace(
        POLICY, canary=canary, max_unavailable=most, pause_on_failure=pause
    ),
    st.one_of(st.just(0), shares),
    shares,
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(fleets(), policies)
def test_a_healthy_fleet_takes_new_defaults_within_bounds_and_ends(fleet, policy):
    serving = [name for name in fleet.kinds if name not in fleet.resting]
    most = share_of(policy.max_unavailable, len(serving), up=False)
    canaries = share_of(policy.canary, len(serving), up=True)
    order = []
    for _ in range(40 * len(fleet.kinds)):
        order += fleet.step(policy, "new")
        assert len(fleet.rollout.under_way) <= most
        assert fleet.away <= {each.name for each in fleet.rollout.under_way}
        if len(fleet.rollout.passed) < canaries:
            assert len(fleet.rollout.passed) + len(fleet.rollout.under_way) <= canaries

    assert sorted(order) == sorted(serving)
    assert all(fleet.has[name] == "new" for name in serving)
    assert not fleet.has.keys() & fleet.resting
    assert fleet.rollout.passed == tuple(sorted(serving))
    assert fleet.rollout.complete
    volunteers = fleet.volunteers & set(serving)
    assert set(order[: len(volunteers)]) == volunteers


@settings(max_examples=150, deadline=None)
@given(fleets(st.sampled_from([GOOD, GOOD, BAD, FLAPPING])), policies)
def test_nobody_is_let_go_behind_the_first_failure(fleet, policy):
    policy = replace(policy, pause_on_failure=True)
    for _ in range(400):
        let_go = fleet.step(policy, "new")
        if fleet.rollout.halted:
            break
    if not fleet.rollout.halted:
        assert not {BAD, FLAPPING} & {
            kind for name, kind in fleet.kinds.items() if name not in fleet.resting
        }
        return
    assert not let_go
    harmed, taken = fleet.away, dict(fleet.has)
    for _ in range(100):
        fleet.step(policy, "new")
    assert fleet.has == taken
    assert fleet.away <= harmed | {
        name for name, kind in fleet.kinds.items() if kind == FLAPPING and name in taken
    }
    untouched = set(fleet.kinds) - set(taken)
    assert all(fleet.rollout.turn_of(name) is Turn.NOBODYS for name in untouched)


@settings(max_examples=100, deadline=None)
@given(fleets(), policies, st.integers(1, 60))
def test_defaults_that_are_taken_back_in_the_middle_are_taken_back_everywhere(
    fleet, policy, steps
):
    for _ in range(steps):
        fleet.step(policy, "new")
    for _ in range(60 * len(fleet.kinds)):
        fleet.step(policy, "old")
    assert {fleet.has.get(name, "old") for name in fleet.kinds} == {"old"}
    assert fleet.rollout.under_way == ()
    assert fleet.rollout.target == "old"


@settings(max_examples=100, deadline=None)
@given(fleets(st.sampled_from([GOOD, BAD])))
def test_a_person_can_go_on_after_a_failure(fleet):
    resumed = 0
    for _ in range(60 * len(fleet.kinds)):
        wish = replace(POLICY, resumed_at=str(resumed), max_unavailable=50)
        fleet.step(wish, "new")
        resumed += bool(fleet.rollout.halted)
    serving = {name for name in fleet.kinds if name not in fleet.resting}
    assert {name for name in serving if fleet.has.get(name) == "new"} == serving
    bad = {name for name in serving if fleet.kinds[name] == BAD}
    assert (resumed > 0) is bool(bad)


def test_a_closed_window_is_waited_for_by_nobody_else():
    fleet = Fleet(kinds=dict.fromkeys("abc", GOOD), closed=frozenset("a"))
    for _ in range(40):
        fleet.step(POLICY, "new")
    assert fleet.has == {"b": "new", "c": "new"}
    fleet.closed = frozenset()
    for _ in range(20):
        fleet.step(POLICY, "new")
    assert fleet.has["a"] == "new"


def test_a_turn_that_comes_behind_the_end_of_a_window_goes_to_another():
    fleet = Fleet(kinds=dict.fromkeys("ab", GOOD))
    fleet.rollout = decide(fleet.members("new"), POLICY, "new", fleet.rollout, NOON)
    assert [each.name for each in fleet.rollout.under_way] == ["a"]
    fleet.closed, fleet.now = frozenset("a"), NOON + STEP
    fleet.rollout = decide(fleet.members("new"), POLICY, "new", fleet.rollout, fleet.now)
    assert [each.name for each in fleet.rollout.under_way] == ["b"]


def test_who_is_out_of_service_anyway_counts():
    fleet = Fleet(kinds=dict.fromkeys("abc", GOOD), broken=frozenset("c"))
    for _ in range(20):
        assert not fleet.step(POLICY, "new")
    for _ in range(40):
        fleet.step(replace(POLICY, max_unavailable=2), "new")
    assert fleet.has == {"a": "new", "b": "new"}


@settings(max_examples=100, deadline=None)
@given(fleets(), policies, st.data())
def test_who_cannot_be_looked_at_holds_nobody_else_up_and_follows_once_mended(fleet, policy, data):
    serving = {name for name in fleet.kinds if name not in fleet.resting}
    if not serving:
        return
    fleet.blind = frozenset(data.draw(st.sets(st.sampled_from(sorted(serving)), min_size=1)))
    for _ in range(40 * len(fleet.kinds)):
        fleet.step(policy, "new")
    assert fleet.has == dict.fromkeys(serving - fleet.blind, "new")
    assert not fleet.rollout.complete
    assert all(fleet.rollout.turn_of(name) is Turn.ANOTHERS for name in fleet.blind)

    fleet.blind = frozenset()
    for _ in range(40 * len(fleet.kinds)):
        fleet.step(policy, "new")
    assert fleet.has == dict.fromkeys(serving, "new")
    assert fleet.rollout.complete


def test_a_tenant_that_turns_blind_in_its_turn_is_waited_for_until_the_deadline():
    fleet = Fleet(kinds={"a": GOOD, "b": GOOD})
    fleet.step(POLICY, "new")
    fleet.blind = frozenset("a")
    for _ in range(40):
        fleet.step(POLICY, "new")
    assert fleet.rollout.halted
    assert "nobody could look at it in time" in fleet.rollout.halted.message
    assert fleet.has == {"a": "new"}


def test_a_deadline_fails_who_never_comes_back():
    fleet = Fleet(kinds={"a": SLOW, "b": GOOD})
    brief = replace(POLICY, deadline=timedelta(seconds=60))
    for _ in range(20):
        fleet.step(brief, "new")
    assert fleet.rollout.halted
    why = "it did not become ready in time: its image is being fetched"
    assert fleet.rollout.halted.message == why
    assert fleet.has == {"a": "new"}


def test_without_a_pause_failures_only_take_room():
    fleet = Fleet(kinds={"a": BAD, "b": GOOD, "c": GOOD})
    for _ in range(60):
        fleet.step(replace(POLICY, pause_on_failure=False, max_unavailable=2), "new")
    assert fleet.has == dict.fromkeys("abc", "new")
    assert fleet.rollout.failed == ("a",)


@pytest.mark.parametrize(
    ("share", "total", "up", "number"),
    [
        (3, 10, True, 3),
        ("10%", 25, True, 3),
        ("10%", 25, False, 2),
        ("10%", 3, False, 1),
        ("0%", 9, True, 0),
        ("100%", 9, False, 9),
    ],
)
def test_a_share_is_a_number_or_a_percentage(share, total, up, number):
    assert share_of(share, total, up=up) == number
