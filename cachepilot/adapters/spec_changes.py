"""What a change of tenant files is, and how it is written: everything as planned, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.adapters.spec_refusals import EditConflictError
from cachepilot.spec.parse import Parsed

NO_FILE = "none"
Preference = Callable[[str], str]


class Result(StrEnum):
    """What writing a document did."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one document does to its file.

    Attributes:
        old: The document's bytes before; None where there was none.
        new: The document's bytes afterwards.
        parsed: What the document says afterwards.
    """

    name: str
    path: Path
    result: Result
    old: bytes | None
    new: bytes
    parsed: Parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file to be written: only if it still holds *before*."""

    path: Path
    before: bytes | None
    after: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """Everything that an apply would do, in the order of the input."""

    changes: tuple[Change, ...]
    files: tuple[FileChange, ...]

    @classmethod
    def of(
        cls,
        changes: Sequence[Change],
        before: Mapping[Path, bytes | None],
        after: Mapping[Path, bytes],
    ) -> ChangeSet:
        """Return *changes* with the files that differ after them."""
        files = tuple(
            FileChange(path=path, before=before[path], after=data)
            for path, data in after.items()
            if before[path] != data
        )
        return cls(changes=tuple(changes), files=files)

    def hash_of(self, path: Path) -> str:
        """Return the fingerprint of a file as it is afterwards."""
        after = next((file.after for file in self.files if file.path == path), None)
        return content_hash(path.read_bytes() if after is None else after)


def write_changes(folder: SpecFolder, change_set: ChangeSet) -> None:
    """Write every file of *change_set*, each of them atomically.

    Raises:
        EditConflictError: A file is not what it was when the changes were planned.
        UnavailableError: A file could not be written.
    """
    for file in change_set.files:
        if folder.read(file.path) != file.before:
            raise EditConflictError(f"cannot write {file.path}: it changed in the meantime")
    for file in change_set.files:
        folder.replace(file.path, file.before, file.after)


def check_hash(change_set: ChangeSet, folder: SpecFolder, expected: str) -> None:
    """Refuse unless the one file to be written is the one that *expected* fingerprints.

    Raises:
        EditConflictError: It is another one, or there are several.
    """
    paths = {change.path for change in change_set.changes}
    if len(paths) != 1:
        raise EditConflictError("cannot compare one hash with several files")
    path = paths.pop()
    data = folder.read(path)
    seen = NO_FILE if data is None else content_hash(data)
    if seen != expected.lower():
        raise EditConflictError(
            f"cannot write {path}: it is not the file that --if-hash names",
            hint=f"its hash is {seen}",
        )


def content_hash(data: bytes) -> str:
    """Return the fingerprint by which an edit recognises the file it was made for."""
    return hashlib.sha256(data).hexdigest()
