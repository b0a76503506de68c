"""The rule behind memory.limit."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.headroom import container_limit, describe_rule
from cachepilot.spec.rules import HeadRoom

MIB = 2**20
NONE, RDB, AOF = PersistenceMode.NONE, PersistenceMode.RDB, PersistenceMode.AOF


def rule(base: int, buffers: float, copies: float) -> HeadRoom:
    return HeadRoom.model_construct(base=base, buffers=buffers, copyOnWrite=copies)


@pytest.mark.parametrize(("mode", "expected"), [(NONE, 126), (RDB, 206), (AOF, 206)])
def test_only_modes_that_fork_pay_for_copies(mode, expected):
    assert container_limit(100 * MIB, mode, HeadRoom()) == expected * MIB


def test_a_share_is_taken_exactly():
    """1.1 times 100 MiB in floats is a little more than 110 MiB, which would round up."""
    assert container_limit(100 * MIB, NONE, rule(0, 0.1, 0.0)) == 110 * MIB


def test_parts_of_a_mebibyte_are_rounded_up():
    assert container_limit(1, NONE, rule(0, 0.0, 0.0)) == MIB


@given(
    size=st.integers(min_value=1, max_value=2**50),
    base=st.integers(min_value=1, max_value=2**40),
    buffers=st.decimals(min_value=0, max_value=4, places=3),
    copies=st.decimals(min_value=0, max_value=2, places=3),
    mode=st.sampled_from(PersistenceMode),
)
def test_rule_is_the_formula_of_its_docstring(size, base, buffers, copies, mode):
    share = 1 + Fraction(buffers) + (Fraction(copies) if mode is not NONE else 0)
    expected = ceil((base + size * share) / MIB) * MIB

    assert container_limit(size, mode, rule(base, float(buffers), float(copies))) == expected


def test_description_names_every_number():
    assert describe_rule(100 * MIB, AOF, HeadRoom()) == (
        "16MiB + 100MiB x (1 + 0.1 for buffers + 0.8 for copy-on-write while aof saves) = 206MiB"
    )
    assert describe_rule(100 * MIB, NONE, HeadRoom()) == (
        "16MiB + 100MiB x (1 + 0.1 for buffers) = 126MiB"
    )
