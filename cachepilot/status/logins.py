"""Failed logins after a password was replaced: whom the operator has to call."""

from __future__ import annotations

from cachepilot.observe.snapshot import SeenFailedLogins, SeenServer
from cachepilot.status.conditions import TenantStatus


def failed_logins(status: TenantStatus | None) -> tuple[SeenFailedLogins, ...] | None:
    """Return from where logins failed, as far as *status* knows; None if it does not."""
    server = status.snapshot.server if status and status.snapshot else None
    return server.failed_logins if isinstance(server, SeenServer) else None


def tell_failed_logins(failed: SeenFailedLogins) -> str:
    """Return one sentence for the operator."""
    name = f" (it calls itself {failed.name})" if failed.name else ""
    via = (
        ", the bridge's own address, behind which the clients of this host hide"
        if failed.is_proxy
        else ""
    )
    return (
        f"{failed.count} failed logins as {failed.user} from {failed.address}{via}{name} since "
        "the password before stopped to work; maybe somebody there still uses it"
    )
