"""``version``: which CachePilot this is."""

from __future__ import annotations

import platform

import click

from cachepilot import __version__
from cachepilot.cli.output import API_VERSION, print_object, print_text
from cachepilot.cli.verb import Verb


@click.command(cls=Verb)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
def version(*, output: str) -> None:
    """Print the version."""
    if output == "json":
        content = {
            "apiVersion": API_VERSION,
            "kind": "Version",
            "version": __version__,
            "python": platform.python_version(),
        }
        print_object(content, "json")
    else:
        print_text(f"cachepilotctl {__version__}")
