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
def schema(*, kind: str) -> None:
    """Print the JSON Schema (draft-07) of a tenant's document, or of the settings file."""
    from cachepilot.cli.fields import schema_of

    print_object(schema_of(kind), "json")
