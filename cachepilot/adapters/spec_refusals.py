"""Why a tenant's file was not changed, sorted by what the person can do about it."""

from __future__ import annotations

from collections.abc import Sequence

from cachepilot.errors import CachePilotError
from cachepilot.spec.problem import Problem


class SpecEditError(CachePilotError):
    """A change of tenant files was refused; nothing was written.

    Attributes:
        hint: What to do instead, or empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidSpecError(SpecEditError):
    """What should be written is wrong.

    Attributes:
        problems: Everything that is wrong, in the order of files and lines.
    """

    def __init__(self, message: str, problems: Sequence[Problem], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class NoSuchDocumentError(SpecEditError):
    """No file of the folder holds that tenant.

    Attributes:
        name: Who is missing.
        known: The tenants that are there.
    """

    def __init__(self, name: str, place: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no document of tenant {name} in {place}")
        self.name = name
        self.known = tuple(known)


class NoSuchUserError(SpecEditError):
    """The document of a tenant lists no such user."""


class UnreadablePathError(SpecEditError):
    """What should name a field does not."""


class EditConflictError(SpecEditError):
    """The files are not, or no longer, what the change was made for."""


class UnsafeEditError(SpecEditError):
    """The change cannot be made without touching anything else."""
