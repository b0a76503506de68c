"""What a person is told when a verb fails: what, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from cachepilot.cli.exits import Exit
from cachepilot.cli.output import print_text


class CommandError(Exception):
    """Ends a command with an exit code and a message in three parts.

    Attributes:
        message: What went wrong.
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
        self.message = message
        self.code = exit_code
        self.causes = tuple(causes)
        self.hint = hint


def show_error(error: CommandError) -> None:
    """Print an error on stderr, in the shape that every verb uses."""
    print_text(f"error: {error.message}", mark="error:", err=True, fg="red", bold=True)
    for cause in error.causes:
        print_text(f"  cause: {cause}", err=True)
    if error.hint:
        print_text(f"  hint: {error.hint}", err=True)
