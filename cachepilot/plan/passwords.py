"""Which passwords work, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from cachepilot.observe.memory import Memory
from cachepilot.spec.tenant import TenantSpec

# Whoever replaces passwords faster than their grace ends must not have ever more of them work.
MOST_REPLACED = 8
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A password that another one took the place of.

    Attributes:
        since: When it was replaced.
        until: Until when it still works.
    """

    revision: int
    since: datetime
    until: datetime


def replaced_passwords(spec: TenantSpec, memory: Memory, user: str) -> tuple[Replaced, ...]:
    """Return every kept password of *user* that is no longer the documented one, newest first."""
    in_force = [seen for seen in memory.credentials_of(user) if not seen.pending]
    return tuple(
        Replaced(
            revision=older.revision,
            since=since or LONG_AGO,
            until=since + spec.grace if since and place < MOST_REPLACED else LONG_AGO,
        )
        for place, (newer, older) in enumerate(pairwise(in_force))
        for since in (older.replaced or newer.since,)
    )


def accepted_passwords(
    spec: TenantSpec, memory: Memory, user: str, now: datetime
) -> tuple[int, ...]:
    """Return the revisions with which *user* may log in as of *now*, in ascending order."""
    over = {old.revision for old in replaced_passwords(spec, memory, user) if old.until <= now}
    kept = (seen.revision for seen in memory.credentials_of(user))
    return tuple(sorted(revision for revision in kept if revision not in over))
