"""``delete``: writes down the wish that serving ends; data stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import dry_run_option, output_option, wait_options
from cachepilot.cli.state import set_state
from cachepilot.cli.verb import Verb

if TYPE_CHECKING:
    from cachepilot.spec.document import TenantName


@click.command(cls=Verb)
@names_argument()
@click.option("-y", "--yes", is_flag=True, help="Do not ask for the name.")
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def delete(invocation: Invocation, words: Sequence[str], *, yes: bool, **options: object) -> None:
    """Stop serving for good, and keep the data: sets spec.state to deleted.

    The document stays in its file; `start` undoes it. Removing the file later changes nothing
    about the data either.
    """
    for name in tenant_names(words):
        if not (yes or options["dry_run"]):
            question = f"tenant {name} stops serving, its data stays; type its name to go on:"
            if (typed := invocation.ask(question, flag="--yes")) != name:
                raise CommandError(f'did not delete tenant {name}: you typed "{typed}"')
    for name in set_state(invocation, words, "deleted", **options):
        invocation.say(f"data of {name} stays in {invocation.paths.tenant(_as_name(name))}")


def _as_name(name: str) -> TenantName:
    from cachepilot.spec.document import TenantName

    return TenantName(name)
