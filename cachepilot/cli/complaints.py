"""Translates errors of the layers below into what a person is told, and an exit code."""

from __future__ import annotations

from cachepilot.adapters.spec_refusals import (
    EditConflictError,
    InvalidSpecError,
    NoSuchDocumentError,
    SpecEditError,
)
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.errors import CachePilotError, SettingsError
from cachepilot.spec.spelling import did_you_mean


def in_words(error: CachePilotError) -> CommandError:
    """Return what a person is told about *error*, and the exit code it stands for."""
    match error:
        case InvalidSpecError():
            return CommandError(
                str(error),
                exit_code=Exit.INVALID,
                causes=[str(problem) for problem in error.problems],
                hint=error.hint,
            )
        case NoSuchDocumentError():
            return CommandError(
                str(error), exit_code=Exit.NOT_FOUND, hint=did_you_mean(error.name, error.known)
            )
        case EditConflictError():
            return CommandError(str(error), exit_code=Exit.CONFLICT, hint=error.hint)
        case SpecEditError():
            return CommandError(str(error), hint=error.hint)
        case SettingsError():
            return CommandError(
                "cannot use the settings of this host",
                causes=str(error).splitlines(),
                hint="see `cachepilotctl config check`",
            )
        case _:
            return CommandError(str(error))
