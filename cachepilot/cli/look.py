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


def warn_if_stale(invocation: Invocation, published: PublishedStatus) -> None:
    """Say on stderr that the daemon is not running, and of when its last words are."""
    now = invocation.surroundings.now()
    host = published.host()
    if host is not None and host.is_alive(now):
        return
    try:
        last = host.heartbeat if host else published.newest()
    except StatusUnreadableError:
        return
    told = f"status as of {age_text(now - last)} ago" if last else "it has not said anything yet"
    invocation.say(f"daemon not running, {told}")


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
        found = [_tenant(published, name, invocation) for name in names or published.names()]
        for name, tenant in zip(names, found, strict=False):
            if tenant is None:
                raise no_such_tenant(name, published.names())
    except StatusUnreadableError as error:
        raise no_status(error) from error
    return tuple(tenant for tenant in found if tenant)


def published_tenant(invocation: Invocation, name: str) -> PublishedTenant:
    """Return what was published about one tenant.

    Raises:
        CommandError: As :func:`published_tenants`.
    """
    return published_tenants(invocation, [name])[0]


def no_status(error: StatusUnreadableError) -> CommandError:
    """Return the error for status that cannot be read at all."""
    return CommandError(
        "cannot read the published status",
        exit_code=Exit.NO_STATUS,
        causes=[str(error)],
        hint="is cachepilotd running, and are you root or in the group cachepilot?",
    )


def as_item(tenant: PublishedTenant) -> dict[str, object]:
    """Return *tenant* for machine output."""
    status = {**tenant.status, "confirmedAt": rfc3339(tenant.confirmed_at)}
    return {**tenant.content, "status": status}


def rfc3339(moment: datetime) -> str:
    """Return *moment* as machine output writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tenant(
    published: PublishedStatus, name: str, invocation: Invocation
) -> PublishedTenant | None:
    """Return one tenant; a single unreadable file must not hide all the others."""
    try:
        return published.tenant(name)
    except StatusUnreadableError as error:
        invocation.say(f"warning: cannot read the status of {name}: {error}")
        return PublishedTenant(
            name=name,
            content={"metadata": {"name": name}, "status": {"word": "Unknown"}},
            confirmed_at=invocation.surroundings.now(),
        )
