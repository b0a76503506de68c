"""Checks files one by one and then against each other: names, and ports that are pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.cli.output import API_VERSION
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.problem import Problem
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import Path as FieldPath
from cachepilot.spec.tree import Tree, field_path

_NAME: FieldPath = ("metadata", "name")
_PORTS: FieldPath = ("spec", "access", "ports")

Source = tuple[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One file with all that is wrong with it."""

    file: str
    documents: tuple[tuple[Tree, Parsed], ...] = field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The tenants that it describes without a mistake."""
        return tuple(parsed.spec.name for _, parsed in self.documents)

    def as_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {
            "apiVersion": API_VERSION,
            "kind": "Validation",
            "file": self.file,
            "valid": not self.problems,
            "tenants": list(self.names),
            "problems": [
                {
                    "file": each.file,
                    "line": each.line,
                    "column": each.column,
                    "where": each.where,
                    "message": each.message,
                    "hint": each.hint,
                }
                for each in self.problems
            ],
        }


def check_files(
    given: Sequence[Source], others: Sequence[Source], rules: Rules
) -> tuple[CheckedFile, ...]:
    """Return *given* checked, also for clashes with each other and with *others*."""
    names = {Path(file).resolve() for file, _ in given}
    known = [_check(source, rules) for source in others if Path(source[0]).resolve() not in names]
    owners: dict[str | int, str] = {}
    # A document given here replaces the one of the same name that is there already.
    replacing = {name for source in given for name in _check(source, rules).names}
    for each in known:
        _find_clashes(each, owners, leave_out=replacing)
    checked = []
    for source in given:
        each = _check(source, rules)
        clashes = _find_clashes(each, owners, leave_out=set())
        problems = sorted((*each.problems, *clashes), key=lambda one: (one.line, one.column))
        checked.append(replace(each, problems=tuple(problems)))
    return tuple(checked)


def _check(source: Source, rules: Rules) -> CheckedFile:
    file, data = source
    found = read_documents(data, file)
    problems, documents = list(found.problems), []
    for tree in found.trees:
        if tree.value is None and not tree.faults:
            continue
        parsed = parse(tree, rules)
        if isinstance(parsed, Parsed):
            documents.append((tree, parsed))
        else:
            problems += parsed
    if not documents and not problems:
        problems.append(Problem(file=file, message="holds no document"))
    return CheckedFile(file=file, documents=tuple(documents), problems=tuple(problems))


def _find_clashes(
    checked: CheckedFile, owners: dict[str | int, str], *, leave_out: set[str]
) -> list[Problem]:
    """Return whose names and pinned ports somebody in *owners* has; add the others to it."""
    problems: list[Problem] = []
    for tree, parsed in checked.documents:
        spec = parsed.spec
        if spec.name in leave_out:
            continue
        claims: list[tuple[str | int | None, FieldPath]] = [
            (spec.name, _NAME),
            (spec.tls_port, (*_PORTS, "tls")),
            (spec.plain_port, (*_PORTS, "plain")),
        ]
        for claim, path in claims:
            if claim is None:
                continue
            place = tree.place(path)
            if claim in owners:
                what = f'the name "{claim}"' if path == _NAME else f"port {claim}"
                problems.append(
                    Problem(
                        file=tree.file,
                        line=place.line,
                        column=place.column,
                        where=field_path(path),
                        message=f"{what} is taken by {owners[claim]}",
                        hint="choose another one",
                    )
                )
            else:
                owners[claim] = f"{tree.file}:{place.line} (tenant {spec.name})"
    return problems
