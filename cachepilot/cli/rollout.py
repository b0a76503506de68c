"""``rollout status``: how far new defaults of the host have reached the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
from cachepilot.cli.columns import table
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.figures import since_text
from cachepilot.cli.invocation import Invocation, pass_invocation
from cachepilot.cli.look import no_status, warn_if_stale
from cachepilot.cli.output import API_VERSION, listing, print_line, print_object, print_text
from cachepilot.cli.verb import Verb

POLL_SECONDS = 0.5
MOST_NAMES = 10
_PHASES = {
    "idle": "nothing to roll out",
    "looking": "everybody is looked at first",
    "canary": "canaries take the new defaults",
    "batches": "the fleet takes the new defaults",
    "halted": "halted by a failure",
}


@click.group(no_args_is_help=False)
def rollout() -> None:
    """Show how new defaults of the host reach the tenants."""


@rollout.command(cls=Verb)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
@click.option(
    "-w", "--watch", is_flag=True, help="Go on until it is over, and print what changes."
)
@pass_invocation
def status(invocation: Invocation, *, output: str, watch: bool) -> int:
    """Show who takes new defaults now, who waits, for whom, and what went wrong.

    Only changes that need a restart are rolled out; see rollout in the settings. Exits 6 if a
    failure halted it.
    """
    published = PublishedStatus(invocation.paths)
    warn_if_stale(invocation, published)
    told: Mapping[str, Any] = {}
    while True:
        found = _read(published)
        if found != told:
            _show(found, invocation, output, streaming=watch)
            told = found
        is_over = found["phase"] in {"idle", "halted"}
        if not watch or is_over:
            return Exit.DEGRADED if found["phase"] == "halted" else Exit.DONE
        invocation.surroundings.pause(POLL_SECONDS)


def _read(published: PublishedStatus) -> Mapping[str, Any]:
    try:
        host = published.host()
    except StatusUnreadableError as error:
        raise no_status(error) from error
    found = host.content.get("rollout") if host else None
    if not isinstance(found, dict):
        raise CommandError(
            "the daemon has not said anything about a rollout yet", exit_code=Exit.NO_STATUS
        )
    return found


def _show(
    found: Mapping[str, Any], invocation: Invocation, output: str, *, streaming: bool
) -> None:
    if output == "json":
        item = {"apiVersion": API_VERSION, "kind": "Rollout", "status": found}
        if streaming:
            print_line(item)
        else:
            print_object(listing([item]), "json")
        return
    now, halted = invocation.surroundings.now(), found["halted"]
    under_way = [
        f"{each['name']} ({_progress(each)}, for {since_text(each['since'], now) or '0s'})"
        for each in found["underWay"]
    ]
    rows = [
        ("Rollout:", _PHASES.get(found["phase"], found["phase"])),
        ("Have them, and are well:", str(found["passed"])),
        ("Under way:", ", ".join(under_way) or "-"),
        ("Wait for their turn:", str(found["waiting"])),
        ("Wait for their window:", str(found["waitingForWindow"])),
        ("Failed:", ", ".join(found["failed"]) or "-"),
        ("Out of service:", str(found["unready"])),
        ("Passed over, at rest:", str(found["resting"])),
    ]
    for line in table(rows):
        print_text(line)
    # An older daemon says none of these.
    _show_names("Held up:", [each for each in found["underWay"] if each.get("message")])
    _show_names("Waits for:", found.get("waitsFor", []))
    _show_names("Passed over, cannot be looked at:", found.get("cannotBeSeen", []))
    if halted:
        print_text(f"{halted['tenant']}: {halted['message']}", fg="red")
        print_text(
            "Correct the defaults in the settings, or set rollout.resumedAt there to go on; then "
            "reload the daemon."
        )


def _progress(turn: Mapping[str, Any]) -> str:
    if turn.get("message"):
        return "held up"
    return "ready" if turn["readySince"] else "restarts"


def _show_names(title: str, found: Sequence[Mapping[str, str]]) -> None:
    """Print each of *found* with what is said of it; a fleet may be large."""
    if found:
        print_text(title)
    for each in found[:MOST_NAMES]:
        print_text(f"  {each['name']}: {each['message']}")
    if more := len(found[MOST_NAMES:]):
        print_text(f"  and {more} more (all of them: -o json)")
