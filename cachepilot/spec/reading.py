"""What the folder says about one tenant right now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cachepilot.spec.document import TenantDocument, TenantName
from cachepilot.spec.problem import Problem
from cachepilot.spec.tenant import TenantSpec


class Presence(StrEnum):
    """Whether the folder holds a document of a tenant; UNKNOWN unless the listing was complete."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the folder says about one tenant right now.

    Attributes:
        document: The newest document if it is valid, else None.
        spec: The same with every default filled in.
        json: The document as JSON text, to be remembered as the last good one.
        digest: Fingerprint of the document as written, before defaults; empty without one.
        source: Path of the file, or empty.
        problems: Why the newest text cannot be used; the last good document stays in force.
        absent_since: When a complete listing first lacked the document.
        absent_for: How long listings have lacked it. Not the same as the time since then: a clock
            that jumped after the last listing must not use up anybody's grace.
    """

    tenant_name: TenantName
    presence: Presence
    document: TenantDocument | None = None
    spec: TenantSpec | None = None
    json: str = ""
    digest: str = ""
    source: str = ""
    problems: tuple[Problem, ...] = ()
    absent_since: datetime | None = None
    absent_for: timedelta = field(default=timedelta(), compare=False)
