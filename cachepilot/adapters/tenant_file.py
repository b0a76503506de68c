"""One file of tenants: what it says now, and whose it was while it could be read."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.document import TenantName
from cachepilot.spec.parse import Parsed, find_name, parse
from cachepilot.spec.problem import Problem
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import Place, Tree

# Nobody mends more at once, and a file of nothing but mistakes must not flood what is published.
_MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDocument:
    """One document of a file, valid or not.

    Attributes:
        name: Its tenant, None where that much cannot be read.
        place: Where the name stands.
        parsed: What it wishes, None while it has problems.
    """

    name: TenantName | None
    place: Place
    parsed: Parsed | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFile:
    """What one file said when it was last looked at.

    Attributes:
        digest: Of its content; empty where there is none.
        rules: What its documents were checked against.
        problems: Why the file as a whole cannot be used.
        unread: Whether even its text is unknown.
        text: The content of a file that cannot be used, to look for names in.
        held: Tenants it held when it was last good.
    """

    path: str
    digest: bytes
    rules: Rules
    documents: tuple[FoundDocument, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: bool = False
    text: bytes = b""
    held: frozenset[TenantName] = frozenset()

    @property
    def is_good(self) -> bool:
        """Whether nothing at all is wrong with it."""
        return not self.problems and all(document.parsed for document in self.documents)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """What is wrong with the file and with each of its documents, up to a hundred."""
        found = (problem for document in self.documents for problem in document.problems)
        return (*self.problems, *itertools.islice(found, _MOST_PROBLEMS))

    @property
    def orphaned(self) -> frozenset[TenantName]:
        """Tenants that it held, and may still mean by what cannot be read."""
        if not self.held:
            return frozenset()
        named = {document.name for document in self.documents}
        is_complete = not self.problems and None not in named
        return frozenset() if is_complete else self.held - named

    def mentions(self, tenant_name: TenantName) -> bool:
        """Return whether the unusable text contains the name."""
        return tenant_name.encode() in self.text


def content_digest(data: bytes) -> bytes:
    """Return what tells one content from another."""
    return hashlib.sha256(data).digest()


def read_tenant_file(
    data: bytes, path: str, rules: Rules, *, held: Callable[[], Collection[TenantName]]
) -> TenantFile:
    """Return what *data* in *path* says; *held* tells whom it held when it was last good."""
    found = read_documents(data, path)
    # A lone "---" begins a document without content, and generators like to write it.
    trees = [tree for tree in found.trees if tree.value is not None or tree.faults]
    problems = found.problems
    if not trees and not problems:
        hint = "write a tenant, or delete the file to remove its tenants"
        problems = (Problem(file=path, message="holds no document", hint=hint),)
    documents = tuple(_read_document(tree, rules) for tree in trees)
    if problems:
        # The end of the file may belong to any of them: none is used, all keep what they had.
        documents = tuple(_unusable(document) for document in documents)
    good = not problems and all(document.parsed for document in documents)
    named = frozenset(document.name for document in documents if document.name)
    return TenantFile(
        path=path,
        digest=content_digest(data),
        rules=rules,
        documents=documents,
        problems=problems,
        text=b"" if good else data,
        held=named if good else named.union(held()),
    )


def unreadable_file(
    path: str, why: str, rules: Rules, *, held: Collection[TenantName]
) -> TenantFile:
    """Return a file of which nothing is known but *why*."""
    return TenantFile(
        path=path,
        digest=b"",
        rules=rules,
        problems=(Problem(file=path, message=why),),
        unread=True,
        held=frozenset(held),
    )


def _read_document(tree: Tree, rules: Rules) -> FoundDocument:
    place = tree.place(("metadata", "name"))
    parsed = parse(tree, rules)
    if isinstance(parsed, Parsed):
        return FoundDocument(name=parsed.spec.name, place=place, parsed=parsed)
    return FoundDocument(name=find_name(tree), place=place, parsed=None, problems=parsed)


def _unusable(document: FoundDocument) -> FoundDocument:
    return FoundDocument(
        name=document.name, place=document.place, parsed=None, problems=document.problems
    )
