"""The words of ``get tenants``: which is worse than which, and their colours."""

from __future__ import annotations

import click

# From what needs a person first to what is at rest.
_COLOURS: dict[str, str | None] = {
    "Invalid": "red",
    "Stalled": "red",
    "NotReady": "red",
    "Ending": "red",
    "Unknown": "yellow",
    "Starting": "yellow",
    "Stopping": "yellow",
    "Progressing": "yellow",
    "Paused": "yellow",
    "Ready": "green",
    "Stopped": None,
    "Deleted": None,
}
_ORDER = tuple(_COLOURS)
HEALTHY = frozenset({"Ready", "Stopped", "Deleted"})


def severity(word: str) -> int:
    """Return the place of *word* from the worst; words nobody knows come among the unknown."""
    return _ORDER.index(word if word in _COLOURS else "Unknown")


def coloured(line: str, word: str) -> str:
    """Return *line* with its first *word* in the word's colour."""
    colour = _COLOURS.get(word, "yellow")
    return line.replace(word, click.style(word, fg=colour), 1) if colour else line
