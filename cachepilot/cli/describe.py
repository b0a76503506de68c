"""``describe tenant``: everything known about one tenant on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from cachepilot.adapters.event_reader import EventReader
from cachepilot.adapters.published import PublishedTenant
from cachepilot.cli.advice import next_step
from cachepilot.cli.columns import table
from cachepilot.cli.events import event_rows, newest
from cachepilot.cli.figures import since_text, size_text
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.look import as_item, published_tenants
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.output import listing, print_object, print_text
from cachepilot.cli.rows import waiting_of
from cachepilot.cli.verb import Verb
from cachepilot.cli.words import colour_of
from cachepilot.errors import UnavailableError

_EVENTS = 10


@click.command(cls=Verb)
@names_argument("tenant NAME...", noun=True)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    help="How to print.",
)
@pass_invocation
def describe(invocation: Invocation, words: Sequence[str], *, output: str) -> None:
    """Show everything known about a tenant, and what to do next.

    Say `describe tenant NAME` or `describe tenant/NAME`; without a name, all of them are shown.
    """
    found = published_tenants(invocation, tenant_names(words, needs_noun=True))
    if output != "text":
        print_object(listing(map(as_item, found)), output)
        return
    for number, tenant in enumerate(found):
        if number:
            print_text()
        _page(tenant, invocation)


def _page(tenant: PublishedTenant, invocation: Invocation) -> None:
    now = invocation.surroundings.now()
    status = tenant.status
    since = since_text(tenant.condition("Ready").get("lastTransitionTime"), now)
    ago = since_text(tenant.confirmed_at.isoformat(), now)
    pairs = [
        ("Name", tenant.name),
        ("Status", tenant.word + (f" for {since}" if since else "")),
        ("File", str(tenant.metadata.get("source") or "-")),
        ("Labels", _pairs(tenant.labels)),
        ("Annotations", _pairs(_mapping(tenant.metadata.get("annotations")))),
        (
            "Generation",
            f"{status.get('generation', '-')} (seen: {status.get('observedGeneration', '-')})",
        ),
        ("Confirmed", f"{ago} ago"),
    ]
    for number, line in enumerate(table([(f"{key}:", value) for key, value in pairs])):
        if number == 1:
            print_text(line, mark=tenant.word, fg=colour_of(tenant.word))
        else:
            print_text(line)
    _section("Spec", _fields(tenant.spec))
    _section("Users", _users(tenant, invocation))
    _section("Endpoints", table([_endpoint(each) for each in tenant.endpoints]))
    _section("Conditions", _conditions(tenant, invocation))
    _section("Problems", [str(each) for each in status.get("problems") or ()])
    _section("Plan", [str(each) for each in status.get("plan") or ()])
    _section("Waiting", _waiting(tenant))
    _section("Events", _events(tenant.name, invocation))
    if step := next_step(tenant):
        _section("What to do next", [step])


def _section(title: str, lines: Sequence[str]) -> None:
    if lines:
        print_text(f"{title}:", bold=True)
        for line in lines:
            print_text(f"  {line}")


def _fields(spec: Mapping[str, Any]) -> list[str]:
    rows = [(f"{key}:", _shown(key, value)) for key, value in _leaves(spec) if key != "auth.users"]
    return table([row for row in rows if row[1]])


def _leaves(spec: Mapping[str, Any], at: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in spec.items():
        path = f"{at}.{key}" if at else str(key)
        found += _leaves(value, path) if isinstance(value, dict) else [(path, value)]
    return found


def _shown(key: str, value: object) -> str:
    if value is None or value == []:
        return ""
    if key in {"memory.max", "memory.limit"}:
        return size_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _users(tenant: PublishedTenant, invocation: Invocation) -> list[str]:
    """Return who can log in, with the revision of the password and what the server allows."""
    auth = _mapping(tenant.spec.get("auth"))
    said = [str(each.get("name")) for each in map(_mapping, auth.get("users") or ())]
    known = {str(each.get("name")): each for each in map(_mapping, tenant.users)}
    now = invocation.surroundings.now()
    rows = [
        (
            name,
            str(known[name].get("revision", "-")) if name in known else "-",
            since_text(known[name].get("since"), now) or "-" if name in known else "-",
            str(known[name].get("may") or "-") if name in known else "-",
        )
        for name in dict.fromkeys((*known, *said))
    ]
    return table(rows, headers=("USER", "PASSWORD", "SINCE", "MAY")) if rows else []


def _endpoint(endpoint: Mapping[str, Any]) -> tuple[str, str]:
    return str(endpoint.get("listener")), f"{endpoint.get('host')}:{endpoint.get('port')}"


def _conditions(tenant: PublishedTenant, invocation: Invocation) -> list[str]:
    now = invocation.surroundings.now()
    rows = [
        (
            str(each.get("type", "")),
            str(each.get("status", "")),
            since_text(each.get("lastTransitionTime"), now) or "-",
            str(each.get("reason", "")),
            str(each.get("message", "")),
        )
        for each in tenant.conditions
    ]
    return table(rows, headers=("TYPE", "STATUS", "SINCE", "REASON", "MESSAGE")) if rows else []


def _waiting(tenant: PublishedTenant) -> list[str]:
    waits = waiting_of(tenant)
    lines = [str(each) for each in waits.get("plan") or ()]
    return [str(waits.get("message")), *(f"  {line}" for line in lines)] if waits else []


def _events(name: str, invocation: Invocation) -> list[str]:
    reader = EventReader(invocation.paths.events)
    try:
        seen = newest(reader, lambda event: event.get("tenant") == name, _EVENTS)
    except UnavailableError as error:
        return [str(error)]
    return table([(*row[:2], *row[3:]) for row in event_rows(seen, invocation)])


def _pairs(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items()) or "-"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
