"""``restart``: one wish, written down with its time, and served once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import click

from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import dry_run_option, output_option, wait_options
from cachepilot.cli.verb import Verb
from cachepilot.clock import rfc3339

_AT_ONCE = timedelta(minutes=10)


@click.command(cls=Verb)
@names_argument()
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="Do not wait for the maintenance window: sets spec.maintenance.openUntil to ten minutes "
    "from now, for everything that waits.",
)
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def restart(
    invocation: Invocation,
    words: Sequence[str],
    *,
    at_once: bool,
    dry_run: bool,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Restart the servers of tenants once: sets spec.restartedAt to now.

    Every acknowledged write is kept, also where nothing is persisted. A tenant with a maintenance
    window is restarted when it opens, unless --now is given.
    """
    from cachepilot.cli.changing import report, set_fields_of
    from cachepilot.cli.effect import await_effect

    names = tenant_names(words)
    moment = invocation.surroundings.now()
    fields = [("spec.restartedAt", f'"{rfc3339(moment, precision="milliseconds")}"')]
    if at_once:
        fields.append(("spec.maintenance.openUntil", f'"{rfc3339(moment + _AT_ONCE)}"'))
    change_set = set_fields_of(invocation, names, fields, dry_run=dry_run)
    report(invocation, change_set, output, dry_run=dry_run)
    if wait and not dry_run:
        await_effect(invocation, change_set, timeout=timeout)
