"""Sizes and durations as people write them: ``256MiB``, ``90d``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

_SIZE_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SIZE_PATTERN = r"^[1-9][0-9]{0,12}(KiB|MiB|GiB|TiB)$"
DURATION_PATTERN = r"^([0-9]{1,6}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"


def size_from_text(text: object) -> int:
    """Return the number of bytes that *text* such as ``256MiB`` stands for.

    Raises:
        PydanticCustomError: *text* is not a whole number with a binary unit.
    """
    if isinstance(text, str) and re.fullmatch(SIZE_PATTERN, text):
        return int(text[:-3]) * _SIZE_UNITS[text[-3:]]
    raise PydanticCustomError(
        "size", "expected a size such as 256MiB (a whole number and KiB, MiB, GiB or TiB)"
    )


def size_to_text(size: int) -> str:
    """Return *size* bytes in the largest unit that divides it, so that it reads back the same."""
    for unit, factor in reversed(_SIZE_UNITS.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def approximate_size(size: int) -> str:
    """Return *size* bytes rounded for a person, such as ``1.4GiB``."""
    for unit, factor in reversed(_SIZE_UNITS.items()):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + unit
    return f"{size}B"


def duration_from_text(text: object) -> timedelta:
    """Return the time span that *text* such as ``90d`` or ``1h30m`` stands for.

    Raises:
        PydanticCustomError: *text* is not of that form.
    """
    if isinstance(text, str) and text and re.fullmatch(DURATION_PATTERN, text):
        return timedelta(
            seconds=sum(
                int(number) * _DURATION_UNITS[unit]
                for number, unit in re.findall(r"([0-9]+)([dhms])", text)
            )
        )
    raise PydanticCustomError("duration", "expected a duration such as 90d, 12h, 30m or 1h30m")


def duration_to_text(span: timedelta) -> str:
    """Return *span* as :func:`duration_from_text` reads it, whole seconds only."""
    seconds, parts = int(span.total_seconds()), []
    for unit, factor in reversed(_DURATION_UNITS.items()):
        if amount := seconds // factor:
            parts.append(f"{amount}{unit}")
            seconds -= amount * factor
    return "".join(parts) or "0s"


def _size_as_written(size: int) -> str | int:
    return size_to_text(size) if size else 0


Size = Annotated[
    int,
    BeforeValidator(size_from_text),
    PlainSerializer(_size_as_written, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["256MiB"]}),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(duration_from_text),
    PlainSerializer(duration_to_text, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": DURATION_PATTERN, "minLength": 2, "examples": ["90d"]}
    ),
]
