"""Shows what a change of documents means: line by line, and in what the daemon would do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from cachepilot.adapters.spec_changes import Change, ChangeSet, Result
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.noticing import notices_of
from cachepilot.cli.output import print_text
from cachepilot.cli.planning import Preview, preview, print_preview
from cachepilot.errors import UnavailableError
from cachepilot.spec.rules import Rules

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def text_difference(change: Change) -> list[str]:
    """Return the unified difference of one document."""
    before = _lines(change.old or b"")
    old = str(change.path) if change.old is not None else "/dev/null"
    return list(
        difflib.unified_diff(before, _lines(change.new), old, f"{change.path} (new)", lineterm="")
    )


def print_differences(invocation: Invocation, change_set: ChangeSet, rules: Rules) -> None:
    """Print each changed document as a difference, and then what the daemon would do."""
    changes = [each for each in change_set.changes if each.result is not Result.UNCHANGED]
    for change in changes:
        for line in text_difference(change):
            is_title = line.startswith(("---", "+++"))
            colour = None if is_title else _COLOURS.get(line[:1])
            print_text(line, fg=colour, bold=is_title or None)
    if changes:
        print_text()
    for change in changes:
        found = preview_of(invocation, change, rules)
        if isinstance(found, Preview):
            touched = notices_of(invocation, change, rules)
            print_preview(found, [(each.path, str(each)) for each in touched])
        else:
            print_text(f"tenant/{change.name}: {found}")


def difference_items(
    invocation: Invocation, change_set: ChangeSet, rules: Rules
) -> Iterator[dict[str, object]]:
    """Yield the same for programs, unchanged documents included."""
    for change in change_set.changes:
        found = preview_of(invocation, change, rules)
        changed = change.result is not Result.UNCHANGED
        yield {
            "apiVersion": "cachepilot/v1",
            "kind": "Difference",
            "metadata": {"name": change.name, "source": str(change.path)},
            "result": change.result.value,
            "changed": changed,
            "difference": "\n".join(text_difference(change)) if changed else "",
            "fields": [each.as_json() for each in notices_of(invocation, change, rules)],
            "plan": found.as_json() if isinstance(found, Preview) else None,
        }


def preview_of(invocation: Invocation, change: Change, rules: Rules) -> Preview | str:
    """Return what the daemon would do because of *change*, or why nobody can tell."""
    try:
        return preview(invocation, change.parsed.spec, rules)
    except UnavailableError as error:
        return f"cannot tell what the daemon would do: {error}"


def _lines(text: bytes) -> list[str]:
    return text.decode("utf-8-sig", errors="replace").splitlines()
