from datetime import timedelta

import pytest

from cachepilot.cli.columns import table
from cachepilot.cli.figures import age_text, size_text


def test_columns_are_aligned_and_lines_end_where_text_does():
    assert table([("a", "long", ""), ("bb", "x", "end")], headers=("N", "V", "M")) == [
        "N    V      M",
        "a    long",
        "bb   x      end",
    ]


def test_wide_letters_count_twice_and_accents_not_at_all():
    assert table([("日本", "x"), ("e\u0301a", "x"), ("abcd", "x")]) == [
        "日本   x",
        "e\u0301a     x",
        "abcd   x",
    ]


def test_only_the_last_column_is_cut_and_only_on_request():
    assert table([("name", "x" * 40)]) == ["name   " + "x" * 40]
    assert table([("name", "x" * 40)], width=30) == ["name   " + "x" * 22 + "…"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (9000, "2h30m"),
        (36_000, "10h"), (172_800, "2d"), (190_800, "2d5h"), (864_000, "10d"),
    ],
)  # fmt: skip
def test_ages_are_short(seconds, text):
    assert age_text(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (2**26, "64MiB"), (2**40, "1TiB"), (None, "")],
)
def test_sizes_are_short(size, text):
    assert size_text(size) == text
