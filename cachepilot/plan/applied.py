"""Which configuration the server is known to have had, where changes by hand are spared.

A difference between the file and a running server says nothing about whose doing it is: somebody
may have changed the server, or a visit may have been cut short. So the record keeps a fingerprint
of the directives that were last read back in full. It is forgotten before anything moves towards
other directives, and remembered again once those were read back; a cut in between leaves a doubt,
and in doubt the spec is applied. What some builds refuse is told apart: it must neither keep the
rest in doubt for ever, nor count as applied with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachepilot.observe.snapshot import SeenServer, Snapshot
from cachepilot.plan.actions import Action, RememberApplied
from cachepilot.plan.persistence import mode_in_force
from cachepilot.plan.server_config import (
    LIVE_ONLY,
    Directives,
    differences,
    fingerprint,
)
from cachepilot.spec.rules import DriftMode, Rules
from cachepilot.spec.tenant import TenantSpec


def only_by_hand(
    spec: TenantSpec, seen: Snapshot, directives: Directives, rules: Rules
) -> frozenset[str]:
    """Return the names of *directives* that only somebody's hand can have changed."""
    if rules.drift is DriftMode.OBSERVE and mode_in_force(spec, seen) is spec.persistence:
        for proven in (directives, _ordinary(directives)):
            if seen.memory.applied == _digest_of(proven):
                return frozenset(proven)
    return frozenset()


def plan_doubt(
    spec: TenantSpec, seen: Snapshot, directives: Directives, rules: Rules
) -> Iterator[Action]:
    """Yield the forgetting of what was applied, before anything else is."""
    if seen.memory.applied and not only_by_hand(spec, seen, directives, rules):
        observed = rules.drift is DriftMode.OBSERVE
        cause = "another configuration is wanted" if observed else "changes by hand are reverted"
        yield RememberApplied(tenant_name=spec.name, cause=cause, fingerprint="")


def plan_proof(
    spec: TenantSpec, seen: Snapshot, server: SeenServer, directives: Directives, rules: Rules
) -> Iterator[Action]:
    """Yield the remembering of what the server was seen to have, unless as much is known already.

    That is everything, or everything but what it may refuse.
    """
    if rules.drift is not DriftMode.OBSERVE or mode_in_force(spec, seen) is not spec.persistence:
        return
    known = only_by_hand(spec, seen, directives, rules)
    for proven in (directives, _ordinary(directives)):
        if known.issuperset(proven):
            return
        if not differences(proven, server):
            yield RememberApplied(
                tenant_name=spec.name,
                cause="every directive was read back",
                fingerprint=_digest_of(proven),
            )
            return


def _ordinary(directives: Directives) -> Directives:
    return {name: value for name, value in directives.items() if name not in LIVE_ONLY}


def _digest_of(directives: Directives) -> str:
    return fingerprint(repr(sorted(directives.items())))
