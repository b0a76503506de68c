"""Words without quotes."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cachepilot.adapters.yaml_scalars import resolve_plain

# YAML 1.2.2, section 10.3.2; the other reader does not know ".0E0".
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMBERISH = st.text("0123456789+-.eExo_:abf", min_size=1, max_size=12)


@given(_NUMBERISH)
@example("0x")
@example("1e5")
@example(".0E0")
@example("-.5")
@example("+")
@example("0o8")
def test_what_is_read_as_a_number_is_one_to_another_reader_of_yaml_1_2(word):
    try:
        found = resolve_plain(word)
        expected = YAML(typ="safe", pure=True).load(word)
    except (ValueError, YAMLError):
        return

    if isinstance(expected, str) and _FLOAT.fullmatch(word):
        expected = float(word)
    if isinstance(found, int | float):
        assert found == expected
        assert type(found) is type(expected)


@pytest.mark.parametrize("word", ["1" * 40, "-" + "1" * 39, "0." + "1" * 38])
def test_the_longest_numbers_are_read(word):
    assert isinstance(resolve_plain(word), int | float)


@pytest.mark.parametrize("word", ["1" * 41, "1" * 200_000, "0x" + "f" * 100, "1e" + "9" * 50])
def test_numbers_without_end_are_refused(word):
    """Python itself refuses to read thousands of digits, with another exception."""
    with pytest.raises(ValueError, match="quote it"):
        resolve_plain(word)


@pytest.mark.parametrize("word", ["nope", "yesterday", "onward", "offset", "Null1", "trues", "."])
def test_words_that_only_begin_like_others_are_text(word):
    assert resolve_plain(word) == word
