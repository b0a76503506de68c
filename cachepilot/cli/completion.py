"""``completion``: a script that lets the shell complete verbs, options and tenant names."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from cachepilot.cli.verb import Verb

PROGRAM = "cachepilotctl"
VARIABLE = "_CACHEPILOTCTL_COMPLETE"
_SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(list(_SHELLS)), metavar="bash|zsh|fish")
@click.pass_context
def completion(context: click.Context, /, *, shell: str) -> None:
    """Print a completion script for your shell.

    For bash: `cachepilotctl completion bash > /etc/bash_completion.d/cachepilotctl`.
    """
    root = context.find_root().command
    # click asks the installed bash for its version first; the script itself needs no answer.
    click.echo(completion_script(root, shell), nl=False)


def completion_script(root: click.Command, shell: str) -> str:
    """Return the script that the shell is to source."""
    complete = _SHELLS[shell](root, {}, PROGRAM, VARIABLE)
    return str(complete.source_template % complete.source_vars()).lstrip("\n")
