from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cachepilot.cli.output import yaml_text

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
_WORDS = st.sampled_from(
    ["yes", "null", "1", "0x1", "a: b", "- a", "#", "~", "", "on", "1e3", "a "]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT | _WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT | _WORDS, _VALUES, min_size=1, max_size=4))
def test_yaml_reads_back_as_the_same_object(content):
    assert YAML(typ="safe", pure=True).load(yaml_text(content)) == content
