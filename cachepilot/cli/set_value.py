"""``set``: changes single fields and proves that nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import complete_noun_and_names, one_tenant
from cachepilot.cli.options import dry_run_option, if_hash_option, output_option, wait_options
from cachepilot.cli.verb import Verb


@click.command("set", cls=Verb)
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="NAME PATH=VALUE...",
    shell_complete=complete_noun_and_names,
)
@dry_run_option
@if_hash_option
@wait_options
@output_option("text", "json")
@pass_invocation
def set_value(
    invocation: Invocation,
    words: Sequence[str],
    *,
    dry_run: bool,
    if_hash: str | None,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Change single fields of a tenant's document, keeping comments and layout.

    For example `set acme spec.memory.max=512MiB spec.cpus=0.5`. A field that is missing is
    added, and `null` says as much as leaving it out. The file is read again afterwards: if
    anything else would have changed, nothing is written.
    """
    from cachepilot.cli.changing import report, set_fields_of
    from cachepilot.cli.effect import await_effect

    names = [word for word in words if "=" not in word]
    wishes = [_wish(word) for word in words if "=" in word]
    if not wishes:
        raise CommandError(
            "expected PATH=VALUE",
            exit_code=Exit.USAGE,
            hint="such as cachepilotctl set acme spec.memory.max=512MiB",
        )
    name = one_tenant(names)
    change_set = set_fields_of(invocation, [name], wishes, if_hash=if_hash, dry_run=dry_run)
    report(invocation, change_set, output, dry_run=dry_run)
    if wait and not dry_run:
        await_effect(invocation, change_set, timeout=timeout)


def _wish(word: str) -> tuple[str, str]:
    path, _, text = word.partition("=")
    return path, text
