"""``rotate``: one wish for another password, written down with its time, and served once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import dry_run_option, output_option, wait_options
from cachepilot.cli.verb import Verb
from cachepilot.clock import rfc3339

if TYPE_CHECKING:
    from cachepilot.adapters.spec_changes import ChangeSet
    from cachepilot.adapters.spec_folder import SpecFolder
    from cachepilot.spec.rules import Rules


@click.command(cls=Verb)
@names_argument()
@click.option(
    "--grace",
    metavar="DURATION",
    help="How long the password before still works, such as 24h; 0s ends it at once. Sets "
    "spec.auth.grace, which holds for all users and so goes with --user default alone; without "
    "it, what the document or the host says holds.",
)
@click.option(
    "--user",
    metavar="USER",
    default="default",
    show_default=True,
    help="Whose password: `default`, or a user of spec.auth.users.",
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
    user: str,
    dry_run: bool,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Give tenants a new password once: sets rotatedAt of the user to now.

    Connections stay. Both passwords work until the grace is over; describe says until when.
    """
    from cachepilot.adapters.spec_edits import Edit, plan_edits
    from cachepilot.adapters.spec_users import place_of_user
    from cachepilot.cli.changing import change_tenants, incumbents, report
    from cachepilot.cli.effect import await_effect

    names = tenant_names(words)
    if grace is not None and user != "default":
        raise CommandError(
            "cannot set the grace of one user: it is that of all users of the tenant, and may end "
            "older passwords of others",
            exit_code=Exit.USAGE,
            hint=f"leave --grace out, or `cachepilotctl set NAME spec.auth.grace={grace}` for all",
        )
    wish = f'"{rfc3339(invocation.surroundings.now())}"'
    prefer = incumbents(invocation)
    more = () if grace is None else ((("spec", "auth", "grace"), grace),)

    def plan(folder: SpecFolder, rules: Rules) -> ChangeSet:
        places = {
            name: place_of_user(folder.get(name, prefer=prefer(name)), user) for name in names
        }
        edits = [
            Edit(name=name, wishes=(((*place, "rotatedAt"), wish), *more))
            for name, place in places.items()
        ]
        return plan_edits(folder, edits, rules, prefer=prefer)

    change_set = change_tenants(invocation, plan, dry_run=dry_run)
    report(invocation, change_set, output, dry_run=dry_run)
    if wait and not dry_run:
        await_effect(invocation, change_set, timeout=timeout)
