"""Every verb in one table: where its code is, and its line in ``--help``."""

from __future__ import annotations

from dataclasses import dataclass

SECTIONS = ("Look", "Change", "Write and check files", "More")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the table; *attribute* of *module* is the click command."""

    section: str
    module: str
    attribute: str
    help: str


def _table(section: str, *rows: tuple[str, str, str]) -> dict[str, Listed]:
    table = {}
    for name, place, text in rows:
        module, _, attribute = place.partition(":")
        table[name] = Listed(section, module, attribute, text)
    return table


VERBS: dict[str, Listed] = {
    **_table(
        "Look",
        ("get", "get:get", "List tenants with their status, or certificates."),
        ("describe", "describe:describe", "Show everything known about a tenant."),
        ("events", "events:events", "Show what happened."),
        ("wait", "wait:wait", "Wait until tenants reach a condition."),
        ("plan", "plan:plan", "Show what the daemon would do next, and what clients notice."),
        ("rollout", "rollout:rollout", "Show how new defaults reach the tenants."),
        ("credentials", "credentials:credentials", "Show how a tenant's clients log in."),
    ),
    **_table(
        "Change",
        ("apply", "apply:apply", "Write tenant documents into the folder of tenants."),
        ("diff", "diff:diff", "Show what applying files would change."),
        ("edit", "edit:edit", "Change a tenant's document in your editor."),
        ("set", "set_value:set_value", "Change single fields, keeping comments and layout."),
        ("start", "state:start", "Let stopped tenants serve again."),
        ("stop", "state:stop", "Stop serving; data stays."),
        ("restart", "restart:restart", "Restart the servers of tenants once."),
        (
            "rotate",
            "rotate:rotate",
            "Give tenants a new password; the old one works on for a while.",
        ),
        ("pause", "pause:pause", "Leave tenants exactly as they are, and only report."),
        ("resume", "pause:resume", "End a pause."),
        ("delete", "delete:delete", "Stop serving for good; data stays."),
    ),
    **_table(
        "Write and check files",
        ("validate", "validate:validate", "Check tenant files without applying them."),
        ("explain", "explain:explain", "Describe a field of a tenant's document."),
        ("schema", "schema:schema", "Print the JSON Schema of a file format."),
        ("config", "config:config", "Check the daemon's settings."),
    ),
    **_table(
        "More",
        ("completion", "completion:completion", "Print a completion script for your shell."),
        ("version", "version:version", "Print the version."),
    ),
}
