"""Changes documents that are in the folder already: single fields, or a whole text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cachepilot.adapters.spec_changes import Change, ChangeSet, Preference, Result
from cachepilot.adapters.spec_chunks import replaced, split
from cachepilot.adapters.spec_fields import Wish, set_fields
from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.adapters.spec_location import Located
from cachepilot.adapters.spec_refusals import InvalidSpecError
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Fields to be set in one tenant's document."""

    name: str
    wishes: tuple[Wish, ...]


def plan_edits(
    folder: SpecFolder, edits: Sequence[Edit], rules: Rules, *, prefer: Preference
) -> ChangeSet:
    """Return what fulfilling *edits* would do; nothing is written.

    Raises:
        NoSuchDocumentError: A tenant has no document.
        EditConflictError: A tenant has several.
        UnsafeEditError: A wish cannot be fulfilled without changing anything else.
        InvalidSpecError: A document is, or would be, invalid.
    """
    located = [(edit, folder.get(edit.name, prefer=prefer(edit.name))) for edit in edits]
    before: dict[Path, bytes] = {}
    after: dict[Path, bytes] = {}
    changes: list[Change] = []
    for edit, place in located:
        require_readable(place)
        data = after.get(place.path, place.data)
        before.setdefault(place.path, place.data)
        changed = set_fields(data, place.index, edit.wishes, rules)
        parsed = checked(changed, place, rules)
        _refuse_renaming(edit.name, parsed)
        after[place.path] = changed
        changes.append(_change(edit.name, place, changed, parsed))
    return ChangeSet.of(changes, before, after)


def plan_rewrite(located: Located, text: bytes, rules: Rules, *, shown_as: str) -> ChangeSet:
    """Return what putting *text* in the place of one document would do.

    Args:
        located: The document that is replaced.
        text: The new one, by itself.
        rules: What it is checked against.
        shown_as: The file that problems name, with lines as they are in *text*.

    Raises:
        InvalidSpecError: *text* is no valid document, the document of somebody else, or more than
            one document.
    """
    documents = read_documents(text, shown_as)
    if documents.problems:
        raise InvalidSpecError(f"cannot change tenant {located.name}", documents.problems)
    if len(documents.trees) != 1:
        raise InvalidSpecError(
            "cannot write more or fewer than one document", (), hint="use apply for several"
        )
    parsed = parse(documents.trees[0], rules)
    if not isinstance(parsed, Parsed):
        raise InvalidSpecError(f"cannot change tenant {located.name}", parsed)
    _refuse_renaming(located.name, parsed)
    data = text if located.is_only else replaced(located.data, located.chunk, text)
    if len(split(data)) != len(split(located.data)):
        raise InvalidSpecError(
            "cannot write markers into a file of several documents",
            (),
            hint="remove the lines with --- or ...",
        )
    change = _change(located.name, located, data, parsed)
    return ChangeSet.of([change], {located.path: located.data}, {located.path: data})


def require_readable(located: Located) -> None:
    """Refuse a document that cannot be read as YAML.

    Raises:
        InvalidSpecError: With what is wrong with it.
    """
    problems = read_documents(located.data, str(located.path)).problems
    if located.tree is None or located.tree.faults or problems:
        faults = located.tree.faults if located.tree else ()
        told = problems or tuple(located.tree.problem(fault) for fault in faults if located.tree)
        raise InvalidSpecError(
            f"cannot use the document of tenant {located.name}: its file is broken",
            told,
            hint=f"mend it with `cachepilotctl edit tenant {located.name}`",
        )


def checked(data: bytes, located: Located, rules: Rules) -> Parsed:
    """Return what the located document says in *data*.

    Raises:
        InvalidSpecError: It is not valid.
    """
    documents = read_documents(data, str(located.path))
    if documents.problems or located.index >= len(documents.trees):
        raise InvalidSpecError("cannot use the changed text", documents.problems)
    parsed = parse(documents.trees[located.index], rules)
    if isinstance(parsed, Parsed):
        return parsed
    raise InvalidSpecError(f"cannot change tenant {located.name}", parsed)


def _refuse_renaming(name: str, parsed: Parsed) -> None:
    if parsed.spec.name != name:
        raise InvalidSpecError(
            f"cannot rename tenant {name} to {parsed.spec.name}",
            (),
            hint="a tenant's name never changes; apply a document for a new tenant",
        )


def _change(name: str, located: Located, data: bytes, parsed: Parsed) -> Change:
    new = data if located.is_only else split(data)[located.index].of(data)
    return Change(
        name=name,
        path=located.path,
        result=Result.UNCHANGED if new == located.text else Result.CONFIGURED,
        old=located.text,
        new=new,
        parsed=parsed,
    )
