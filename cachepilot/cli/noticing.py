"""What clients notice of each field that a change of a document touches, by the real planner."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cachepilot.adapters.spec_changes import Change
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.planning import Preview, preview
from cachepilot.errors import UnavailableError
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import Path, Tree, Value, field_path

_TOGETHER = "only together with the others"


@dataclass(frozen=True, slots=True)
class FieldNotice:
    """What would be noticed if only this field changed.

    Attributes:
        preview: What the daemon would do; None where the field alone makes no valid document.
    """

    path: str
    preview: Preview | None

    def as_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        if self.preview is None:
            return {"path": self.path, "disruption": None, "seconds": None, "waits": False}
        plan = self.preview.worst
        return {
            "path": self.path,
            "disruption": plan.disruption.value,
            "seconds": plan.length.total_seconds() if plan.length else None,
            "waits": self.preview.plan.held is not None,
        }

    def __str__(self) -> str:
        if self.preview is None:
            return _TOGETHER
        waits = ", and waits" if self.preview.plan.held else ""
        return f"{self.preview.worst.notice}{waits}"


def notices_of(invocation: Invocation, change: Change, rules: Rules) -> tuple[FieldNotice, ...]:
    """Return each field that *change* touches, sorted.

    A new document touches everything, which says nothing, so nothing is returned for it.
    """
    trees = read_documents(change.old, str(change.path)).trees if change.old is not None else ()
    before = trees[0].value if trees else None
    if not isinstance(before, dict):
        return ()
    found = []
    for path, value in _differences(before, json.loads(change.parsed.json)):
        changed = parse(Tree(file=str(change.path), value=_with(before, path, value)), rules)
        seen = _preview(invocation, changed, rules) if isinstance(changed, Parsed) else None
        found.append(FieldNotice(field_path(path), seen))
    return tuple(found)


def _preview(invocation: Invocation, changed: Parsed, rules: Rules) -> Preview | None:
    try:
        return preview(invocation, changed.spec, rules)
    except UnavailableError:
        return None


def _differences(
    before: Mapping[str, Value], after: Mapping[str, Value], at: Path = ()
) -> Iterator[tuple[Path, Value]]:
    """Yield the path of everything that differs, with what it is to be; None takes it out."""
    for key in (*after, *(key for key in before if key not in after)):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict | None) and isinstance(new, dict | None):
            yield from _differences(old or {}, new or {}, (*at, key))
        elif old != new:
            yield (*at, key), new


def _with(tree: Mapping[str, Value], path: Path, value: Value) -> dict[str, Value]:
    """Return *tree* with *value* at *path*."""
    key, rest = str(path[0]), path[1:]
    changed = dict(tree)
    below = changed.get(key)
    if rest:
        changed[key] = _with(below if isinstance(below, dict) else {}, rest, value)
    elif value is None:
        changed.pop(key, None)
    else:
        changed[key] = value
    return changed
