"""Changes one field of one document in a file, and proves that nothing else changed.

The new file is read again from its bytes: the document must say exactly what the old one said
with that one field replaced, every other document must say what it said, and every byte outside
the replaced span is the old one. Whatever cannot be proven is refused.
"""

from __future__ import annotations

from copy import deepcopy

from cachepilot.adapters.spec_chunks import BOM
from cachepilot.adapters.spec_layout import splice_for
from cachepilot.adapters.spec_refusals import UnsafeEditError
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.digest import canonical_json
from cachepilot.spec.tree import Path, Tree, Value, field_path

_EDIT = "change the line yourself with `cachepilotctl edit`"


def set_field(data: bytes, index: int, path: Path, text: str) -> bytes:
    """Return *data* with *text* as the value at *path* of its document number *index*.

    Args:
        data: A whole file.
        index: Number of the document, from 0.
        path: Which field.
        text: The value as YAML on one line.

    Raises:
        UnsafeEditError: There is no way to do that without touching anything else.
    """
    wanted = value_of(text)
    bom = BOM if data.startswith(BOM) else b""
    source = data.removeprefix(BOM).decode()
    tree = _trees(data)[index]
    splice = splice_for(source, tree, path, text)
    if splice is None:
        raise UnsafeEditError(f"cannot find a place for {field_path(path)}", hint=_EDIT)
    changed = bom + splice.on(source).encode()
    _prove(data, changed, index, path, wanted)
    return changed


def value_of(text: str) -> Value:
    """Return what *text* means where a value may stand.

    Raises:
        UnsafeEditError: It is not exactly one value on one line.
    """
    documents = read_documents(f"v: {text}\n".encode(), "")
    tree = documents.trees[0] if documents.trees else None
    if tree is None or documents.problems or tree.faults or not isinstance(tree.value, dict):
        told = documents.problems or (tree.faults if tree else ())
        why = f": {told[0].message}" if told else ""
        raise UnsafeEditError(f"cannot read the value{why}")
    place = tree.values[("v",)]
    is_whole = text and text.strip() == text and place.end - place.start == len(text)
    if set(tree.value) != {"v"} or len(documents.trees) != 1 or not is_whole:
        raise UnsafeEditError("cannot read the value: it is more than one value")
    return tree.value["v"]


def _trees(data: bytes) -> tuple[Tree, ...]:
    documents = read_documents(data, "")
    faults = [fault for tree in documents.trees for fault in tree.faults]
    if documents.problems or faults:
        told = (documents.problems or faults)[0].message
        raise UnsafeEditError(f"cannot change a file that cannot be read: {told}", hint=_EDIT)
    return documents.trees


def _prove(before: bytes, after: bytes, index: int, path: Path, wanted: Value) -> None:
    field = field_path(path)
    try:
        old, new = _trees(before), _trees(after)
    except UnsafeEditError as error:
        raise _unsafe(field) from error
    if len(old) != len(new):
        raise _unsafe(field)
    for number, (was, now) in enumerate(zip(old, new, strict=True)):
        expected = _with(was.value, path, wanted) if number == index else was.value
        if canonical_json(expected) != canonical_json(now.value):
            raise _unsafe(field)


def _unsafe(field: str) -> UnsafeEditError:
    return UnsafeEditError(
        f"cannot set {field} without changing anything else in this layout", hint=_EDIT
    )


def _with(value: Value, path: Path, wanted: Value) -> Value:
    """Return *value* with *wanted* at *path*, mappings on the way made where they are missing."""
    if not path:
        return wanted
    step, copy = path[0], deepcopy(value)
    if isinstance(step, int):
        if isinstance(copy, list) and step < len(copy):
            copy[step] = _with(copy[step], path[1:], wanted)
        return copy
    mapping = {} if copy is None else copy
    if isinstance(mapping, dict):
        mapping[step] = _with(mapping.get(step), path[1:], wanted)
    return mapping
