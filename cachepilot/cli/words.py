"""The words of ``get tenants``: which is worse than which, and their colours."""

from __future__ import annotations

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


def colour_of(word: str) -> str | None:
    """Return the colour of *word*, or None where it needs nobody's attention."""
    return _COLOURS.get(word, "yellow")
