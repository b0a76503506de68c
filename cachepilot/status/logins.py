"""Failed logins after a password was replaced: whom the operator has to call."""

from __future__ import annotations

from cachepilot.observe.snapshot import SeenFailedLogins, SeenServer
from cachepilot.status.conditions import TenantStatus


def new_failed_logins(
    before: TenantStatus | None, after: TenantStatus
) -> tuple[SeenFailedLogins, ...]:
    """Return from where logins failed in *after* and had not yet in *before*."""
    known = {(each.address, each.name) for each in _failed(before)}
    return tuple(each for each in _failed(after) if (each.address, each.name) not in known)


def tell_failed_logins(failed: SeenFailedLogins) -> str:
    """Return one sentence for the operator."""
    name = f" (it calls itself {failed.name})" if failed.name else ""
    via = (
        ", the bridge's own address, behind which the clients of this host hide"
        if failed.is_proxy
        else ""
    )
    return (
        f"{failed.count} failed logins from {failed.address}{via}{name} since the password before "
        "stopped to work; maybe somebody there still uses it"
    )


def _failed(status: TenantStatus | None) -> tuple[SeenFailedLogins, ...]:
    server = status.snapshot.server if status and status.snapshot else None
    return server.failed_logins if isinstance(server, SeenServer) else ()
