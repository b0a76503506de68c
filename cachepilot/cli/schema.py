"""``schema``: what editors and other tools need to know about a file format."""

from __future__ import annotations

import click

from cachepilot.cli.output import print_object
from cachepilot.cli.verb import Verb


@click.command(cls=Verb)
@click.argument(
    "kind",
    type=click.Choice(["tenant", "settings"]),
    default="tenant",
    metavar="[tenant|settings]",
)
@click.option("-o", "--output", type=click.Choice(["json"]), default="json", help="How to print.")
def schema(*, kind: str, output: str) -> None:  # noqa: ARG001 - accepted like everywhere else
    """Print the JSON Schema (draft-07) of a tenant's document, or of the settings file."""
    from cachepilot.cli.fields import schema_of

    print_object(schema_of(kind), "json")
