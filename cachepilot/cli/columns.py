"""Tables as plain text: padded columns, never cut when somebody else reads them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from cachepilot.cli.output import harmless

GAP = "   "


def table(
    rows: Sequence[Sequence[str]], *, headers: Sequence[str] = (), width: int | None = None
) -> list[str]:
    """Return one line for each row, columns aligned.

    Args:
        rows: Cells, as many in each row.
        headers: First line; none if empty.
        width: Room for a line, beyond which the last column is shortened; None never cuts.
    """
    lines = [tuple(map(harmless, row)) for row in ([headers, *rows] if headers else rows)]
    if not lines:
        return []
    widths = [max(_cells(line[index]) for line in lines) for index in range(len(lines[0]))]
    return [_line(line, widths, width) for line in lines]


def _line(line: Sequence[str], widths: Sequence[int], width: int | None) -> str:
    padded = [
        text + " " * (room - _cells(text))
        for text, room in zip(line[:-1], widths[:-1], strict=True)
    ]
    last = line[-1]
    if width is not None:
        used = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
        last = shortened(last, max(width - used, 12))
    return GAP.join([*padded, last]).rstrip()


def shortened(text: str, room: int) -> str:
    """Return *text*, cut to *room* cells with an ellipsis if it is longer."""
    if _cells(text) <= room:
        return text
    kept = ""
    for letter in text:
        if _cells(kept + letter) >= room:
            break
        kept += letter
    return kept + "…"


def _cells(text: str) -> int:
    """Return how many cells a terminal needs for *text*."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )
