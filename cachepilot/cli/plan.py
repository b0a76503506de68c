"""``plan``: what the daemon would do next, and what clients would notice of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import output_option
from cachepilot.cli.output import API_VERSION, listing, print_object
from cachepilot.cli.verb import Verb

if TYPE_CHECKING:
    from cachepilot.adapters.spec_folder import SpecFolder
    from cachepilot.spec.problem import Problem
    from cachepilot.spec.rules import Rules
    from cachepilot.spec.tenant import TenantSpec


@click.command(cls=Verb)
@names_argument("[NAME]...", required=False)
@output_option("text", "json")
@pass_invocation
def plan(invocation: Invocation, words: Sequence[str], *, output: str) -> None:
    """Show what the daemon would do next to tenants, and what clients notice.

    The plan is made here, from the files as they are now and from what the daemon saw last. A
    visit may take further steps that only a fresh look can tell.
    """
    from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
    from cachepilot.adapters.spec_folder import SpecFolder
    from cachepilot.adapters.spec_refusals import InvalidSpecError
    from cachepilot.cli.changing import incumbents, rules_of
    from cachepilot.cli.look import no_status, warn_if_stale
    from cachepilot.cli.planning import preview, print_preview
    from cachepilot.errors import UnavailableError

    rules, folder = rules_of(invocation), SpecFolder(invocation.paths.tenants_d)
    prefer, published = incumbents(invocation), PublishedStatus(invocation.paths)
    try:
        known = published.names()
        names = tenant_names(words) or _everybody(folder, known, prefer)
        specs, problems = _wanted(folder, names, rules, prefer)
        warn_if_stale(invocation, published)
        previews = [preview(invocation, spec, rules) for spec in specs]
    except (StatusUnreadableError, UnavailableError) as error:
        raise no_status(error) from error
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
    if problems:
        raise InvalidSpecError("cannot plan for documents that are invalid", problems)
    if not previews:
        invocation.say("no tenants yet")


def _everybody(
    folder: SpecFolder, known: Sequence[str], prefer: Callable[[str], str]
) -> tuple[str, ...]:
    """Return who has a document; only the status still knows whose a broken file is."""
    readable = set(folder.names())
    broken = {
        name for name in known if name not in readable and folder.find(name, prefer=prefer(name))
    }
    return tuple(sorted(readable | broken))


def _wanted(
    folder: SpecFolder, names: Sequence[str], rules: Rules, prefer: Callable[[str], str]
) -> tuple[list[TenantSpec], list[Problem]]:
    """Return what the valid documents of *names* want, and what is wrong with the others."""
    from cachepilot.adapters.spec_edits import checked, require_readable
    from cachepilot.adapters.spec_refusals import InvalidSpecError

    specs: list[TenantSpec] = []
    problems: list[Problem] = []
    for name in names:
        located = folder.get(name, prefer=prefer(name))
        try:
            require_readable(located)
            specs.append(checked(located.data, located, rules).spec)
        except InvalidSpecError as error:
            problems += error.problems
    return specs, problems
