"""``cachepilotctl``: finds the verb, runs it, and turns every ending into an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any, NoReturn

import click

from cachepilot import __version__
from cachepilot.cli.complaints import in_words
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError, show_error
from cachepilot.cli.invocation import current, global_options, wants_colour
from cachepilot.cli.output import print_text
from cachepilot.cli.verbs import SECTIONS, VERBS
from cachepilot.spec.spelling import did_you_mean


class Root(click.Group):
    """The program; a verb's module is imported when that verb is used, not before.

    Attributes:
        context: The latest run, which knows how to talk even when it has failed.
    """

    context: click.Context | None = None

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own keywords
    ) -> click.Context:
        """Begin a run and remember it."""
        self.context = None
        self.context = super().make_context(info_name, args, parent, **extra)
        return self.context

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return all verbs in the order of the help text."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return one verb, imported now."""
        if cmd_name not in VERBS:
            return None
        verb = VERBS[cmd_name]
        command = getattr(import_module(f"cachepilot.cli.{verb.module}"), verb.attribute)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one it could have been."""
        if (
            args
            and args[0] not in VERBS
            and not args[0].startswith("-")
            and not ctx.resilient_parsing
        ):
            raise CommandError(
                f'there is no verb "{args[0]}"',
                exit_code=Exit.USAGE,
                hint=did_you_mean(args[0], VERBS) or "see `cachepilotctl --help`",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the verbs by section, without importing any of them."""
        for title in SECTIONS:
            rows = [(name, verb.help) for name, verb in VERBS.items() if verb.section == title]
            with formatter.section(title):
                formatter.write_dl(rows)

    def main(  # type: ignore[override] # always ends the process, like click's own default
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        **extra: Any,  # noqa: ANN401 - click's own keywords
    ) -> NoReturn:
        """Run the verb and exit."""
        extra = {**extra, "standalone_mode": False, "color": wants_colour(None)}
        run: Callable[[], object] = lambda: super(Root, self).main(  # noqa: E731 - one expression
            args, prog_name or "cachepilotctl", complete_var, **extra
        )
        sys.exit(self._ending(run))

    def _ending(self, run: Callable[[], object]) -> int:
        """Run a verb; show how it ended and return its exit code."""
        try:
            code = run()
        except (click.Abort, KeyboardInterrupt):
            print_text("interrupted", err=True)
            return Exit.INTERRUPTED
        except click.exceptions.Exit as ended:
            return ended.exit_code
        except BrokenPipeError:
            # The reader of our output had enough, as in `get tenants | head`. Whatever is still
            # buffered must not be flushed into the closed pipe on the way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.DONE
        except Exception as error:  # noqa: BLE001 - the last place that can say it in words
            return self._tell(error)
        return code if isinstance(code, int) else Exit.DONE

    def _tell(self, error: Exception) -> int:
        complaint = in_words(error)
        context = self.context or getattr(error, "ctx", None)
        with context.scope(cleanup=False) if context else nullcontext():
            if context and current(context).debug:
                traceback.print_exception(error)
            show_error(complaint)
        # `diff` promises 1 for "differs", so every error of it is a 2.
        is_diff = context and context.invoked_subcommand == "diff"
        return Exit.USAGE if is_diff else complaint.code


@click.command(
    cls=Root,
    params=global_options(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed (diff: differs), 2 usage (diff: any error), 3 invalid "
    "spec, 4 not found, 5 no readable status, 6 degraded, 7 timed out, 8 conflict, "
    "130 interrupted.",
)
@click.version_option(__version__, prog_name="cachepilotctl", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Edit the files that describe tenants, and see how they are.

    Nothing here talks to Docker or to a server: files go in, the daemon acts on them, and its
    published status comes out. Everything works while the daemon is down.
    """
    if context.invoked_subcommand is None:
        for line in context.get_help().splitlines():
            print_text(line, err=True)
        context.exit(Exit.USAGE)
