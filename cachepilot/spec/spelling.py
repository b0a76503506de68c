"""What somebody may have meant by a word that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean "…"?`` with the closest of the *known* words, or nothing."""
    by_folded = {folded(name): name for name in sorted(known, reverse=True)}
    close = get_close_matches(folded(word[:100]), by_folded, n=1, cutoff=0.6)
    return f'did you mean "{by_folded[close[0]]}"?' if close else ""


def folded(word: str) -> str:
    """Return *word* without the differences that people overlook: case, ``-`` and ``_``."""
    return word.lower().replace("-", "").replace("_", "")
