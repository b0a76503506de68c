"""What a word written without quotes means: the YAML 1.2 core schema, minus its traps."""

from __future__ import annotations

import re

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
# YAML 1.1 reads these as booleans, YAML 1.2 as text; whoever writes one means a boolean or has a
# tool that will read one, so neither guess is safe.
_OLD_BOOLEANS = frozenset({"y", "n", "yes", "no", "on", "off"})
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAY_BE_NUMBER = frozenset("+-.0123456789")
_LONGEST_NUMBER = 40

Scalar = str | int | float | bool | None


class DoubtfulWordError(ValueError):
    """A word is text or a boolean, depending on who reads it."""


def resolve_plain(text: str) -> Scalar:
    """Return the value of *text* written without quotes.

    Raises:
        DoubtfulWordError: Some readers of YAML would take *text* for a boolean.
        ValueError: Two readers of YAML would disagree about *text*, or no number is that long;
            the message says which.
    """
    if text in _NULLS:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] in _MAY_BE_NUMBER:
        return _number(text)
    if text.lower() in _OLD_BOOLEANS:
        raise DoubtfulWordError("is not a boolean in YAML 1.2")
    return text


def _number(text: str) -> Scalar:
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError(
            "is octal to some readers and decimal to others; drop the leading zeros, or quote it"
        )
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("is not a finite number; write a number, or quote it")
    is_whole = _DECIMAL.fullmatch(text) or _BASED.fullmatch(text)
    if not is_whole and not _FLOAT.fullmatch(text):
        return text  # a date, an address, a version, a size, 12:30, 1_000
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("is too long for a number; quote it if it is text")
    if is_whole:
        # Base 0 knows 0o and 0x, and would refuse leading zeros had we not done so.
        return int(text, 0)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("is too large for a number; quote it if it is text")
    return number
