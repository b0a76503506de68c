"""One password follows another: what is documented works at every moment, and the rest in time.

The diary below knows nothing of plans: after each effect it looks at what is documented and at
what the server takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.apply.executor import perform
from cachepilot.apply.outcome import Done
from cachepilot.plan.actions import Disruption
from cachepilot.reconcile import Visit, next_visit
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.tenant import TenantSpec
from tests.builders import tenant
from tests.fakes.scenes import look, plan, settled
from tests.fakes.world import FakeWorld
from tests.fakes.writers import writers_of

FILE = "/passwords/acme"
HOUR = timedelta(hours=1)
ROUNDS = 8

_LASTING = {"certificate_lifetime": timedelta(days=3650), "renew_before": timedelta(days=1)}

wishes = st.builds(
    lambda wish, every, grace, from_file: tenant(
        "acme",
        **_LASTING,
        password_file=FILE if from_file else None,
        rotated_at=None if from_file else wish,
        rotate_every=None if from_file or not every else timedelta(days=every),
        grace=grace,
    ),
    st.sampled_from([None, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]),
    st.sampled_from([0, 0, 2, 30]),
    st.sampled_from([timedelta(0), 3 * HOUR, 24 * HOUR]),
    st.sampled_from([False, False, True]),
)
steps = st.tuples(
    wishes,
    st.sampled_from(["first-password", "second-password"]),
    st.sampled_from([HOUR, 5 * HOUR, 25 * HOUR, 72 * HOUR]),
    st.one_of(st.none(), st.integers(0, 6)),
)


@dataclass
class Diary:
    """What a person who only reads `credentials` knows, and until when each was promised."""

    world: FakeWorld
    documented: str = ""
    replaced: dict[str, datetime] = field(default_factory=dict)

    def look(self):
        now = self.text_of(self.world.memory("acme").credential("default").revision)
        if self.documented and now != self.documented:
            self.replaced[self.documented] = self.world.now
        self.replaced.pop(now, None)
        self.documented = now
        assert now in self.accepted()

    def accepted(self):
        enabled, revisions, *_ = self.world.servers["acme"].users["default"]
        assert enabled
        return {self.text_of(int(revision)) for revision in revisions}

    def promised(self, spec):
        """Return what has to work now; what is over once never works again."""
        over = {old for old, at in self.replaced.items() if at + spec.grace <= self.world.now}
        for old in over:
            del self.replaced[old]
        return {self.documented, *self.replaced}

    def text_of(self, revision):
        return self.world.adopted.get(("acme", "default", revision), f"drawn {revision}")


def visit(diary: Diary, spec: TenantSpec, cut: int | None = None) -> None:
    budget = cut if cut is not None else 10_000
    for _ in range(ROUNDS):
        actions = plan(diary.world, spec).actions
        for action in actions:
            if not budget:
                return
            assert action.disruption is Disruption.NONE, action
            budget -= 1
            before = perform(action, writers_of(diary.world), now=diary.world.tick())
            assert isinstance(before, Done), before
            diary.look()
        if not actions:
            return
    raise AssertionError("visits go on for ever")


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, min_size=1, max_size=8))
def test_what_is_documented_works_at_every_moment_and_the_rest_until_its_grace_is_over(walk):
    world = settled(tenant(**_LASTING))
    diary = Diary(world)
    diary.look()
    for spec, text, pause, cut in walk:
        world.password_files[FILE] = text
        if cut is not None:
            visit(diary, spec, cut)
        visit(diary, spec)
        assert diary.accepted() == diary.promised(spec)
        world.now += pause
        diary.look()
        visit(diary, spec)
        assert diary.accepted() == diary.promised(spec)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=1, max_size=4))
def test_nobody_has_to_look_before_the_next_step_is_due(walk):
    """Just before the moment that a visit names, nothing is to be done; just after, something."""
    world = settled(tenant(**_LASTING))
    diary = Diary(world)
    for spec, text, pause, _ in walk:
        world.password_files[FILE] = text
        visit(diary, spec)
        after = pause_named(world, spec)
        world.now += (after or 1000 * HOUR) - timedelta(minutes=1)
        assert plan(world, spec).actions == ()
        world.now += timedelta(minutes=2)
        assert bool(plan(world, spec).actions) is (after is not None)
        world.now += pause


def pause_named(world, spec):
    """Return how long a visit says that nothing is due."""
    seen = look(world, spec)
    return next_visit(
        Visit(
            tenant_name=spec.name,
            reading=Reading(tenant_name=spec.name, presence=Presence.PRESENT),
            spec=spec,
            memory=seen.memory,
            seen=seen,
            plan=plan(world, spec),
            outcomes=(),
        )
    ).after


def test_a_password_that_came_into_force_in_the_future_ends_all_the_same():
    """A clock that was once years ahead must not stop rotation until then."""
    spec = tenant("acme", **_LASTING, rotate_every=timedelta(days=30), grace=24 * HOUR)
    world = settled(spec)
    diary = Diary(world)
    present = world.now
    world.now += timedelta(days=3000)
    visit(diary, spec)

    world.now = present + HOUR
    visit(diary, spec)
    world.now += timedelta(days=2)
    visit(diary, spec)

    kept = world.memory("acme").credentials_of("default")
    assert [each.revision for each in kept] == [2]
    world.now += timedelta(days=31)
    visit(diary, spec)
    assert world.memory("acme").credential("default").revision == 3


def test_no_more_than_nine_passwords_work_however_fast_they_follow():
    world = settled()
    diary = Diary(world)
    for day in range(1, 29):
        spec = tenant("acme", rotated_at=f"2026-02-{day:02}T00:00:00Z", grace=24 * HOUR)
        world.now += timedelta(minutes=1)
        visit(diary, spec)
        assert len(diary.accepted()) <= 9
    assert diary.documented == "drawn 29"
