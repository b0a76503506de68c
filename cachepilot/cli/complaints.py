"""Translates every error into what a person is told, and an exit code."""

from __future__ import annotations

import click

from cachepilot.adapters.spec_refusals import (
    EditConflictError,
    InvalidSpecError,
    NoSuchDocumentError,
    NoSuchUserError,
    SpecEditError,
    UnreadablePathError,
)
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.errors import CachePilotError, SettingsError
from cachepilot.spec.spelling import did_you_mean

_EXITS = {
    EditConflictError: Exit.CONFLICT,
    NoSuchUserError: Exit.NOT_FOUND,
    UnreadablePathError: Exit.USAGE,
}


def in_words(error: Exception) -> CommandError:
    """Return what a person is told about *error*, and the exit code it stands for."""
    match error:
        case CommandError():
            return error
        case click.ClickException():
            return _of_click(error)
        case InvalidSpecError():
            return CommandError(
                str(error),
                exit_code=Exit.INVALID,
                causes=[str(problem) for problem in error.problems],
                hint=error.hint,
            )
        case NoSuchDocumentError():
            return CommandError(
                str(error),
                exit_code=Exit.NOT_FOUND,
                hint=did_you_mean(error.name, error.known)
                or "write one with `cachepilotctl apply -f FILE`",
            )
        case SpecEditError():
            code = _EXITS.get(type(error), Exit.FAILED)
            return CommandError(str(error), exit_code=code, hint=error.hint)
        case SettingsError():
            return CommandError(
                "cannot use the settings of this host",
                causes=str(error).splitlines(),
                hint="see `cachepilotctl config check`",
            )
        case CachePilotError():
            is_closed = isinstance(error.__cause__, PermissionError)
            return CommandError(str(error), hint="are you root?" if is_closed else "")
        case OSError():
            words = (error.strerror or type(error).__name__).lower()
            return CommandError(
                f"cannot use {error.filename or 'what was opened'}", causes=[words]
            )
        case _:
            return CommandError(
                f"cannot go on: {type(error).__name__}: {error}",
                hint="report what the same command prints with --debug",
            )


def _of_click(error: click.ClickException) -> CommandError:
    """Return click's own complaint in our shape, with the way to the help text."""
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message[:1].lower() + message[1:]
    if not isinstance(error, click.UsageError):
        return CommandError(message)
    path = error.ctx.command_path if error.ctx else "cachepilotctl"
    return CommandError(message, exit_code=Exit.USAGE, hint=f"see `{path} --help`")
