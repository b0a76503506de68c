import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters.spec_chunks import line_end, preamble, replaced, split, standalone
from cachepilot.adapters.yaml_reader import read_documents


def texts(data):
    return [chunk.of(data) for chunk in split(data)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"# only a comment\n", []),
        (b"a: 1\n", [b"a: 1\n"]),
        (b"---\na: 1\n", [b"a: 1\n"]),
        (b"# head\n---\na: 1\n---\nb: 2\n", [b"a: 1\n", b"b: 2\n"]),
        (b"a: 1\n---\nb: 2", [b"a: 1\n", b"b: 2"]),
        (b"a: 1\n...\n---\nb: 2\n...\n", [b"a: 1\n", b"b: 2\n"]),
        (b"a: 1\r\n---\r\nb: 2\r\n", [b"a: 1\r\n", b"b: 2\r\n"]),
        (b"--- {a: 1}\n--- # note\nb: 2\n", [b" {a: 1}\n", b" # note\nb: 2\n"]),
        (b"a: |\n  text\n ---\n  more\n", [b"a: |\n  text\n ---\n  more\n"]),
        (b"a: 1\n----\n", [b"a: 1\n----\n"]),
        (b"\xef\xbb\xbfa: 1\n---\nb: 2\n", [b"a: 1\n", b"b: 2\n"]),
        (b"a: 1\n---\n", [b"a: 1\n", b""]),
    ],
)
def test_a_file_is_cut_at_its_markers(data, expected):
    assert texts(data) == expected


_LINES = st.sampled_from(
    ["a: 1", "---", "...", "# note", "", "b: |", "  text", "  ---", "--- {c: 2}", "- x", "d:"]
)


@given(st.lists(_LINES, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_cutting_agrees_with_the_parser_wherever_the_parser_gets_through(lines, line_break):
    """The parser is the oracle: as many documents, each beginning inside its chunk."""
    data = line_break.join(lines).encode()
    found = read_documents(data, "x.yaml")
    if found.problems:
        return
    chunks = split(data)
    assert len(chunks) == len(found.trees)
    for chunk, tree in zip(chunks, found.trees, strict=True):
        place = tree.values.get(())
        if place and tree.value is not None:
            assert chunk.start <= place.start <= chunk.end


def test_replacing_a_document_keeps_every_other_byte():
    data = b"# head\r\n---\r\na: 1\r\n---\r\nb: 2\r\n---\r\nc: 3\r\n"
    changed = replaced(data, split(data)[1], b"b: 22")
    assert changed == b"# head\r\n---\r\na: 1\r\n---\r\nb: 22\n---\r\nc: 3\r\n"


def test_a_document_that_stood_on_its_marker_line_is_replaced_below_it():
    data = b"--- {a: 1}\n---\nb: 2\n"
    assert texts(replaced(data, split(data)[0], b"a: 3\n")) == [b"a: 3\n", b"b: 2\n"]


def test_a_document_alone_begins_and_ends_like_a_file():
    assert standalone(b" {a: 1}") == b"{a: 1}\n"
    assert standalone(b"a: 1\r\nb: 2") == b"a: 1\r\nb: 2\r\n"


def test_the_preamble_is_what_people_wrote_above_the_marker():
    data = b"\xef\xbb\xbf%YAML 1.2\n# who wrote this\n---\na: 1\n"
    assert preamble(data, split(data)[0]) == b"# who wrote this\n"


def test_the_first_line_end_counts():
    assert [line_end(data) for data in (b"a", b"a\nb\r\n", b"a\r\nb\n", b"a\rb")] == [
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
    ]
