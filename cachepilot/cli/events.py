"""``events``: what happened, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import click

from cachepilot.adapters.event_reader import Event, EventReader
from cachepilot.cli.columns import table
from cachepilot.cli.figures import since_text
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.names import complete_names, one_tenant
from cachepilot.cli.output import API_VERSION, listing, print_line, print_object, print_text
from cachepilot.cli.verb import Verb

POLL_SECONDS = 0.5
_HEADERS = ("AGE", "TYPE", "TENANT", "REASON", "MESSAGE")


@click.command(cls=Verb)
@click.option(
    "--for", "tenant", metavar="NAME", help="Only this tenant.", shell_complete=complete_names
)
@click.option(
    "--types", metavar="TYPE[,TYPE]", help="Only Normal or only Warning events.", default=""
)
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many."
)
@click.option("-w", "--watch", is_flag=True, help="Go on, and print every event that comes.")
@click.option("--no-headers", is_flag=True, help="Leave out the line of titles.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print."
)
@pass_invocation
def events(
    invocation: Invocation,
    *,
    tenant: str | None,
    types: str,
    limit: int,
    watch: bool,
    no_headers: bool,
    output: str,
) -> None:
    """Show what happened, the newest last."""
    reader = EventReader(invocation.paths.events)
    is_wanted = _filter(one_tenant([tenant]) if tenant else None, types)
    reader.skip_to_end()
    seen = newest(reader, is_wanted, limit)
    if output == "json" and watch:
        _print_lines(seen)
    elif output == "json":
        print_object(listing(map(_item, seen)), "json")
    else:
        _print_table(seen, invocation, headers=() if no_headers else _HEADERS)
    if not seen:
        invocation.say("no events found")
    while watch:
        invocation.surroundings.pause(POLL_SECONDS)
        fresh = [event for event in reader.fresh() if is_wanted(event)]
        if output == "json":
            _print_lines(fresh)
        else:
            _print_table(fresh, invocation, headers=())


def newest(
    reader: EventReader, is_wanted: Callable[[Event], bool], limit: int
) -> tuple[Event, ...]:
    """Return the newest *limit* events that are wanted, oldest first."""
    return tuple(islice(filter(is_wanted, reader.newest_first()), limit))[::-1]


def event_rows(seen: Iterable[Event], invocation: Invocation) -> list[tuple[str, ...]]:
    """Return the cells of each event."""
    now = invocation.surroundings.now()
    return [
        (
            since_text(event.get("time"), now) or "-",
            str(event.get("type", "")),
            str(event.get("tenant") or "-"),
            str(event.get("reason", "")),
            str(event.get("message", "")),
        )
        for event in seen
    ]


def _filter(tenant: str | None, types: str) -> Callable[[Event], bool]:
    wanted = {kind.strip().capitalize() for kind in types.split(",") if kind.strip()}
    if unknown := wanted - {"Normal", "Warning"}:
        raise click.BadParameter(
            f'there is no type "{min(unknown)}"; say Normal or Warning', param_hint="'--types'"
        )

    def is_wanted(event: Event) -> bool:
        return (tenant is None or event.get("tenant") == tenant) and (
            not wanted or event.get("type") in wanted
        )

    return is_wanted


def _print_table(seen: Sequence[Event], invocation: Invocation, *, headers: Sequence[str]) -> None:
    rows = event_rows(seen, invocation)
    for line in table(rows, headers=headers) if rows else ():
        print_text(line, mark="Warning", fg="yellow")


def _print_lines(seen: Iterable[Event]) -> None:
    for event in seen:
        print_line(_item(event))


def _item(event: Event) -> dict[str, object]:
    return {"apiVersion": API_VERSION, "kind": "Event", **event}
