"""What a person can do about a tenant that is not as it should be."""

from __future__ import annotations

from cachepilot.adapters.published import PublishedTenant

# By the reason of the condition that explains the word; the word itself is the last resort.
_BY_REASON = {
    "DataMissing": "put the data folder back; if the data may be lost, run the command that the "
    "condition Stalled names",
    "RecordUnreadable": "put record.json back from a backup",
    "AuthorityBroken": "put the authority's key back; it is never replaced silently",
    "ImageUnavailable": "check spec.engine.image: the engine cannot fetch it",
    "PasswordFileUnusable": "check that spec.auth.passwordFile names a readable file",
    "DirectiveRefused": "check spec.engine.config: the server refused a value",
    "SaveFailed": "free space on the disk of the data folder",
    "LimitShrinkDeferred": "nothing: the limit shrinks as soon as the memory in use fits",
}
_BY_WORD = {
    "Invalid": "mend the lines above with `cachepilotctl edit tenant {name}`; "
    "the last good version stays in force",
    "Stalled": "read the condition Stalled above; the daemon looks again by itself",
    "NotReady": "read the condition Ready above and `cachepilotctl events --for {name}`",
    "Paused": "`cachepilotctl resume {name}` lets the daemon act again",
    "Starting": "`cachepilotctl wait --for=condition=Ready {name}` waits for it",
    "Progressing": "`cachepilotctl wait --for=condition=Ready {name}` waits for it",
    "Deleted": "`cachepilotctl start {name}` brings it back; its data is still there",
    "Stopped": "`cachepilotctl start {name}` lets it serve again",
}


def next_step(tenant: PublishedTenant) -> str:
    """Return what to do about *tenant*, or empty when nothing needs to be done."""
    if tenant.word == "Ready":
        return ""
    for kind in ("Stalled", "Ready"):
        reason = str(tenant.condition(kind).get("reason") or "")
        if reason in _BY_REASON:
            return _BY_REASON[reason]
    return _BY_WORD.get(tenant.word, "").format(name=tenant.name)
