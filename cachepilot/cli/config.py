"""``config check``: whether the daemon could use a settings file."""

from __future__ import annotations

from pathlib import Path

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.options import output_option
from cachepilot.cli.output import API_VERSION, listing, print_object, print_text
from cachepilot.cli.verb import Verb


@click.group(no_args_is_help=False)
def config() -> None:
    """Check the daemon's settings."""


@config.command(cls=Verb)
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False), required=False, metavar="[FILE]"
)
@output_option("text", "json")
@pass_invocation
def check(invocation: Invocation, file: Path | None, *, output: str) -> int:
    """Check a settings file; by default the one that the daemon reads."""
    from cachepilot.settings import Settings, check_settings

    if file is not None and not file.exists():
        raise CommandError(f"cannot read {file}: there is no such file", exit_code=Exit.NOT_FOUND)
    path = file or invocation.paths.settings_file
    found = check_settings(path)
    problems = () if isinstance(found, Settings) else found
    if output == "json":
        item = {
            "apiVersion": API_VERSION,
            "kind": "Validation",
            "file": str(path),
            "valid": not problems,
            "problems": [str(problem) for problem in problems],
        }
        print_object(listing([item]), "json")
    else:
        for problem in problems:
            print_text(str(problem))
        if not problems:
            missing = "" if path.exists() else " (there is no such file; all defaults)"
            print_text(f"{path}: valid{missing}")
    return Exit.INVALID if problems else Exit.DONE
