"""What one look at the folder of tenants amounts to, for everybody who asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cachepilot.adapters.tenant_claims import Claim
from cachepilot.adapters.tenant_file import TenantFile
from cachepilot.spec.document import TenantName
from cachepilot.spec.problem import Problem
from cachepilot.spec.reading import Presence, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything that readers see, replaced as a whole.

    Attributes:
        can_miss: Whether somebody who is not named can be called absent.
        first_look: Since when whoever was never seen has been missed.
        last_look: When the folder was listed for this view.
        unusable: Files whose text may name anybody.
    """

    readings: dict[TenantName, Reading] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    can_miss: bool = False
    first_look: datetime | None = None
    last_look: datetime | None = None
    unusable: tuple[TenantFile, ...] = ()

    def read(self, tenant_name: TenantName) -> Reading:
        """Return the reading of *tenant_name*, whether anybody ever named it or not."""
        found = self.readings.get(tenant_name)
        return found or self.missing(tenant_name, self.first_look)

    def missing(self, tenant_name: TenantName, since: datetime | None) -> Reading:
        """Return the reading of somebody whom no document names."""
        if not self.can_miss or any(file.mentions(tenant_name) for file in self.unusable):
            return Reading(tenant_name=tenant_name, presence=Presence.UNKNOWN)
        missed_for = self.last_look - since if self.last_look and since else timedelta()
        return Reading(
            tenant_name=tenant_name,
            presence=Presence.ABSENT,
            absent_since=since,
            absent_for=missed_for,
        )


def reading_of(name: TenantName, claim: Claim, *, is_listed: bool) -> Reading:
    """Return what *claim*, the one that counts, says about the tenant *name*."""
    parsed = claim.document.parsed if claim.document else None
    is_known = is_listed and not claim.file.unread
    return Reading(
        tenant_name=name,
        presence=Presence.PRESENT if is_known else Presence.UNKNOWN,
        document=parsed.document if parsed else None,
        spec=parsed.spec if parsed else None,
        json=parsed.json if parsed else "",
        digest=parsed.digest if parsed else "",
        source=claim.file.path,
        problems=claim.problems,
    )


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return *problems* once each, file by file and line by line."""
    return tuple(sorted(set(problems), key=_order))


def _order(problem: Problem) -> tuple[str, int, int, str]:
    return (problem.file, problem.line, problem.column, problem.message)
