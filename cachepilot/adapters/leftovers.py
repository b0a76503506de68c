"""Removes what a crash left half-written in the folders that all tenants share."""

from __future__ import annotations

from cachepilot.adapters.atomic import sweep
from cachepilot.adapters.paths import RootPaths


def sweep_leftovers(paths: RootPaths) -> None:
    """Clean up once at the start, while the lock is held and no other thread writes.

    A tenant's own folders are swept by whoever writes there next.
    """
    for folder in (paths.state, paths.public, paths.status):
        sweep(folder)
