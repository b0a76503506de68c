"""Options that several verbs share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


class Timeout(click.ParamType):  # type: ignore[type-arg] # generic since click 8.5 only
    """A time to wait: seconds, or a number with its unit."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.fail(f'"{text}" is no time; write 60s, 5m or 1h30m', param, ctx)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)


def output_option(*choices: str) -> Callable[[_Function], _Function]:
    """Declare ``-o``; the first choice is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(list(choices)),
        default=choices[0],
        help="How to print.",
    )


def dry_run_option(function: _Function) -> _Function:
    """Declare ``--dry-run``."""
    return click.option("--dry-run", is_flag=True, help="Check everything and write nothing.")(
        function
    )


def if_hash_option(function: _Function) -> _Function:
    """Declare ``--if-hash``."""
    return click.option(
        "--if-hash",
        metavar="SHA256",
        help="Write only if the file still has this SHA-256; `none` means there is no file yet.",
    )(function)


def wait_options(function: _Function) -> _Function:
    """Declare ``--wait`` and ``--timeout``."""
    function = click.option(
        "--timeout",
        type=Timeout(),
        default="5m",
        show_default=True,
        help="How long to wait; 0 means forever.",
    )(function)
    return click.option("--wait", is_flag=True, help="Wait until the change has taken effect.")(
        function
    )
