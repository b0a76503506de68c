"""Says what went wrong: one line for what, one for why, one for what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import click

from cachepilot.cli.exits import Exit


class CommandError(click.ClickException):
    """Ends a command with an exit code and a message in three parts.

    Attributes:
        code: The exit code.
        causes: Why, one line each.
        hint: What to do about it, or empty.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: Exit = Exit.FAILED,
        causes: Sequence[str] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.code = exit_code
        self.causes = tuple(causes)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the three parts on stderr."""
        show_error(self.message, causes=self.causes, hint=self.hint, file=file)


def show_error(
    message: str, *, causes: Sequence[str] = (), hint: str = "", file: IO[Any] | None = None
) -> None:
    """Print an error in the shape that every verb uses."""
    to_stderr = file is None
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", file, err=to_stderr)
    for cause in causes:
        click.echo(f"  cause: {cause}", file, err=to_stderr)
    if hint:
        click.echo(f"  hint: {hint}", file, err=to_stderr)


def show_usage_error(error: click.UsageError) -> None:
    """Print click's own complaint in our shape, with the way to the help text."""
    message = error.format_message().rstrip(".")
    path = error.ctx.command_path if error.ctx else "cachepilotctl"
    hint = f"see `{path} --help`"
    show_error(message[:1].lower() + message[1:], hint=hint)
