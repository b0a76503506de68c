"""Setting a field must change that field and nothing else, whatever the file looks like.

The layouts are made here together with the place of each value, so the expected bytes are known
without asking the code under test; what the files mean is read by a second, slower YAML loader.
"""

import io
from copy import deepcopy

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cachepilot.adapters.spec_refusals import UnsafeEditError
from cachepilot.adapters.spec_splice import set_field, value_of

BOM = b"\xef\xbb\xbf"
_SCALARS = ("1", "256MiB", "true", "'it''s'", '"a # b"', "0.5", "ä ö", "a b")
_ENDS = ("", "  # why", " ", "\t# tab", ' # it\'s "odd": {yes}')
_FILLERS = ("", "# a comment", "  # deep: comment", "   ", "# --- not a marker")


class Writer:
    """Writes one document in a random layout and notes where each scalar stands."""

    def __init__(self, draw, line_break, step):
        self.draw, self.line_break, self.step = draw, line_break, step
        self.text, self.spans, self.tree = "", {}, {}

    def line(self, text):
        self.text += text + self.draw(st.sampled_from(_ENDS)) + self.line_break
        for filler in self.draw(st.lists(st.sampled_from(_FILLERS), max_size=2)):
            self.text += filler + self.line_break

    def scalar(self, lead, path):
        text = self.draw(st.sampled_from(_SCALARS))
        self.spans[path] = (len(self.text) + len(lead), len(self.text) + len(lead) + len(text))
        self.line(lead + text)

    def mapping(self, path, indent, depth):
        for key in self.draw(st.lists(st.sampled_from("abcde"), min_size=1, unique=True)):
            lead = " " * indent + key + ":"
            kinds = ["scalar", "empty", "flow", "list"] + (["block"] * 2 if depth else [])
            match self.draw(st.sampled_from(kinds)):
                case "scalar":
                    self.scalar(lead + " ", (*path, key))
                case "empty":
                    self.line(lead)
                case "flow":
                    self.line(f"{lead} {{x: 1, y: [2, 'z']}}")
                case "list":
                    self.line(lead)
                    inner = indent + self.draw(st.sampled_from([0, self.step]))
                    for number in range(self.draw(st.integers(1, 2))):
                        self.scalar(" " * inner + "- ", (*path, key, number))
                case _:
                    self.line(lead)
                    self.mapping((*path, key), indent + self.step, depth - 1)


@st.composite
def layouts(draw):
    """Return (bytes, index of the document, spans in characters, source text)."""
    line_break = draw(st.sampled_from(["\n", "\r\n"]))
    writer = Writer(draw, line_break, draw(st.sampled_from([2, 3, 4])))
    index = draw(st.integers(0, 1))
    head = "".join(f"# {word}{line_break}" for word in draw(st.lists(st.just("head"), max_size=1)))
    if index:
        head += f"other: 1 # x{line_break}---{line_break}"
    elif draw(st.booleans()):
        head += f"---{line_break}"
    writer.text = head
    writer.mapping((), 0, 2)
    text = writer.text
    tail = draw(st.sampled_from(["", f"---{line_break}last: [1]", f"...{line_break}"]))
    if not tail and draw(st.booleans()):
        text = text.rstrip()
    data = (text + tail).encode()
    bom = BOM if draw(st.booleans()) else b""
    return bom + data, index, writer.spans, text + tail


def meaning(data):
    """Return every document as the second loader reads it, None where it gives up."""
    try:
        loader = YAML(typ="safe", pure=True)
        return list(loader.load_all(io.StringIO(data.removeprefix(BOM).decode())))
    except YAMLError:
        return None


def placed(value, path, wanted):
    if not path:
        return wanted
    copy = deepcopy(value)
    if isinstance(path[0], int):
        copy[path[0]] = placed(copy[path[0]], path[1:], wanted)
        return copy
    copy = {} if copy is None else copy
    copy[path[0]] = placed(copy.get(path[0]), path[1:], wanted)
    return copy


@given(layouts(), st.data())
def test_replacing_a_scalar_changes_exactly_its_own_bytes(layout, data):
    before, index, spans, source = layout
    assume(spans)
    path = data.draw(st.sampled_from(sorted(spans, key=str)))
    text = data.draw(st.sampled_from(["512MiB", "false", '"new # text"', "[1, 2]", "{k: v}"]))
    start, end = spans[path]
    bom = BOM if before.startswith(BOM) else b""
    expected = bom + (source[:start] + text + source[end:]).encode()

    assert set_field(before, index, path, text) == expected


@given(layouts(), st.data())
def test_a_missing_field_is_added_and_every_old_byte_stays(layout, data):
    before, index, _, _ = layout
    found = meaning(before)
    assume(found is not None)
    old = found[index]
    parents = [(), *(key for key in _mappings(old))]
    parent = data.draw(st.sampled_from(parents))
    path = (*parent, *data.draw(st.sampled_from([("new",), ("new", "deep")])))
    after = set_field(before, index, path, "77")

    added = len(after) - len(before)
    same = next((i for i in range(len(before)) if before[i] != after[i]), len(before))
    cuts = range(max(0, same - added), same + 1)
    assert any(after[:cut] + after[cut + added :] == before for cut in cuts)
    expected = [*found]
    expected[index] = placed(old, path, 77)
    assert meaning(after) == expected


def _mappings(value, at=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict) or inner is None:
                yield (*at, key)
                yield from _mappings(inner, (*at, key))


@pytest.mark.parametrize(
    ("before", "path", "text", "after"),
    [
        ("a:\n    b: 1\n    # end\n", ("a", "new"), "3", "a:\n    b: 1\n    new: 3\n    # end\n"),
        ("a: {b: 1}\n", ("a", "new"), "3", "a: {b: 1, new: 3}\n"),
        ("a: {}\n", ("a", "new", "m"), "3", "a: {new: {m: 3}}\n"),
        ("a:\n", ("a", "new"), "3", "a:\n  new: 3\n"),
        ("a: ~ # nothing\n", ("a", "new"), "3", "a: {new: 3} # nothing\n"),
        ("a: # to do\nb: 1\n", ("a",), "3", "a: 3 # to do\nb: 1\n"),
        ("a:\n- 1\n- 2 # two\nb: 1\n", ("a",), "[3]", "a: [3] # two\nb: 1\n"),
        ("a:\n  # the list\n  - 1\nb: 1\n", ("a",), "[3]", "a:\n  # the list\n    [3]\nb: 1\n"),
        ("a: |\n  long\n  text\n\nb: 1\n", ("a",), "3", "a: 3\n\nb: 1\n"),
        ("a: 1", ("new",), "3", "a: 1\nnew: 3"),
        ("l:\n- a: 1\n  b: 2\n", ("l", 0, "new"), "3", "l:\n- a: 1\n  b: 2\n  new: 3\n"),
        ("a: 1\r\nb:\r\n   c: 2\r\n", ("b", "new"), "3", "a: 1\r\nb:\r\n   c: 2\r\n   new: 3\r\n"),
        ("a: 1\n", ("x/y", "on"), "3", 'a: 1\nx/y:\n  "on": 3\n'),
    ],
)  # fmt: skip
def test_a_field_lands_where_a_person_would_write_it(before, path, text, after):
    assert set_field(before.encode(), 0, path, text).decode() == after


@pytest.mark.parametrize(
    ("before", "path"),
    [
        ("a: [1]\n", ("a", 3)),
        ("a: 1\n", ("a", "b")),
        ("a: |+\n  keep\n\n\n", ("n",)),
        ("a: &x 1\nb: *x\n", ("a",)),
        ("a: 1\na: 2\n", ("a",)),
        ("a: [1\n", ("a",)),
        ("- 1\n", ("n",)),
    ],
)
def test_what_cannot_be_proven_is_refused(before, path):
    with pytest.raises(UnsafeEditError):
        set_field(before.encode(), 0, path, "3")


@pytest.mark.parametrize("text", ["", " 1", "1 # c", "a: b", "1\nb: 2", "*a", "&a 1", "[1", "yes"])
def test_a_value_must_be_one_value(text):
    with pytest.raises(UnsafeEditError, match="cannot read the value"):
        value_of(text)
