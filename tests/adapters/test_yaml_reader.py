"""Text goes in; plain values with their places, or problems, come out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cachepilot.adapters.yaml_builder import MAX_DOCUMENTS, MAX_FAULTS, MAX_VALUES
from cachepilot.adapters.yaml_reader import MAX_BYTES, read_documents
from cachepilot.spec.tree import Tree


def only(source: str | bytes) -> Tree:
    data = source if isinstance(source, bytes) else source.encode()
    found = read_documents(data, "x.yaml")
    assert not found.problems, found.problems
    (tree,) = found.trees
    return tree


def value(source: str | bytes) -> object:
    tree = only(source)
    assert not tree.faults, tree.faults
    return tree.value


def faults(source: str) -> list[str]:
    tree = only(source)
    return [str(tree.problem(fault)).removeprefix("x.yaml:") for fault in tree.faults]


def refusal(data: bytes) -> str:
    (problem,) = read_documents(data, "x.yaml").problems
    return str(problem)


def test_values_are_plain_and_places_are_exact():
    tree = only("a: 1\nb:\n  - x\n  - {c: 'y'}\n")

    assert tree.value == {"a": 1, "b": ["x", {"c": "y"}]}
    assert tree.keys["b",][:2] == (2, 1)
    assert tree.values["a",][:2] == (1, 4)
    assert tree.values["b", 0][:2] == (3, 5)
    assert tree.keys["b", 1, "c"][:2] == (4, 6)
    assert tree.values["b", 1, "c"][:2] == (4, 9)


def test_spans_cover_scalars_exactly():
    source = "\ufeffa: one\nbé: 'two' # c\n"
    tree, text = only(source), source.removeprefix("\ufeff")

    spans = {path: text[place.start : place.end] for path, place in tree.values.items() if path}

    assert spans == {("a",): "one", ("bé",): "'two'"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-17", -17),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("10.0.0.1", "10.0.0.1"),
        ("256MiB", "256MiB"),
        ("truely", "truely"),
        ('"yes"', "yes"),
        ("'007'", "007"),
        ('"true"', "true"),
    ],
)
def test_words_mean_what_yaml_1_2_says(word, expected):
    found = value(f"a: {word}\n")

    assert found == {"a": expected}
    assert type(found["a"]) is type(expected)  # type: ignore[index] # a mapping


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off", "y", "N"])
def test_booleans_of_yaml_1_1_are_refused(word):
    assert faults(f"a: {word}\n") == [
        f'1:4: a: "{word}" is not a boolean in YAML 1.2 (write true or false, or quote it)'
    ]


@pytest.mark.parametrize("word", ["010", "-07", "0_1", ".inf", "-.INF", ".nan", "1e999", "9" * 41])
def test_numbers_that_readers_disagree_about_are_refused(word):
    (fault,) = faults(f"a: {word}\n")

    assert "quote it" in fault


def test_doubtful_password_is_not_repeated():
    (fault,) = faults("password: 0123456\n")

    assert "0123456" not in fault


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a: &x 1\n", ['1:4: a: the anchor "&x" is not supported']),
        ("a: &x {b: 1}\n", ['1:4: a: the anchor "&x" is not supported']),
        ("&x a: 1\n", ['1:1: a: the anchor "&x" is not supported']),
        ("a: !!str 1\n", ['1:4: a: the tag "!!str" is not supported']),
        ("a: !foo [1]\n", ['1:4: a: the tag "!foo" is not supported']),
        ("a: ! 1\n", ['1:4: a: the tag "!" is not supported']),
        ("<<: {a: 1}\n", ['1:1: ["<<"]: merge keys are not supported']),
        ("a: 1\nb: 2\na: 3\n", ['3:1: a: duplicate key "a", first written in line 1']),
        ("{a: 1, 'a': 2}\n", ['1:8: a: duplicate key "a", first written in line 1']),
        ("1: a\n", ['1:1: ["1"]: the key "1" is not text']),
        ("true: a\n", ['1:1: true: the key "true" is not text']),
        ("~: a\n", ['1:1: ["~"]: the key "~" is not text']),
        ("? [a]\n: b\n", ["1:3: a key must be text, not a mapping or list"]),
        ("{a: b}: c\n", ["1:1: a key must be text, not a mapping or list"]),
        ('a: "\\0"\n', ["1:4: a: holds a control character"]),
        ('a: "\\e[31m"\n', ["1:4: a: holds a control character"]),
        ('"\\a": 1\n', ['1:1: ["�"]: the key holds a control character']),
        ("%YAML 1.1\n---\na: 1\n", ["1:1: directives are not supported"]),
    ],
)
def test_what_a_wish_has_no_need_for_is_refused(source, expected):
    assert [fault.partition(" (")[0] for fault in faults(source)] == expected


def test_quoted_words_are_never_special():
    assert value("'<<': 1\n'yes': 'no'\n\"on\": 2\n") == {"<<": 1, "yes": "no", "on": 2}


def test_all_that_is_wrong_is_found_in_one_pass():
    found = faults("a: yes\nb: &x 1\nc: *x\nb: 2\n? [d, {e: no}]\n: {f: off}\ng: 007\n")

    assert [fault.split(": ")[0] for fault in found] == [
        "1:4", "2:4", "3:4", "4:1", "5:3", "5:11", "6:7", "7:4",
    ]  # fmt: skip


def test_duplicate_never_replaces_the_first():
    assert only("a: {x: 1}\na: {x: 2, y: 3}\na: 4\n").value == {"a": {"x": 1}}


def test_bomb_of_aliases_builds_nothing():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]

    tree = only("\n".join(lines) + "\n")

    assert len(tree.faults) == 10 + 81
    assert len(json.dumps(tree.value)) < 2000


def test_thousands_of_mistakes_are_not_all_kept():
    assert len(only("a: [" + "yes, " * 5000 + "]\n").faults) == MAX_FAULTS


BRACKETS = {
    "flow lists": "[",
    "flow mappings": "{a: ",
    "block lists": "- ",
    "lists, one a line": "[\n",
    "complex keys": "? ",
    "lists in mappings": "[{",
    "lists behind a key": "a: [",
}


@pytest.mark.parametrize("count", [30_000, 200_000])
@pytest.mark.parametrize("kind", BRACKETS)
def test_brackets_are_refused_before_they_hurt(kind, count):
    """In a process of its own, because what is feared is its death."""
    program = (
        "import sys\n"
        "from cachepilot.adapters import yaml_reader\n"
        # The limit of size would stop most of these; the parser must be safe without it.
        "yaml_reader.MAX_BYTES = 1 << 30\n"
        "source = sys.argv[1].encode() * int(sys.argv[2])\n"
        "print(*yaml_reader.read_documents(source, 'x.yaml').problems)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, BRACKETS[kind], str(count)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert "is nested deeper than 20 levels" in done.stdout


def test_deep_indentation_is_refused_and_twenty_levels_are_not():
    nested = "".join(f"{' ' * level}a:\n" for level in range(25))

    assert refusal(nested.encode()) == "x.yaml:21:21: is nested deeper than 20 levels"
    assert value("[" * 20 + "]" * 20) is not None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: \x00b\n", "x.yaml:1:4: holds a NUL byte; a text file was expected"),
        (b"a: 1\nb: \x1b[0m\n", "x.yaml:2:4: holds the control character 0x1b; a text file was"),
        (b"\x7fELF\x02\x01", "x.yaml:1:1: holds the control character 0x7f; a text file was"),
        (b"a: 1\nb\xff: 2\n", "x.yaml:2:2: is not valid UTF-8 text (save it as UTF-8)"),
        ("a: 1\n".encode("utf-16"), "x.yaml:1:1: is not valid UTF-8 text (it looks like UTF-16"),
        (b"a:\n\tb: 1\n", "x.yaml:2:1: a tab stands where only spaces may indent (replace tabs"),
        (b"a: 1\n\tb: 1\n", "x.yaml:2:1: a tab stands where only spaces may indent (replace tabs"),
        (b"a: [1\nb: 2\n", "x.yaml:2:2: the list that opens in line 1 is not closed, or lacks a"),
        (b"a: 'x\n", "x.yaml:2:1: the quote that opens in line 1 is never closed"),
        (b"a: b: c\n", 'x.yaml:1:5: a second ": " follows where a plain value stands'),
        (b"a: {b: c:d}\n", 'x.yaml:1:9: a value with ":" inside { } or [ ] must stand in quotes'),
        (b"a: [::1]\n", "x.yaml:1:5: a value is missing here (write a value, or quote what"),
        (b"a: @x\n", "x.yaml:1:4: this character cannot begin a value"),
        (b"a:\n  b: 1\n c: 2\n", "x.yaml:3:2: expected another key of the mapping that begins"),
        (b"a: 1\nb\n", "x.yaml:3:1: a key is not followed by"),
        (b"a: %x\n", "x.yaml:1:4: this character cannot begin a value"),
        (b'a: "\\q"\n', "x.yaml:1:5: an unknown escape in a quoted text (use single quotes)"),
        (b"<<<<<<< HEAD\na: 1\n=======\n", "x.yaml:2:2: "),
        (b"a: 1\r\n\tb: 2\r\n", "x.yaml:2:1: a tab stands where only spaces may indent"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(data, expected):
    assert refusal(data).startswith(expected)


def test_size_is_checked_before_anything_else():
    assert refusal(b"[" * (MAX_BYTES + 1)).startswith("x.yaml: is larger than 256 KiB")
    assert refusal(b"\0" * 10_000_000).startswith("x.yaml: is larger than 256 KiB")


def test_too_many_documents_and_values_are_refused():
    documents = read_documents(b"---\na: 1\n" * (MAX_DOCUMENTS + 1), "x.yaml")
    values = b"[" + b"1," * (MAX_VALUES + 1) + b"]"

    assert len(documents.trees) == MAX_DOCUMENTS
    assert documents.problems[0].message == "holds more than 100 documents"
    assert "holds more than 10000 values in one document" in refusal(values)


def test_documents_before_the_mistake_are_still_known():
    found = read_documents(b"a: 1\n---\nb: [\n", "x.yaml")

    assert [tree.value for tree in found.trees] == [{"a": 1}]
    assert found.problems


@pytest.mark.parametrize(
    "data",
    [
        "\ufeffa: é\nb: 2\n".encode(),
        "a: é\r\nb: 2\r\n".encode(),
        "\ufeffa: é\r\nb: 2".encode(),
        "a: é\rb: 2\r".encode(),
        "# x\n---\na: é\nb: 2\n...\n".encode(),
    ],
)
def test_marks_and_line_ends_make_no_difference(data):
    assert value(data) == {"a": "é", "b": 2}


def test_empty_text_holds_no_document():
    for data in (b"", b"\n\n", b"# nothing\n", "\ufeff".encode()):
        assert read_documents(data, "x.yaml").trees == ()


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
            inner,
            max_size=4,
        )
    ),
    max_leaves=40,
)


@given(_PLAIN)
def test_json_reads_back_as_itself(structure):
    """JSON is YAML: the standard library's writer is the oracle."""
    found = value(json.dumps(structure, ensure_ascii=False))

    assert found == structure


# Without | and >: the two readers disagree about an empty block text before "---".
_WORDS = [*"ab1~[]{}'\"#%@?:-,é", "1.5", "true", "null", "no", "<<", "&q ", "*q", "!t ", "---"]
_LAYOUT = [
    ": ",
    "- ",
    ", ",
    " #c",
    "\n",
    "\n  ",
    "\n    ",
    "\n---\n",
    "\r\n",
    "\t",
    " ",
    "\\",
]
_FRAGMENTS = st.lists(st.sampled_from([*_WORDS, *_LAYOUT]), max_size=25).map("".join)


@given(_FRAGMENTS)
@example("? a\n: b\n")
def test_whatever_is_accepted_means_the_same_to_another_reader(source):
    """The pure Python parser with its 1.2 resolver is the oracle for what we accept."""
    found = read_documents(source.encode(), "x.yaml")
    if found.problems or any(tree.faults for tree in found.trees):
        return
    oracle = YAML(typ="safe", pure=True)

    try:
        expected = list(oracle.load_all(source))
    except YAMLError:
        return  # it knows fewer texts, such as << for a value

    assert [tree.value for tree in found.trees] == expected


@given(st.binary(max_size=300) | _FRAGMENTS.map(str.encode))
def test_any_bytes_are_documents_or_problems(data):
    """No crash, no hang, and every place is inside the file."""
    found = read_documents(data, "x.yaml")

    lines = data.count(b"\n") + data.count(b"\r") + data.count("\u0085".encode()) + 2
    lines += data.count("\u2028".encode()) + data.count("\u2029".encode())
    problems = [*found.problems, *(t.problem(f) for t in found.trees for f in t.faults)]
    assert all(problem.message and problem.line <= lines for problem in problems)
