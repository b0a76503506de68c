"""Who a tenant's name belongs to when several documents claim it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cachepilot.adapters.tenant_file import FoundDocument, TenantFile
from cachepilot.spec.document import TenantName
from cachepilot.spec.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One document, or one unusable file, that says something about a tenant.

    Attributes:
        document: None where the file only held the tenant before.
        position: Index of the document in its file.
    """

    file: TenantFile
    document: FoundDocument | None
    position: int = 0

    def is_same(self, other: Claim) -> bool:
        """Whether both are the same words of the same reading of a file; nothing is compared."""
        return self.file is other.file and self.document is other.document

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why what it says cannot be used."""
        own = self.document.problems if self.document else ()
        if self.document is None and not self.file.problems:
            # The file is fine but for documents whose names cannot be read.
            own = tuple(
                problem
                for document in self.file.documents
                if document.name is None
                for problem in document.problems
            )
        return self.file.problems + own

    @property
    def place(self) -> str:
        """Where it stands, for a person."""
        line = f":{self.document.place.line}" if self.document else ""
        return f"{self.file.path}{line}"


def gather(files: Iterable[TenantFile]) -> dict[TenantName, list[Claim]]:
    """Return every claim of *files* by name."""
    claims: dict[TenantName, list[Claim]] = {}
    for file in files:
        for position, document in enumerate(file.documents):
            if document.name:
                claim = Claim(file=file, document=document, position=position)
                claims.setdefault(document.name, []).append(claim)
        for name in file.orphaned:
            claims.setdefault(name, []).append(Claim(file=file, document=None))
    return claims


def settle(
    claims: Mapping[TenantName, list[Claim]],
    *,
    incumbent: Callable[[TenantName], str],
    homes: Mapping[TenantName, str],
) -> tuple[dict[TenantName, Claim], tuple[Problem, ...]]:
    """Return the one claim that counts for each name, and a problem for each that does not.

    The path that the record names wins, else the one that won before, else the first by path.
    A file that cannot be read and does not even contain the name loses to any document.
    """
    winners: dict[TenantName, Claim] = {}
    problems: list[Problem] = []
    for name, rivals in claims.items():
        if len(rivals) == 1:
            winners[name] = rivals[0]
            continue
        home, recorded = homes.get(name), incumbent(name)
        first, *others = sorted(rivals, key=lambda claim: _rank(claim, name, recorded, home))
        winners[name] = first
        problems += [
            _duplicate(name, loser, loser.document, first) for loser in others if loser.document
        ]
    return winners, tuple(problems)


def _rank(
    claim: Claim, name: TenantName, recorded: str, home: str | None
) -> tuple[bool, bool, bool, str, int]:
    path = claim.file.path
    is_weak = not (claim.document or claim.file.unread or claim.file.mentions(name))
    return (is_weak, path != recorded, path != home, path, claim.position)


def _duplicate(name: TenantName, loser: Claim, document: FoundDocument, winner: Claim) -> Problem:
    return Problem(
        file=loser.file.path,
        line=document.place.line,
        column=document.place.column,
        where="metadata.name",
        message=f'this document is not used: the tenant "{name}" is defined in {winner.place}',
        hint="give it another name, or remove one of the two",
    )
