r"""Cuts a file into its documents without parsing, byte for byte.

A line that begins with ``---`` or ``...`` ends a document wherever it stands, in the middle of a
block of text too; that is a rule of YAML, so cutting needs no parser and works on broken files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"
_MARKER = re.compile(rb"(?:\A|(?<=\n)|(?<=\r))(---|\.\.\.)(?=[ \t\r\n]|\Z)")
_IDLE_LINE = re.compile(rb"[ \t]*(#.*|%.*)?")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_REST_OF_LINE = re.compile(rb"[ \t]*(?:\r\n|\n|\r|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The bytes of one document, without the markers around it.

    Attributes:
        start: Offset of its first byte; right behind the marker's line, or behind the marker
            itself where content follows on the same line.
        end: Offset behind its last byte.
    """

    start: int
    end: int

    def of(self, data: bytes) -> bytes:
        """Return this document's bytes."""
        return data[self.start : self.end]


def split(data: bytes) -> tuple[Chunk, ...]:
    """Return the documents of *data* in order; empty ones between two markers count too."""
    start, is_open = (len(BOM) if data.startswith(BOM) else 0), False
    found: list[Chunk] = []
    body = data[start:]
    offset = start
    for match in _MARKER.finditer(body):
        chunk = Chunk(start=start, end=offset + match.start())
        if is_open or _has_content(chunk.of(data)):
            found.append(chunk)
        is_open = match[1] == b"---"
        rest = _REST_OF_LINE.match(body, match.end())
        start = offset + (rest.end() if rest else match.end())
    last = Chunk(start=start, end=len(data))
    if is_open or _has_content(last.of(data)):
        found.append(last)
    return tuple(found)


def standalone(text: bytes) -> bytes:
    """Return a document's bytes as they would stand in a file of their own."""
    text = text.lstrip(b" \t") if not _LINE_END.search(text[:1]) else text
    return text if not text or text.endswith((b"\n", b"\r")) else text + line_end(text)


def preamble(data: bytes, chunk: Chunk) -> bytes:
    """Return the comments in front of the first document's marker, without marker and BOM."""
    lines = data[: chunk.start].removeprefix(BOM).splitlines(keepends=True)
    return b"".join(
        line for line in lines if not line.startswith(b"%") and not _MARKER.match(line)
    )


def line_end(data: bytes) -> bytes:
    """Return the line end that *data* uses first, or a plain newline."""
    found = _LINE_END.search(data)
    return found[0] if found else b"\n"


def replaced(data: bytes, chunk: Chunk, text: bytes) -> bytes:
    """Return *data* with the document *chunk* replaced by *text*; every other byte stays."""
    before, after = data[: chunk.start], data[chunk.end :]
    text = text.removeprefix(BOM)
    if before and before != BOM and not before.endswith((b"\n", b"\r")):
        text = line_end(data) + text  # content stood on the marker's own line
    if after and text and not text.endswith((b"\n", b"\r")):
        text += line_end(text or data)  # otherwise the next marker would not begin a line
    return before + text + after


def _has_content(text: bytes) -> bool:
    """Return whether there is more than blank lines, comments and directives."""
    return not all(_IDLE_LINE.fullmatch(line) for line in _LINE_END.split(text))
