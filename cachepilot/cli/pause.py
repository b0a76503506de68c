"""``pause`` and ``resume``: whether the daemon acts on tenants or only reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import dry_run_option, output_option, wait_options
from cachepilot.cli.verb import Verb

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _all_option(function: _Function) -> _Function:
    return click.option("--all", "everybody", is_flag=True, help="Every tenant with a document.")(
        function
    )


@click.command(cls=Verb)
@names_argument("[NAME]...", required=False)
@_all_option
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def pause(invocation: Invocation, words: Sequence[str], **options: object) -> None:
    """Leave tenants exactly as they are, and only report: sets spec.paused to true."""
    _set_paused(invocation, words, "true", **options)


@click.command(cls=Verb)
@names_argument("[NAME]...", required=False)
@_all_option
@dry_run_option
@wait_options
@output_option("text", "json")
@pass_invocation
def resume(invocation: Invocation, words: Sequence[str], **options: object) -> None:
    """End a pause: sets spec.paused to false."""
    _set_paused(invocation, words, "false", **options)


def _set_paused(
    invocation: Invocation, words: Sequence[str], paused: str, **options: object
) -> None:
    from cachepilot.adapters.spec_folder import SpecFolder
    from cachepilot.cli.changing import report, set_fields_of
    from cachepilot.cli.effect import await_effect

    everybody, dry_run = bool(options["everybody"]), bool(options["dry_run"])
    if everybody == bool(words):
        raise CommandError(
            "expected either names of tenants or --all",
            exit_code=Exit.USAGE,
            hint="such as cachepilotctl pause acme",
        )
    names = SpecFolder(invocation.paths.tenants_d).names() if everybody else tenant_names(words)
    change_set = set_fields_of(invocation, names, [("spec.paused", paused)], dry_run=dry_run)
    report(invocation, change_set, str(options["output"]), dry_run=dry_run)
    if options["wait"] and not dry_run:
        await_effect(invocation, change_set, timeout=float(str(options["timeout"])))
