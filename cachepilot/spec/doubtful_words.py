"""What to write instead of a word such as ``off``, by what its field takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import Literal, get_args, get_origin

from pydantic import BaseModel

from cachepilot.spec.explain import annotation_at
from cachepilot.spec.tree import Fault

# Of the words that fields take, those that some reader of YAML takes for a boolean.
_IN_QUOTES = frozenset({"on", "off", "yes", "no"})


def in_their_fields(faults: Sequence[Fault], model: type[BaseModel]) -> Iterator[Fault]:
    """Yield *faults*; the hint about a doubtful word says what its field in *model* takes."""
    for fault in faults:
        taken = annotation_at(model, *fault.path) if fault.word else None
        hint = _hint(fault.word, taken) if taken else ""
        yield replace(fault, hint=hint) if hint else fault


def _hint(written: str, taken: object) -> str:
    found = tuple(_parts(taken))
    words = [part for part in found if isinstance(part, str)]
    if written.lower() in words:
        return f'put it in quotes: "{written.lower()}"'
    if words:
        shown = (f'"{word}"' if word in _IN_QUOTES else word for word in words)
        return f"write one of {', '.join(shown)}"
    if bool in found:
        return "write true or false"
    return f'put it in quotes: "{written}"' if str in found else ""


def _parts(annotation: object) -> Iterator[object]:
    """Yield the words that a field takes, and the types of what it takes besides."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (each.value for each in annotation)
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif parts := get_args(annotation):
        for part in parts:
            yield from _parts(part)
    else:
        yield annotation
