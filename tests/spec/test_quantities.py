"""Sizes and durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from cachepilot.spec.quantities import (
    approximate_size,
    duration_from_text,
    duration_to_text,
    size_from_text,
    size_to_text,
)


@given(st.integers(min_value=1, max_value=10**12))
def test_a_size_reads_back_as_written(kibibytes):
    assert size_from_text(size_to_text(kibibytes * 1024)) == kibibytes * 1024


@given(st.integers(min_value=0, max_value=10**10))
def test_a_duration_reads_back_as_written(seconds):
    assert duration_from_text(duration_to_text(timedelta(seconds=seconds))) == timedelta(
        seconds=seconds
    )


@pytest.mark.parametrize(
    "text", ["", "256", "256MB", "256 MiB", "0MiB", "-1MiB", "1.5GiB", "256mib", "256MiB\n", 5]
)
def test_other_sizes_are_refused(text):
    with pytest.raises(PydanticCustomError):
        size_from_text(text)


@pytest.mark.parametrize("text", ["", "90", "1y", "1m1h", "1.5h", "-1h", "90d\n", "1 h", 5, None])
def test_other_durations_are_refused(text):
    with pytest.raises(PydanticCustomError):
        duration_from_text(text)


@pytest.mark.parametrize("digits", [14, 5000])
def test_numbers_without_end_are_refused(digits):
    with pytest.raises(PydanticCustomError):
        size_from_text("9" * digits + "KiB")
    with pytest.raises(PydanticCustomError):
        duration_from_text("9" * digits + "d")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1, "1B"), (1000, "1000B"), (1024, "1KiB"), (2**40 * 3, "3TiB")]
)
def test_a_size_is_written_exactly_in_the_largest_unit_that_divides_it(size, text):
    assert size_to_text(size) == text


def test_sizes_are_rounded_for_people():
    assert approximate_size(1500 * 2**20) == "1.5GiB"
    assert approximate_size(2 * 2**20) == "2MiB"
    assert approximate_size(12) == "12B"
