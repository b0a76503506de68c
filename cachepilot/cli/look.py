"""Fetches published tenants for the verbs that look, and says how old what they see is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cachepilot.adapters.published import (
    PublishedStatus,
    PublishedTenant,
    StatusUnreadableError,
)
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.figures import age_text
from cachepilot.cli.invocation import Invocation
from cachepilot.cli.names import no_such_tenant
from cachepilot.clock import rfc3339
from cachepilot.errors import CachePilotError

_MOST_WARNINGS = 3


def warn_if_stale(invocation: Invocation, published: PublishedStatus) -> None:
    """Say on stderr that the daemon is not running, and of when its last words are."""
    now = invocation.surroundings.now()
    try:
        host = published.host()
        if host is not None and host.is_alive(now):
            return
        last = host.heartbeat if host else published.newest()
    except StatusUnreadableError:
        return  # whatever else is read tells why
    told = f"status as of {age_text(now - last)} ago" if last else "it has not said anything yet"
    invocation.say(f"daemon not running, {told}")


def warn_of_host(invocation: Invocation, shown: Sequence[PublishedTenant]) -> None:
    """Say on stderr what is wrong with the host and its files, besides what *shown* tell."""
    try:
        host = PublishedStatus(invocation.paths).host()
    except StatusUnreadableError:
        return  # said already
    content = host.content if host else {}
    told = [str(problem) for tenant in shown for problem in tenant.status.get("problems") or ()]
    warnings = [str(each["message"]) for each in content.get("conditions") or ()]
    warnings += [
        f"{each['file']}:{each['line']}:{each['column']}: {each['message']}"
        for each in content.get("problems") or ()
        if not any(text.startswith(f"{each['file']}:") for text in told)
    ]
    for warning in warnings[:_MOST_WARNINGS]:
        invocation.say(f"warning: {warning}")
    if more := len(warnings[_MOST_WARNINGS:]):
        invocation.say(f"warning: {more} more problems; see `cachepilotctl validate`")


def published_tenants(
    invocation: Invocation, names: Sequence[str] = ()
) -> tuple[PublishedTenant, ...]:
    """Return what was published about *names*, or about everybody.

    Raises:
        CommandError: There is no status to read, or nobody of that name in it.
    """
    published = PublishedStatus(invocation.paths)
    warn_if_stale(invocation, published)
    try:
        found = {name: _read(published, name) for name in names or published.names()}
        for name in names:
            if found[name] is None:
                raise no_such_tenant(name, published.names())
    except StatusUnreadableError as error:
        raise no_status(error) from error
    # A single unreadable file must not hide all the others.
    problems = {name: each for name, each in found.items() if isinstance(each, Exception)}
    if problems and len(problems) == len(found):
        raise no_status(next(iter(problems.values())))
    for name, problem in problems.items():
        invocation.say(f"warning: cannot read the status of {name}: {problem}")
    now = invocation.surroundings.now()
    return tuple(
        _unknown(name, now) if isinstance(each, Exception) else each
        for name, each in found.items()
        if each
    )


def published_tenant(invocation: Invocation, name: str) -> PublishedTenant:
    """Return what was published about one tenant.

    Raises:
        CommandError: As :func:`published_tenants`.
    """
    return published_tenants(invocation, [name])[0]


def no_status(error: CachePilotError) -> CommandError:
    """Return the error for status that cannot be read at all."""
    return CommandError(
        "cannot read the published status",
        exit_code=Exit.NO_STATUS,
        causes=[str(error)],
        hint="is cachepilotd running, and are you root or in the group cachepilot?",
    )


def as_item(tenant: PublishedTenant) -> dict[str, object]:
    """Return *tenant* for machine output."""
    status = {
        **tenant.status,
        "confirmedAt": rfc3339(tenant.confirmed_at, precision="milliseconds"),
    }
    return {**tenant.content, "status": status}


def _read(published: PublishedStatus, name: str) -> PublishedTenant | StatusUnreadableError | None:
    try:
        return published.tenant(name)
    except StatusUnreadableError as error:
        return error


def _unknown(name: str, now: datetime) -> PublishedTenant:
    content = {"metadata": {"name": name}, "status": {"word": "Unknown"}}
    return PublishedTenant(name=name, content=content, confirmed_at=now)
