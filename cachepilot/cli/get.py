"""``get tenants``: one line each, the broken ones first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

import click

from cachepilot.adapters.published import PublishedStatus, PublishedTenant, StatusUnreadableError
from cachepilot.cli.certs import print_certs
from cachepilot.cli.columns import table
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, is_terminal, pass_invocation
from cachepilot.cli.look import as_item, no_status, published_tenants, warn_of_host
from cachepilot.cli.names import listed_names, names_argument
from cachepilot.cli.output import listing, print_line, print_object, print_text
from cachepilot.cli.rows import HEADERS, WIDE_HEADERS, Selector, is_degraded, row, sorted_by
from cachepilot.cli.verb import Verb
from cachepilot.cli.words import colour_of

POLL_SECONDS = 0.5


@click.command(cls=Verb)
@names_argument("tenants|certs [NAME]...", required=False, noun=True)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json", "yaml", "name"]),
    default="table",
    help="How to print.",
)
@click.option("-l", "--selector", multiple=True, metavar="KEY=VALUE", help="Only these labels.")
@click.option("-w", "--watch", is_flag=True, help="Go on, and print every tenant that changes.")
@click.option("--no-headers", is_flag=True, help="Leave out the line of titles.")
@click.option(
    "--sort-by",
    metavar="FIELD",
    help="A column such as memory, or a path such as .spec.memory.max; by default the broken "
    "ones come first.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["degraded"]),
    help="Exit 6 if any of the tenants shown is not as it should be.",
)
@pass_invocation
def get(
    invocation: Invocation,
    words: Sequence[str],
    *,
    output: str,
    selector: Sequence[str],
    watch: bool,
    no_headers: bool,
    sort_by: str | None,
    fail_on: str | None,
) -> int:
    """List tenants with their status, the broken ones first, or certificates.

    `get certs` lists the roots that clients trust, and how far a root is being replaced; and for
    each tenant the certificate of its server and those of its clients, with the files to hand out
    (`-o wide`).

    Reads what the daemon published last, so it also works while the daemon is down.
    """
    if not words:
        raise CommandError("get what?", exit_code=Exit.USAGE, hint="cachepilotctl get tenants")
    (of_certificates, names), chosen = listed_names(words), Selector.parse(selector)
    if of_certificates and (watch or sort_by or fail_on):
        raise CommandError(
            "certificates can only be listed", exit_code=Exit.USAGE, hint="try -o json"
        )
    found = [
        tenant for tenant in published_tenants(invocation, names) if chosen.matches(tenant.labels)
    ]
    if of_certificates:
        print_certs(invocation, found, output, headers=not no_headers)
        return Exit.DONE
    found = sorted_by(found, sort_by)
    show = _printer(invocation, output)
    show(found, not no_headers, watch)
    if not names and output in {"table", "wide"}:
        warn_of_host(invocation, found)
    if not found:
        invocation.say("no tenants found" if names or selector else "no tenants yet")
    if watch:
        _follow(invocation, names, chosen, show)
    degraded = fail_on == "degraded" and any(map(is_degraded, found))
    return Exit.DEGRADED if degraded else Exit.DONE


_Printer = Callable[[Sequence[PublishedTenant], bool, bool], None]


def _printer(invocation: Invocation, output: str) -> _Printer:
    def show(found: Sequence[PublishedTenant], headers: bool, streaming: bool) -> None:  # noqa: FBT001 - one call site each
        if output in {"json", "yaml"} and streaming:
            for tenant in found:
                print_line(as_item(tenant))
        elif output in {"json", "yaml"}:
            print_object(listing(map(as_item, found)), output)
        elif output == "name":
            for tenant in found:
                print_text(f"tenant/{tenant.name}")
        else:
            _print_table(found, invocation, wide=output == "wide", headers=headers)

    return show


def _print_table(
    found: Sequence[PublishedTenant], invocation: Invocation, *, wide: bool, headers: bool
) -> None:
    now = invocation.surroundings.now()
    titles = WIDE_HEADERS if wide else HEADERS
    rows = [row(tenant, now, wide=wide) for tenant in found]
    # Whoever reads through a pipe gets everything; a person gets one line per tenant.
    width = _terminal_width() if is_terminal(sys.stdout) else None
    lines = table(rows, headers=titles, width=width) if rows else []
    if rows and headers:
        print_text(lines[0], bold=True)
    for tenant, line in zip(found, lines[1:], strict=False):
        print_text(line, mark=tenant.word, fg=colour_of(tenant.word))


def _terminal_width() -> int:
    from shutil import get_terminal_size  # brings compression along, which no pipe needs

    return get_terminal_size().columns


def _follow(
    invocation: Invocation, names: Sequence[str], chosen: Selector, show: _Printer
) -> None:
    """Print tenants as their files are replaced, until interrupted."""
    published = PublishedStatus(invocation.paths)
    contents = _contents(published, names)
    stamps: Mapping[str, object] = {}
    while True:
        invocation.surroundings.pause(POLL_SECONDS)
        try:
            if (fresh_stamps := published.stamps()) == stamps:
                continue
            fresh = _contents(published, names)
        except StatusUnreadableError as error:
            raise no_status(error) from error
        changed = [
            tenant
            for name, tenant in fresh.items()
            if (name not in contents or contents[name].content != tenant.content)
            and chosen.matches(tenant.labels)
        ]
        show(changed, False, True)  # noqa: FBT003 - no headers, streaming
        for name in contents.keys() - fresh.keys():
            invocation.say(f"tenant/{name} is no longer known")
        contents, stamps = fresh, fresh_stamps


def _contents(published: PublishedStatus, names: Sequence[str]) -> dict[str, PublishedTenant]:
    found = (published.tenant(name) for name in (names or published.names()))
    return {tenant.name: tenant for tenant in found if tenant}
