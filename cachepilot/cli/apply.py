"""``apply``: writes documents into the folder of tenants, in their author's own bytes."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.options import dry_run_option, if_hash_option, output_option, wait_options
from cachepilot.cli.sources import files_option
from cachepilot.cli.verb import Verb


@click.command(cls=Verb)
@files_option
@dry_run_option
@if_hash_option
@wait_options
@output_option("text", "json")
@pass_invocation
def apply(
    invocation: Invocation,
    *,
    files: Sequence[str],
    recursive: bool,
    dry_run: bool,
    if_hash: str | None,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Write tenant documents into the folder of tenants.

    A new tenant gets a file of its own; the document of one that is there already is replaced
    where it lives. Everything is checked first, and nothing is written if anything is wrong.
    """
    from cachepilot.adapters.spec_apply import plan_changes, read_incoming
    from cachepilot.cli.changing import change_tenants, incumbents, report, rules_of
    from cachepilot.cli.effect import await_effect
    from cachepilot.cli.sources import read_sources

    incoming = read_incoming(read_sources(files, recursive=recursive), rules_of(invocation))
    change_set = change_tenants(
        invocation,
        lambda folder, _: plan_changes(folder, incoming, prefer=incumbents(invocation)),
        if_hash=if_hash,
        dry_run=dry_run,
    )
    report(invocation, change_set, output, dry_run=dry_run)
    if wait and not dry_run:
        await_effect(invocation, change_set, timeout=timeout)
