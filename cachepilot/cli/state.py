"""``start`` and ``stop``: whether tenants serve."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import dry_run_option, output_option, wait_options
from cachepilot.cli.verb import Verb


@click.command(cls=Verb)
@names_argument()
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def start(invocation: Invocation, words: Sequence[str], **options: object) -> None:
    """Let stopped or deleted tenants serve again: sets spec.state to running."""
    set_state(invocation, words, "running", **options)


@click.command(cls=Verb)
@names_argument()
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def stop(invocation: Invocation, words: Sequence[str], **options: object) -> None:
    """Stop serving, and keep the data: sets spec.state to stopped."""
    set_state(invocation, words, "stopped", **options)


def set_state(
    invocation: Invocation, words: Sequence[str], state: str, **options: object
) -> tuple[str, ...]:
    """Set spec.state of all tenants that *words* name; return their names."""
    from cachepilot.cli.changing import report, set_fields_of
    from cachepilot.cli.effect import await_effect

    names, dry_run = tenant_names(words), bool(options["dry_run"])
    change_set = set_fields_of(invocation, names, [("spec.state", state)], dry_run=dry_run)
    report(invocation, change_set, str(options["output"]), dry_run=dry_run)
    if options["wait"] and not dry_run:
        await_effect(invocation, change_set, timeout=float(str(options["timeout"])))
    return names
