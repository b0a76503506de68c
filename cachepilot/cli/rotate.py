"""``rotate``: one wish for another password, written down with its time, and served once."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import dry_run_option, output_option, wait_options
from cachepilot.cli.verb import Verb
from cachepilot.clock import rfc3339


@click.command(cls=Verb)
@names_argument()
@click.option(
    "--grace",
    metavar="DURATION",
    help="How long the password before still works, such as 24h; 0s ends it at once. Sets "
    "spec.auth.grace; without it, what the document or the host says holds.",
)
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def rotate(
    invocation: Invocation,
    words: Sequence[str],
    *,
    grace: str | None,
    dry_run: bool,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Give tenants a new password once: sets spec.auth.rotatedAt to now.

    Connections stay. Both passwords work until the grace is over; describe says until when.
    """
    from cachepilot.cli.changing import report, set_fields_of
    from cachepilot.cli.effect import await_effect

    names = tenant_names(words)
    now = rfc3339(invocation.surroundings.now())
    fields = [("spec.auth.rotatedAt", f'"{now}"')]
    if grace is not None:
        fields.append(("spec.auth.grace", grace))
    change_set = set_fields_of(invocation, names, fields, dry_run=dry_run)
    report(invocation, change_set, output, dry_run=dry_run)
    if wait and not dry_run:
        await_effect(invocation, change_set, timeout=timeout)
