"""Who may read what we publish."""

from __future__ import annotations

import grp

from cachepilot.adapters.atomic import Owner

GROUP = "cachepilot"


def find_public_owner(*, owners: bool, group: str = GROUP) -> Owner | None:
    """Return root with the group of readers; root's own where there is no such group.

    Args:
        owners: Whether files can be given away; if not, nothing is.
        group: Name of the group.
    """
    if not owners:
        return None
    try:
        return 0, grp.getgrnam(group).gr_gid
    except KeyError:
        return 0, 0
