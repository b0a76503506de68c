"""What every verb knows: where the files are, how to talk, and how to wait."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any, TextIO

import click

from cachepilot import clock
from cachepilot.adapters.paths import RootPaths
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.output import print_text

_KEY = "cachepilot."


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Time as the verbs experience it; whoever starts a command may hand in another.

    Attributes:
        pause: Waits that many seconds.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    pause: Callable[[float], object]


def real_surroundings() -> Surroundings:
    """Return the clock on the wall."""
    return Surroundings(now=clock.utc_now, monotonic=clock.monotonic, pause=Event().wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of ``cachepilotctl``, global options applied."""

    paths: RootPaths
    surroundings: Surroundings
    may_ask: bool
    quiet: bool
    debug: bool

    def say(self, text: str) -> None:
        """Tell the person something that is not data, unless told to be quiet."""
        if not self.quiet:
            print_text(text, err=True)

    def ask(self, question: str, *, flag: str) -> str:
        """Return a typed answer.

        Raises:
            CommandError: There is nobody to ask; names the *flag* that answers instead.
        """
        if not self.may_ask:
            raise CommandError(
                f"cannot ask: {question.rstrip(':? ')}",
                exit_code=Exit.USAGE,
                causes=["stdin and stderr are not both terminals, or --no-input was given"],
                hint=f"add {flag}",
            )
        return str(
            click.prompt(question, err=True, prompt_suffix=" ", default="", show_default=False)
        )


def global_options() -> list[click.Parameter]:
    """Return fresh copies of the options that may stand before or after any verb."""
    return [
        _option(
            ["--root"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Look below DIR instead of /  [env: CACHEPILOT_ROOT].",
        ),
        _option(
            ["--color", "--colour"],
            type=click.Choice(["auto", "always", "never"]),
            help="When to colour; auto means on a terminal, unless NO_COLOR is set.",
        ),
        _option(["--no-input"], is_flag=True, help="Never ask; fail where an answer is needed."),
        _option(["-q", "--quiet"], is_flag=True, help="Print data and errors only."),
        _option(["--debug"], is_flag=True, help="Show where in the program an error arose."),
    ]


def pass_invocation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the current :class:`Invocation` to a verb as its first argument."""

    @click.pass_context
    def with_invocation(context: click.Context, /, **arguments: object) -> object:
        return function(current(context), **arguments)

    with_invocation.__doc__ = function.__doc__
    with_invocation.__name__ = function.__name__
    if hasattr(function, "__click_params__"):
        with_invocation.__click_params__ = function.__click_params__  # type: ignore[attr-defined] # click keeps a decorator's parameters there
    return with_invocation


def current(context: click.Context) -> Invocation:
    """Return what the global options and the environment amount to."""
    meta = context.meta
    root = meta.get(_KEY + "root") or Path(os.environ.get("CACHEPILOT_ROOT") or "/")
    given = context.find_root().obj
    return Invocation(
        paths=RootPaths(Path(root).absolute()),
        surroundings=given if isinstance(given, Surroundings) else real_surroundings(),
        may_ask=not meta.get(_KEY + "no_input")
        and is_terminal(sys.stdin)
        and is_terminal(sys.stderr),
        quiet=bool(meta.get(_KEY + "quiet")),
        debug=bool(meta.get(_KEY + "debug")),
    )


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether somebody sits behind *stream*, which is None where it was closed for us."""
    return stream is not None and stream.isatty()


def wants_colour(choice: str | None) -> bool | None:
    """Return whether to colour; None leaves it to each stream being a terminal or not."""
    if choice in {"always", "never"}:
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def _option(names: list[str], **how: Any) -> click.Option:  # noqa: ANN401 - click's own keywords
    return click.Option(names, expose_value=False, callback=_remember, **how)


def _remember(context: click.Context, option: click.Parameter, value: object) -> object:
    if value is None or value is False:
        return value
    context.meta[f"{_KEY}{option.name}"] = value
    if option.name == "color":
        context.color = context.find_root().color = wants_colour(str(value))
    return value
