"""What a source says of somebody whom it never heard of."""

from __future__ import annotations

from cachepilot.spec.document import TenantName
from cachepilot.spec.ports import SpecSource
from cachepilot.spec.reading import Presence, Reading


class Nobody:
    """The least that a source is."""

    def read(self, tenant_name):
        return Reading(tenant_name=tenant_name, presence=Presence.UNKNOWN)

    def refresh(self, now):
        return frozenset()

    def names(self):
        return frozenset()


def test_a_reading_wishes_nothing_unless_told():
    source: SpecSource = Nobody()

    found = source.read(TenantName("acme"))

    assert (found.document, found.spec, found.absent_since) == (None, None, None)
    assert (found.json, found.digest, found.source, found.problems) == ("", "", "", ())
