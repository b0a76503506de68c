"""Reads YAML in one pass over the events of the C parser.

The parser works as far as it is asked and no further: it is not asked for another event once a
limit is reached, so 200,000 brackets cost 23 events. Loading such a file as a whole would crash
the process, because only its loader recurses.
"""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cachepilot.adapters.yaml_builder import LimitError, TreeBuilder
from cachepilot.adapters.yaml_complaints import TAB, complaint
from cachepilot.spec.problem import Problem
from cachepilot.spec.tree import Documents

try:
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined] # re-exported untyped
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError(
        "cannot read YAML: the C parser is missing; install the package ruamel.yaml.clib"
    ) from error

MAX_BYTES = 256 * 1024

# What YAML calls printable, and the byte order mark that may begin a document.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_documents(data: bytes, file: str) -> Documents:
    """Return everything that *data*, the content of *file*, says; never raises, never hangs."""
    refusal = _refuse_bytes(data, file)
    if refusal:
        return Documents(problems=(refusal,))
    builder = TreeBuilder(file=file)
    try:
        parser = CParser(data)
        while builder.take(parser.get_event()):
            pass
    except LimitError as limit:
        return Documents(trees=tuple(builder.trees), problems=(limit.problem,))
    except YAMLError as error:
        problem = _problem_of(error, data.decode("utf-8-sig"), file)
        return Documents(trees=tuple(builder.trees), problems=(problem,))
    return Documents(trees=tuple(builder.trees))


def _refuse_bytes(data: bytes, file: str) -> Problem | None:
    """Return why *data* cannot be text, before the parser sees any of it."""
    if len(data) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 1024} KiB ({len(data)} bytes)"
        hint = "split it into several files" if len(data) < 10 * MAX_BYTES else ""
        return Problem(file=file, message=message, hint=hint)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode())
        utf16 = data[:2] in {b"\xff\xfe", b"\xfe\xff"}
        hint = "it looks like UTF-16; save it as UTF-8" if utf16 else "save it as UTF-8"
        return Problem(
            file=file, line=line, column=column, message="is not valid UTF-8 text", hint=hint
        )
    found = _UNPRINTABLE.search(text)
    if not found:
        return None
    line, column = _position(text[: found.start()])
    name = "a NUL byte" if found[0] == "\0" else f"the control character {ord(found[0]):#04x}"
    return Problem(
        file=file,
        line=line,
        column=column,
        message=f"holds {name}; a text file was expected",
    )


def _position(before: str) -> tuple[int, int]:
    lines = before.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1


def _problem_of(error: YAMLError, text: str, file: str) -> Problem:
    """Return the parser's error in our words, with the place it names."""
    if not isinstance(error, MarkedYAMLError):
        return Problem(file=file, message="cannot be read as YAML")
    mark = error.problem_mark or error.context_mark
    begun = error.context_mark.line + 1 if error.context_mark else 0
    message, hint = complaint(str(error.problem or ""), str(error.context or ""), begun)
    if mark is None:
        return Problem(file=file, message=message, hint=hint)
    if text[mark.index : mark.index + 1] == "\t":
        message, hint = TAB
    return Problem(
        file=file, line=mark.line + 1, column=mark.column + 1, message=message, hint=hint
    )
