"""``plan``: what the daemon would do next, and what clients would notice of it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import output_option
from cachepilot.cli.output import API_VERSION, listing, print_object
from cachepilot.cli.verb import Verb


@click.command(cls=Verb)
@names_argument(required=False)
@output_option("text", "json")
@pass_invocation
def plan(invocation: Invocation, words: Sequence[str], *, output: str) -> None:
    """Show what the daemon would do next to tenants, and what clients notice.

    The plan is made here, from the files as they are now and from what the daemon saw last. A
    visit may take further steps that only a fresh look can tell.
    """
    from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
    from cachepilot.adapters.spec_edits import checked, require_readable
    from cachepilot.adapters.spec_folder import SpecFolder
    from cachepilot.cli.changing import incumbents, rules_of
    from cachepilot.cli.look import no_status, warn_if_stale
    from cachepilot.cli.planning import preview, print_preview

    rules, folder = rules_of(invocation), SpecFolder(invocation.paths.tenants_d)
    prefer = incumbents(invocation)
    names = tenant_names(words) or folder.names()
    specs = []
    for name in names:
        located = folder.get(name, prefer=prefer(name))
        require_readable(located)
        specs.append(checked(located.data, located, rules).spec)
    published = PublishedStatus(invocation.paths)
    warn_if_stale(invocation, published)
    try:
        published.stamps()
    except StatusUnreadableError as error:
        raise no_status(error) from error
    previews = [preview(invocation, spec, rules) for spec in specs]
    if output == "json":
        items = [
            {
                "apiVersion": API_VERSION,
                "kind": "Plan",
                "metadata": {"name": each.name},
                "plan": each.as_json(),
            }
            for each in previews
        ]
        print_object(listing(items), "json")
    else:
        for each in previews:
            print_preview(each)
        if not previews:
            invocation.say("no tenants yet")
