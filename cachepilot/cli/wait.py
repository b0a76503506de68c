"""``wait``: until tenants are what their documents, as they are now, want them to be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.look import as_item, published_tenants
from cachepilot.cli.names import names_argument, tenant_names
from cachepilot.cli.options import Timeout, output_option
from cachepilot.cli.output import listing, print_object, print_text
from cachepilot.cli.rows import Selector
from cachepilot.cli.verb import Verb

if TYPE_CHECKING:
    from cachepilot.cli.waiting import Goal

_STATUSES = {"true": "True", "false": "False", "unknown": "Unknown"}


@click.command(cls=Verb)
@names_argument("[NAME]...", required=False)
@click.option(
    "--for",
    "wanted",
    required=True,
    metavar="condition=TYPE[=STATUS]|delete",
    help="What to wait for, such as condition=Ready or condition=Ready=False.",
)
@click.option("--all", "everybody", is_flag=True, help="Every tenant with a status.")
@click.option("-l", "--selector", multiple=True, metavar="KEY=VALUE", help="Only these labels.")
@click.option(
    "--timeout",
    type=Timeout(),
    default="60s",
    show_default=True,
    help="How long to wait; 0 means forever.",
)
@output_option("text", "json")
@pass_invocation
def wait(
    invocation: Invocation,
    words: Sequence[str],
    *,
    wanted: str,
    everybody: bool,
    selector: Sequence[str],
    timeout: float,
    output: str,
) -> None:
    """Wait until tenants reach a condition.

    Only a status that was made from the tenant's document and the settings as they are now
    counts; one that speaks of older files never does.
    """
    from cachepilot.cli.waiting import wait_for

    goal = _goal(wanted)
    names = _names(invocation, words, selector, everybody=everybody)
    met = []
    for state in wait_for(invocation, dict.fromkeys(names, goal), timeout=timeout):
        if output == "text":
            print_text(f"tenant/{state.name} {_told(goal)}")
        elif state.tenant:
            met.append(as_item(state.tenant))
    if output == "json":
        print_object(listing(met), "json")


def _names(
    invocation: Invocation, words: Sequence[str], selector: Sequence[str], *, everybody: bool
) -> tuple[str, ...]:
    if bool(words) == bool(everybody or selector):
        raise CommandError(
            "expected either names of tenants, or --all or -l",
            exit_code=Exit.USAGE,
            hint="such as cachepilotctl wait --for=condition=Ready acme",
        )
    if words:
        return tenant_names(words)
    chosen = Selector.parse(selector)
    found = published_tenants(invocation)
    names = tuple(tenant.name for tenant in found if chosen.matches(tenant.labels))
    if not names:
        raise CommandError("there is nobody to wait for", exit_code=Exit.NOT_FOUND)
    return names


def _goal(wanted: str) -> Goal:
    from cachepilot.cli.waiting import DELETED, Goal, Kind
    from cachepilot.status.conditions import ConditionType

    if wanted in {"delete", "deleted"}:
        return DELETED
    match = re.fullmatch(r"condition=([A-Za-z]+)(?:=(\w+))?", wanted)
    known = {kind.value.lower(): kind.value for kind in ConditionType}
    status = _STATUSES.get((match[2] or "true").lower()) if match else None
    if match is None or status is None or match[1].lower() not in known:
        raise CommandError(
            f'cannot wait for "{wanted}"',
            exit_code=Exit.USAGE,
            hint=f"say condition=TYPE[=True|False|Unknown] or delete; "
            f"types are {', '.join(known.values())}",
        )
    return Goal(Kind.CONDITION, known[match[1].lower()], status)


def _told(goal: Goal) -> str:
    from cachepilot.cli.waiting import Kind

    return "deleted" if goal.kind is Kind.GONE else "condition met"
