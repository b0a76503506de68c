"""Changes tenant files for the verbs, and reports what became of each tenant.

This module reads and checks documents, so it brings the models along; verbs import it when they
run and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
from cachepilot.adapters.spec_changes import ChangeSet, Result, check_hash, write_changes
from cachepilot.adapters.spec_edits import Edit, plan_edits
from cachepilot.adapters.spec_fields import path_of
from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.output import API_VERSION, listing, print_object, print_text
from cachepilot.settings import load_settings
from cachepilot.spec.rules import Rules

Planner = Callable[[SpecFolder, Rules], ChangeSet]


def change_tenants(
    invocation: Invocation, planner: Planner, *, if_hash: str | None = None, dry_run: bool = False
) -> ChangeSet:
    """Plan a change and write it, with other edits of the folder locked out in between."""
    rules = rules_of(invocation)
    folder = SpecFolder(invocation.paths.tenants_d)
    with folder.locked(invocation.surroundings.pause):
        change_set = planner(folder, rules)
        if if_hash:
            check_hash(change_set, folder, if_hash)
        if not dry_run:
            write_changes(folder, change_set)
    return change_set


def set_fields_of(
    invocation: Invocation,
    names: Sequence[str],
    wishes: Sequence[tuple[str, str]],
    *,
    if_hash: str | None = None,
    dry_run: bool = False,
) -> ChangeSet:
    """Set the same fields in the documents of all *names*, or in none of them."""
    paths = tuple((path_of(path), text) for path, text in wishes)
    edits = [Edit(name=name, wishes=paths) for name in names]
    return change_tenants(
        invocation,
        lambda folder, rules: plan_edits(folder, edits, rules, prefer=incumbents(invocation)),
        if_hash=if_hash,
        dry_run=dry_run,
    )


def rules_of(invocation: Invocation) -> Rules:
    """Return the rules of this host.

    Raises:
        SettingsError: The settings file cannot be used.
    """
    return load_settings(invocation.paths.settings_file).rules()


def incumbents(invocation: Invocation) -> Callable[[str], str]:
    """Return what tells the file whose document of a tenant is in force, or empty."""
    published = PublishedStatus(invocation.paths)

    def source(name: str) -> str:
        try:
            tenant = published.tenant(name)
        except StatusUnreadableError:
            return ""
        return str(tenant.metadata.get("source") or "") if tenant else ""

    return source


def report(
    invocation: Invocation, change_set: ChangeSet, output: str, *, dry_run: bool = False
) -> None:
    """Print one line for each tenant, or the same for programs."""
    if output == "json":
        items = [
            {
                "apiVersion": API_VERSION,
                "kind": "Tenant",
                "metadata": {"name": change.name, "source": str(change.path)},
                "result": change.result.value,
                "changed": change.result is not Result.UNCHANGED,
                "digest": change.parsed.digest,
                "fileHash": change_set.hash_of(change.path),
            }
            for change in change_set.changes
        ]
        changed = any(item["changed"] for item in items)
        print_object(listing(items, changed=changed, dryRun=dry_run), "json")
    else:
        for change in change_set.changes:
            suffix = " (dry run)" if dry_run else ""
            print_text(f"tenant/{change.name} {change.result.value}{suffix}")
    if not dry_run and any(each.result is not Result.UNCHANGED for each in change_set.changes):
        with suppress(StatusUnreadableError):  # who may not know is told nothing
            host = PublishedStatus(invocation.paths).host()
            if host is None or not host.is_alive(invocation.surroundings.now()):
                invocation.say("daemon not running; the change takes effect when it runs")
