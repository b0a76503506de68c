"""``diff``: what applying files would change, before anything happens."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.options import output_option
from cachepilot.cli.sources import files_option
from cachepilot.cli.verb import Verb


@click.command(cls=Verb)
@files_option
@output_option("text", "json")
@pass_invocation
def diff(invocation: Invocation, *, files: Sequence[str], recursive: bool, output: str) -> int:
    """Show what applying files would change: the lines, then what the daemon would do.

    Exits 0 if nothing differs, 1 if something does, and 2 on any error.
    """
    from cachepilot.adapters.published import PublishedStatus
    from cachepilot.adapters.spec_apply import plan_changes, read_incoming
    from cachepilot.adapters.spec_changes import Result
    from cachepilot.adapters.spec_folder import SpecFolder
    from cachepilot.cli.changing import incumbents, rules_of
    from cachepilot.cli.differences import difference_items, print_differences
    from cachepilot.cli.look import warn_if_stale
    from cachepilot.cli.output import listing, print_object
    from cachepilot.cli.sources import read_sources

    rules = rules_of(invocation)
    incoming = read_incoming(read_sources(files, recursive=recursive), rules)
    folder = SpecFolder(invocation.paths.tenants_d)
    change_set = plan_changes(folder, incoming, prefer=incumbents(invocation))
    differs = any(change.result is not Result.UNCHANGED for change in change_set.changes)
    if differs:
        warn_if_stale(invocation, PublishedStatus(invocation.paths))
    if output == "json":
        items = difference_items(invocation, change_set, rules)
        print_object(listing(items, changed=differs), "json")
    else:
        print_differences(invocation, change_set, rules)
    return Exit.FAILED if differs else Exit.DONE
