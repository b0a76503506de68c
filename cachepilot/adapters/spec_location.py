"""Where in a folder's files the documents of a tenant stand, broken ones included."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cachepilot.adapters.spec_chunks import Chunk, split
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import find_name
from cachepilot.spec.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A tenant's document in the folder.

    Attributes:
        path: The file, links followed.
        data: The whole file as it was read.
        index: Which of its documents.
        chunk: Where that document's bytes are.
        tree: What it says; None where it cannot be read as YAML.
        is_only: Whether the file holds nothing else.
    """

    name: str
    path: Path
    data: bytes
    index: int
    chunk: Chunk
    tree: Tree | None
    is_only: bool

    @property
    def text(self) -> bytes:
        """The bytes of the document alone."""
        return self.data if self.is_only else self.chunk.of(self.data)


@dataclass(frozen=True, slots=True)
class Index:
    """Every document of a folder by name, for whoever looks for many of them."""

    found: dict[str, list[Located]]
    broken: tuple[tuple[Path, bytes], ...]

    @classmethod
    def of(cls, contents: Iterable[tuple[Path, bytes]]) -> Index:
        """Read every file of *contents*."""
        found: dict[str, list[Located]] = {}
        broken: list[tuple[Path, bytes]] = []
        for path, data in contents:
            for each in documents_in(path, data):
                found.setdefault(each.name, []).append(each)
            if read_documents(data, str(path)).problems:
                broken.append((path, data))
        return cls(found, tuple(broken))

    def find(self, name: str) -> Iterator[Located]:
        """Yield the documents of *name*, and the broken ones that look like its."""
        found = self.found.get(name, [])
        yield from found
        for path, data in self.broken:
            if all(each.path != real_path(path) for each in found):
                yield from broken_documents_in(name, path, data)


def documents_in(path: Path, data: bytes) -> Iterator[Located]:
    """Yield every document of a file that has a name."""
    trees, chunks = read_documents(data, str(path)).trees, split(data)
    for index, (tree, chunk) in enumerate(zip(trees, chunks, strict=False)):
        if name := find_name(tree):
            yield Located(
                name=name,
                path=real_path(path),
                data=data,
                index=index,
                chunk=chunk,
                tree=tree,
                is_only=len(chunks) == 1,
            )


def broken_documents_in(name: str, path: Path, data: bytes) -> Iterator[Located]:
    """Yield the documents that look like *name*'s but cannot be read, so that they can be mended.

    Without this, applying the mended text of a broken document would make a second one.
    """
    if not read_documents(data, str(path)).problems:
        return
    named = re.compile(rb"\bname[\"']?:[ \t]*[\"']?" + re.escape(name.encode()) + rb"(?![\w.-])")
    chunks = split(data)
    for index, chunk in enumerate(chunks):
        if named.search(chunk.of(data)):
            yield Located(
                name=name,
                path=real_path(path),
                data=data,
                index=index,
                chunk=chunk,
                tree=None,
                is_only=len(chunks) == 1,
            )


def real_path(path: Path) -> Path:
    """Follow links: a linked file is replaced where it lies, and the link stays."""
    return Path(os.path.realpath(path))
