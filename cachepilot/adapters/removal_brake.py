"""Many files that vanish at once are a mistake or a lost mount, not a wish."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from cachepilot.errors import StalledError
from cachepilot.observe.memory import Memory
from cachepilot.spec.document import State, TenantName
from cachepilot.spec.ports import SpecSource
from cachepilot.spec.reading import Presence, Reading

_ALWAYS_ALLOWED = 3
_ALLOWED_SHARE = 0.2


def is_mass_removal(vanished: int, known: int) -> bool:
    """Return whether so many of the *known* tenants vanished that a person must look."""
    return vanished > max(_ALWAYS_ALLOWED, known * _ALLOWED_SHARE)


class RemovalBrake:
    """A source of specs that says "unknown" instead of "absent" while too many are absent.

    Args:
        source: What really lists the folder.
        known: Names with a record, besides those given.
        recall: The record of a tenant.
    """

    def __init__(
        self,
        source: SpecSource,
        *,
        known: Callable[[frozenset[TenantName]], tuple[TenantName, ...]],
        recall: Callable[[TenantName], Memory],
    ) -> None:
        self._source = source
        self._known = known
        self._recall = recall
        self.engaged = ""

    def read(self, tenant_name: TenantName) -> Reading:
        """Return the reading, with its absence taken back while the brake holds."""
        reading = self._source.read(tenant_name)
        if self.engaged and reading.presence is Presence.ABSENT:
            return replace(reading, presence=Presence.UNKNOWN, absent_since=None)
        return reading

    def refresh(self, now: datetime) -> frozenset[TenantName]:
        """List again, and decide whether the brake must hold."""
        changed = self._source.refresh(now)
        before = self.engaged
        names = self._source.names()
        missing = self._known(names)
        absent = [name for name in missing if self._source.read(name).presence is Presence.ABSENT]
        engaged = ""
        if not names:
            engaged = self._judge_empty(missing)
        elif len(absent) > _ALWAYS_ALLOWED:
            engaged = self._judge(self._known(frozenset()), absent)
        # At once: whoever reads in between must not see a brake that is let go for a moment.
        self.engaged = engaged
        return changed if bool(before) == bool(self.engaged) else changed | frozenset(absent)

    def names(self) -> frozenset[TenantName]:
        """Return everybody who has a document, valid or not."""
        return self._source.names()

    def _judge_empty(self, known: tuple[TenantName, ...]) -> str:
        serving = sum(1 for name in known if self._serves(name))
        if not serving:
            return ""
        return (
            f"tenants.d holds no tenant, but {serving} are served; nothing is stopped because of "
            "an empty folder, use `cachepilotctl delete` for that"
        )

    def _judge(self, known: tuple[TenantName, ...], absent: list[TenantName]) -> str:
        """Return why nothing may be stopped now, or empty; who is retired already is no loss."""
        serving = {name for name in known if self._serves(name)}
        lost = serving.intersection(absent)
        if not is_mass_removal(len(lost), len(serving)):
            return ""
        return (
            f"{len(lost)} of {len(serving)} tenants lost their file at once; nothing is stopped "
            "until the files are back or fewer are missing"
        )

    def _serves(self, name: TenantName) -> bool:
        try:
            memory = self._recall(name)
        except StalledError:
            return True  # whoever cannot be judged counts as served, which only holds harder
        if memory.retired or not memory.document:
            return False
        spec = json.loads(memory.document).get("spec") or {}
        return bool(spec.get("state") != State.DELETED)
