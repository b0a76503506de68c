"""Absence counts only while we could tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters.tenant_absence import Absences
from cachepilot.spec.document import TenantName

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ACME = TenantName("acme")
MINUTE = timedelta(minutes=1)

_LOOKS = st.lists(
    st.tuples(
        st.timedeltas(min_value=timedelta(days=-9), max_value=timedelta(days=9))
        | st.timedeltas(min_value=timedelta(), max_value=timedelta(minutes=5)),
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
)


@given(_LOOKS)
def test_counted_time_is_the_sum_of_the_gaps_between_good_looks(looks):
    """The oracle adds up what the rule allows to count, gap by gap."""
    absences, now, counted_before = Absences(), NOON, False
    expected: timedelta | None = None
    known = False
    for gap, present, counts in looks:
        now += gap
        absences.note(now, present={ACME} if present else (), counts=counts)
        if present:
            known, expected = True, None
        elif expected is not None:
            if counts and counted_before and timedelta() <= gap <= timedelta(hours=1):
                expected += gap
        elif known and counts:
            expected = timedelta()
        counted_before = counts

        since = absences.since.get(ACME)
        assert (None if since is None else now - since) == expected


def test_nobody_is_missed_before_a_good_look():
    absences = Absences()

    absences.note(NOON, present={ACME}, counts=False)
    absences.note(NOON + MINUTE, present=(), counts=False)

    assert absences.since == {}
    assert absences.first_look is None
    absences.note(NOON + 2 * MINUTE, present=(), counts=True)
    assert absences.since == {ACME: NOON + 2 * MINUTE}
    assert absences.first_look == NOON + 2 * MINUTE
