"""Since when a tenant has had no document, counting only the time in which we could tell."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from cachepilot.spec.document import TenantName

# Two looks that lie further apart say nothing about the time between them: the host slept, or its
# clock jumped.
_LONGEST_GAP = timedelta(hours=1)


class Absences:
    """Remembers who was there, and since when they are not.

    Time counts only between two looks that both could tell and that lie close together. Whatever
    else passes (a lost mount, a jump of the clock, in either direction) is added to the moments,
    so that their distance from now stays what was really seen.
    """

    def __init__(self) -> None:
        self.since: dict[TenantName, datetime] = {}
        self.first_look: datetime | None = None
        self._present: frozenset[TenantName] = frozenset()
        self._last: datetime | None = None
        self._counted = False

    def note(self, now: datetime, *, present: Collection[TenantName], counts: bool) -> None:
        """Take in one look: who is *present*, and whether others can be called absent.

        Afterwards ``since`` says when each of those who are gone was first missed, and
        ``first_look`` the same for everybody whom we never saw.
        """
        gap = now - (self._last or now)
        if not (counts and self._counted and timedelta() <= gap <= _LONGEST_GAP):
            self.since = {name: since + gap for name, since in self.since.items()}
            self.first_look = self.first_look + gap if self.first_look else None
        gone = frozenset(self.since).difference(present)
        if counts:
            self.first_look = self.first_look or now
            gone |= self._present.difference(present)
            self._present = frozenset(present)
        else:
            # Nobody new is missed; those who might be are remembered for a better look.
            self._present = self._present.union(present)
        self.since = {name: self.since.get(name, now) for name in sorted(gone)}
        self._last, self._counted = now, counts
