"""Changes fields of a tenant's document: finds a spelling of each value that its field accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from cachepilot.adapters.spec_chunks import BOM
from cachepilot.adapters.spec_layout import quote_of
from cachepilot.adapters.spec_refusals import UnreadablePathError, UnsafeEditError
from cachepilot.adapters.spec_splice import set_field, value_of
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import Path, Tree, field_path

Wish = tuple[Path, str]

_STEP = re.compile(r"""\.?([^.\[\]="]+)|\[(\d+)\]|\["([^"]*)"\]""")
_FREE_KEYS = ("metadata.labels.", "metadata.annotations.")


def path_of(text: str) -> Path:
    """Return the path that *text* such as ``spec.access.bind[0]`` names.

    Keys of labels and annotations may hold dots without being put in brackets.

    Raises:
        UnreadablePathError: It names none.
    """
    text = text.removeprefix("tenant.").removeprefix(".")
    for prefix in _FREE_KEYS:
        key = text.removeprefix(prefix)
        if key != text and key:
            return (*prefix.rstrip(".").split("."), key)
    path: Path = ()
    position = 0
    while match := _STEP.match(text, position):
        path = (*path, int(match[2]) if match[2] else match[1] or match[3])
        position = match.end()
    if not path or position != len(text):
        raise UnreadablePathError(
            f'cannot read the path "{text}"', hint="write a path such as spec.memory.max"
        )
    return path


def set_fields(data: bytes, index: int, wishes: Sequence[Wish], rules: Rules) -> bytes:
    """Return *data* with all *wishes* fulfilled in its document number *index*.

    The document may be invalid afterwards; whoever writes it checks it as a whole.

    Raises:
        UnsafeEditError: A wish cannot be fulfilled without changing anything else.
    """
    for path, text in wishes:
        data = _set_one(data, index, path, text, rules)
    return data


def _set_one(data: bytes, index: int, path: Path, text: str, rules: Rules) -> bytes:
    source = data.removeprefix(BOM).decode()
    tree = read_documents(data, "").trees[index]
    first: bytes | None = None
    refusal: UnsafeEditError | None = None
    for spelling in _spellings(text, quote_of(source, tree, path)):
        try:
            changed = set_field(data, index, path, spelling)
        except UnsafeEditError as error:
            refusal = refusal or error
            continue
        if _is_accepted(read_documents(changed, "").trees[index], path, rules):
            return changed
        first = first or changed
    if first is None:
        raise refusal or UnsafeEditError(f"cannot set {field_path(path)}")
    return first


def _spellings(text: str, quote: str) -> Iterator[str]:
    """Yield the ways to write *text*, the likeliest first: as it is, or quoted as before."""
    quoted = _quoted(text, quote)
    try:
        is_text = value_of(text) == text
    except UnsafeEditError:
        is_text = False
    if quote and is_text:
        yield quoted
    if text:
        yield text
    yield quoted


def _quoted(text: str, quote: str) -> str:
    if quote == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False)


def _is_accepted(tree: Tree, path: Path, rules: Rules) -> bool:
    """Return whether the document finds nothing wrong at *path* or below."""
    parsed = parse(tree, rules)
    if isinstance(parsed, Parsed):
        return True
    field = field_path(path)
    return not any(problem.where.startswith(field) for problem in parsed)
