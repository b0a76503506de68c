from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cachepilot.daemon.backoff import pause_after

FAILURES = st.integers(1, 10_000)
JITTER = st.floats(0, 1)


@given(FAILURES, JITTER)
def test_a_pause_is_never_shorter_than_half_a_second_nor_longer_than_a_minute(failures, jitter):
    assert 0.5 <= pause_after(failures, jitter=jitter) <= 60


@given(FAILURES, JITTER)
def test_pauses_never_shrink_while_failures_go_on(failures, jitter):
    assert pause_after(failures, jitter=jitter) <= pause_after(failures + 1, jitter=jitter)


@given(FAILURES)
def test_half_of_a_pause_is_chance_so_that_tenants_do_not_come_back_together(failures):
    assert pause_after(failures, jitter=0) == pause_after(failures, jitter=1) / 2


def test_the_first_pause_is_about_a_second_and_the_longest_a_minute():
    assert pause_after(1, jitter=1) == 1
    assert pause_after(7, jitter=1) == 60
    assert pause_after(0, jitter=1) == 1
