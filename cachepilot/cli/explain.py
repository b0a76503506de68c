"""``explain``: what a field means, what it may hold, and what changing it does to clients."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.options import output_option
from cachepilot.cli.output import API_VERSION, listing, print_object, print_text
from cachepilot.cli.verb import Verb
from cachepilot.spec.spelling import did_you_mean

if TYPE_CHECKING:
    from cachepilot.cli.fields import Field

_KINDS = ("tenant", "settings")
_WIDTH = 88


def _complete_path(_context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the kinds only; what is below them would need the models."""
    return [kind for kind in _KINDS if kind.startswith(incomplete)]


@click.command(cls=Verb)
@click.argument("path", metavar="PATH", shell_complete=_complete_path)
@click.option("--recursive", is_flag=True, help="List all fields below, too.")
@output_option("text", "json")
def explain(*, path: str, recursive: bool, output: str) -> None:
    """Describe a field of a tenant's document, such as `tenant.spec.memory.max`.

    Fields of the settings file begin with `settings`. Defaults are those of a host whose
    settings file says nothing else.
    """
    field = _find(path)
    if output == "json":
        found = [field, *_below(field)] if recursive else [field]
        print_object(listing(map(_item, found)), "json")
        return
    print_text(f"{field.path}  <{field.type}>", mark=field.path, bold=True)
    for line in textwrap.wrap(field.description, _WIDTH):
        print_text(f"  {line}")
    for name, text in field.facts:
        print_text(f"  {name}: {text}")
    if field.fields:
        print_text("Fields:")
        _print_fields(field, depth=1, recursive=recursive)


def _find(path: str) -> Field:
    from cachepilot.cli.fields import root_field

    first, *steps = path.strip(".").split(".")
    if first not in _KINDS:
        if first in root_field("tenant").fields["spec"].fields:
            hint = f"it belongs below spec: cachepilotctl explain spec.{path}"
            raise CommandError(f'there is no field "{first}"', exit_code=Exit.NOT_FOUND, hint=hint)
        if first not in root_field("tenant").fields:
            raise _no_such_field(first, "", (*_KINDS, *root_field("tenant").fields))
        first, steps = "tenant", [first, *steps]
    field = root_field(first)
    for step in steps:
        key = step.partition("[")[0]
        below = field.fields
        if key not in below and "<key>" not in below:
            raise _no_such_field(step, field.path, below)
        field = below.get(key) or below["<key>"]
    return field


def _no_such_field(step: str, at: str, known: Any) -> CommandError:  # noqa: ANN401 - any names
    where = f" in {at}" if at else ""
    return CommandError(
        f'there is no field "{step}"{where}',
        exit_code=Exit.NOT_FOUND,
        hint=did_you_mean(step, known) or (f"known: {', '.join(known)}" if known else ""),
    )


def _print_fields(field: Field, *, depth: int, recursive: bool) -> None:
    indent = "  " * depth
    for key, below in field.fields.items():
        needed = " required" if below.is_required else ""
        print_text(f"{indent}{key}  <{below.type}>{needed}", mark=key, bold=True)
        for line in textwrap.wrap(below.description, _WIDTH - len(indent)):
            print_text(f"{indent}    {line}")
        if recursive:
            facts = [f"{name.lower()}: {text}" for name, text in below.facts if name != "Pattern"]
            if facts:
                print_text(f"{indent}    ({'; '.join(facts)})")
            _print_fields(below, depth=depth + 1, recursive=True)


def _below(field: Field) -> list[Field]:
    return [each for child in field.fields.values() for each in (child, *_below(child))]


def _item(field: Field) -> dict[str, object]:
    facts = {name.lower(): text for name, text in field.facts}
    return {
        "apiVersion": API_VERSION,
        "kind": "Field",
        "path": field.path,
        "type": field.type,
        "description": field.description,
        **facts,
        "fields": list(field.fields),
    }
