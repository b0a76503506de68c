"""Puts documents into the folder of tenants: each where its name already lives, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cachepilot.adapters.spec_changes import Change, ChangeSet, Preference, Result
from cachepilot.adapters.spec_chunks import preamble, replaced, split, standalone
from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.adapters.spec_location import Located
from cachepilot.adapters.spec_refusals import (
    EditConflictError,
    InvalidSpecError,
    UnsafeEditError,
)
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.problem import Problem
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A valid document that wants to be written.

    Attributes:
        text: Its bytes as its author wrote them; the whole file where it stands alone.
        inner: The same without markers, to stand between the documents of a larger file.
        file: Where it came from, for messages.
    """

    name: str
    text: bytes
    inner: bytes
    file: str
    parsed: Parsed

    def is_at(self, located: Located) -> bool:
        """Return whether that is what stands there already."""
        if located.is_only:
            return located.text == self.text
        return standalone(located.text) == standalone(self.inner)


def read_incoming(sources: Sequence[tuple[str, bytes]], rules: Rules) -> tuple[Incoming, ...]:
    """Return every document of *sources*, pairs of a name for messages and bytes.

    Raises:
        InvalidSpecError: Anything is wrong with any of them; it tells all of it.
    """
    found: list[Incoming] = []
    problems: list[Problem] = []
    for file, data in sources:
        documents, chunks = read_documents(data, file), split(data)
        problems += documents.problems
        trees = documents.trees
        if not documents.problems and len(trees) != len(chunks):
            problems.append(Problem(file=file, message="cannot tell its documents apart"))
            continue
        if not documents.problems and all(tree.value is None for tree in trees):
            problems.append(Problem(file=file, message="holds no document"))
        for tree, chunk in zip(trees, chunks, strict=False):
            if tree.value is None and not tree.faults:
                continue
            parsed = parse(tree, rules)
            if not isinstance(parsed, Parsed):
                problems += parsed
                continue
            name, inner = parsed.document.metadata.name, standalone(chunk.of(data))
            text = inner
            if len(trees) == 1:
                text, inner = data, preamble(data, chunk) + inner
            problems += _duplicate(name, tree, found)
            found.append(Incoming(name=name, text=text, inner=inner, file=file, parsed=parsed))
    if problems:
        raise InvalidSpecError("cannot use what was given", problems)
    return tuple(found)


def plan_changes(
    folder: SpecFolder, incoming: Sequence[Incoming], *, prefer: Preference
) -> ChangeSet:
    """Return what writing *incoming* would do; nothing is written.

    Args:
        folder: Where to.
        incoming: What.
        prefer: Tells the file whose document of a name is in force, or empty.

    Raises:
        EditConflictError: The place of a document is taken, or not clear.
    """
    before: dict[Path, bytes | None] = {}
    after: dict[Path, bytes] = {}
    changes: list[Change] = []
    for each in incoming:
        located = folder.find(each.name, prefer=prefer(each.name))
        path = located.path if located else _new_file(folder, each)
        before.setdefault(path, located.data if located else folder.read(path))
        text = _replace(located, each, after.get(path)) if located else each.text
        after[path] = text
        changes.append(_change(located, each, path))
    return ChangeSet.of(changes, before, after)


def _duplicate(name: str, tree: Tree, found: Sequence[Incoming]) -> list[Problem]:
    first = next((each for each in found if each.name == name), None)
    if first is None:
        return []
    place = tree.place(("metadata", "name"))
    return [
        Problem(
            file=tree.file,
            line=place.line,
            column=place.column,
            where="metadata.name",
            message=f'a second document of tenant "{name}"; the first is in {first.file}',
            hint="keep one of them",
        )
    ]


def _new_file(folder: SpecFolder, incoming: Incoming) -> Path:
    path = folder.folder / f"{incoming.name}.yaml"
    data = folder.read(path)
    if path.is_symlink() or (path.exists() and data is None) or (data and split(data)):
        raise EditConflictError(
            f"cannot create {path}: it is there already and holds something else",
            hint="move it away, or mend it",
        )
    return path


def _replace(located: Located, incoming: Incoming, so_far: bytes | None) -> bytes:
    """Return the file with its document replaced, earlier replacements included.

    Raises:
        UnsafeEditError: Its other documents would not stay as they are.
    """
    data = located.data if so_far is None else so_far
    if incoming.is_at(located):
        return data
    if located.is_only:
        return incoming.text
    # Replacing never changes the number of documents, so an index stays right all along.
    old = split(data)
    text = replaced(data, old[located.index], incoming.inner)
    kept = [chunk.of(data) for chunk in old]
    found = [chunk.of(text) for chunk in split(text)]
    if len(kept) != len(found) or any(
        was != now
        for index, (was, now) in enumerate(zip(kept, found, strict=True))
        if index != located.index
    ):
        raise UnsafeEditError(
            f"cannot replace tenant {incoming.name} in {located.path} without touching others",
            hint="give it a file of its own",
        )
    return text


def _change(located: Located | None, incoming: Incoming, path: Path) -> Change:
    is_same = located is not None and incoming.is_at(located)
    result = Result.UNCHANGED if is_same else Result.CONFIGURED if located else Result.CREATED
    return Change(
        name=incoming.name,
        path=path,
        result=result,
        old=located.text if located else None,
        new=incoming.inner if located and not located.is_only else incoming.text,
        parsed=incoming.parsed,
    )
