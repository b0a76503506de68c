"""``restart``: one wish, written down with its time, and served once."""

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
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def restart(
    invocation: Invocation,
    words: Sequence[str],
    *,
    dry_run: bool,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Restart the servers of tenants once: sets spec.restartedAt to now.

    Every acknowledged write is kept, also where nothing is persisted.
    """
    from cachepilot.cli.changing import report, set_fields_of
    from cachepilot.cli.effect import await_effect

    names = tenant_names(words)
    now = rfc3339(invocation.surroundings.now(), precision="milliseconds")
    change_set = set_fields_of(
        invocation, names, [("spec.restartedAt", f'"{now}"')], dry_run=dry_run
    )
    report(invocation, change_set, output, dry_run=dry_run)
    if wait and not dry_run:
        await_effect(invocation, change_set, timeout=timeout)
