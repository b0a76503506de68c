"""``validate``: checks files offline, wherever they are and whatever they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.options import output_option
from cachepilot.cli.output import listing, print_object, print_text
from cachepilot.cli.verb import Verb


@click.command(cls=Verb)
@click.argument("files", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("-R", "--recursive", is_flag=True, help="Look into folders below a folder, too.")
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Also look for clashes of names and pinned ports with the tenants in DIR.",
)
@output_option("text", "json")
@pass_invocation
def validate(
    invocation: Invocation,
    files: Sequence[str],
    *,
    recursive: bool,
    against: Path | None,
    output: str,
) -> int:
    """Check tenant files without applying them; tells every problem of every file.

    Needs no daemon and no status. Defaults and limits are those of the host's settings file.
    """
    from cachepilot.cli.changing import rules_of
    from cachepilot.cli.checking import check_files
    from cachepilot.cli.sources import read_sources

    rules = rules_of(invocation)
    given = read_sources(files, recursive=recursive)
    others = read_sources([str(against)], recursive=False) if against and _has_any(against) else []
    checked = check_files(given, others, rules)
    if output == "json":
        print_object(listing([each.as_json() for each in checked]), "json")
    else:
        for each in checked:
            for problem in each.problems:
                print_text(str(problem))
            if not each.problems:
                names = ", ".join(each.names) or "no tenant"
                print_text(f"{each.file}: valid ({names})")
    broken = sum(bool(each.problems) for each in checked)
    if broken:
        invocation.say(f"{broken} of {len(checked)} files invalid")
    return Exit.INVALID if broken else Exit.DONE


def _has_any(folder: Path) -> bool:
    from cachepilot.adapters.tenant_folder import is_tenant_file

    return any(is_tenant_file(path.name) for path in folder.iterdir())
