"""``edit``: a tenant's document in your editor, checked and shown before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError, show_error
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import names_argument, one_tenant
from cachepilot.cli.options import if_hash_option, output_option, wait_options
from cachepilot.cli.verb import Verb

if TYPE_CHECKING:
    from cachepilot.adapters.scratch_file import ScratchFile
    from cachepilot.adapters.spec_changes import ChangeSet
    from cachepilot.adapters.spec_location import Located
    from cachepilot.spec.rules import Rules


@click.command(cls=Verb)
@names_argument("tenant NAME", noun=True)
@click.option("-y", "--yes", is_flag=True, help="Write without asking once the text is valid.")
@if_hash_option
@wait_options
@output_option("text", "json")
@pass_invocation
def edit(
    invocation: Invocation,
    words: Sequence[str],
    *,
    yes: bool,
    if_hash: str | None,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Change a tenant's document in your editor ($VISUAL, $EDITOR).

    What the change means is shown before it is written. A text that is not valid is kept, and
    so is one for which the file was changed by somebody else in the meantime.
    """
    from cachepilot.adapters.scratch_file import ScratchFile
    from cachepilot.adapters.spec_folder import SpecFolder
    from cachepilot.cli.changing import change_tenants, incumbents, report, rules_of
    from cachepilot.cli.effect import await_effect
    from cachepilot.errors import CachePilotError

    name = one_tenant(words)
    if not (yes or invocation.may_ask):
        invocation.ask("is the change to be written?", flag="--yes")  # says what is missing
    rules = rules_of(invocation)
    folder = SpecFolder(invocation.paths.tenants_d)
    located = folder.get(name, prefer=incumbents(invocation)(name))
    with ScratchFile(f"{name}.yaml", located.text) as scratch:
        try:
            change_set = _edited(invocation, located, scratch, rules, yes=yes)
            if change_set is None:
                invocation.say("nothing changed")
                return
            # The plan holds the file as it was before the editor opened; writing compares.
            change_tenants(invocation, lambda *_: change_set, if_hash=if_hash)
        except (CachePilotError, CommandError, click.Abort, KeyboardInterrupt):
            if scratch.read() not in {b"", located.text}:
                scratch.keep()
                invocation.say(f"your text is kept in {scratch.path}")
            raise
    report(invocation, change_set, output)
    if wait:
        await_effect(invocation, change_set, timeout=timeout)


def _edited(
    invocation: Invocation, located: Located, scratch: ScratchFile, rules: Rules, *, yes: bool
) -> ChangeSet | None:
    """Let the person edit until the text is valid and approved; None if nothing changed."""
    from cachepilot.adapters.spec_edits import plan_rewrite
    from cachepilot.adapters.spec_refusals import InvalidSpecError, SpecEditError
    from cachepilot.cli.complaints import in_words
    from cachepilot.cli.differences import print_differences

    while True:
        try:
            click.edit(filename=str(scratch.path))
        except click.ClickException as error:
            raise CommandError(
                f"cannot edit tenant {located.name}",
                causes=[error.format_message()],
                hint="let VISUAL or EDITOR name an editor that works",
            ) from error
        text = scratch.read()
        if text == located.text:
            return None
        if not text.strip():
            raise CommandError("cannot write an empty document", hint="use delete to end serving")
        try:
            change_set = plan_rewrite(located, text, rules, shown_as=str(scratch.path))
        except SpecEditError as error:
            if not (isinstance(error, InvalidSpecError) and invocation.may_ask):
                raise
            show_error(in_words(error))
            if _is_no(invocation.ask("edit again? [Y/n]", flag="--yes"), default=False):
                raise
            continue
        if yes:
            return change_set
        print_differences(invocation, change_set, rules)
        if _is_no(invocation.ask("write this? [y/N]", flag="--yes"), default=True):
            raise CommandError("did not write the change", exit_code=Exit.FAILED)
        return change_set


def _is_no(answer: str, *, default: bool) -> bool:
    word = answer.strip().lower()
    return default if not word else word not in {"y", "yes"}
