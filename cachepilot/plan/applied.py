"""Which configuration the server is known to have had, where changes by hand are spared.

A difference between the file and a running server says nothing about whose doing it is: somebody
may have changed the server, or a visit may have been cut short. So the record keeps a fingerprint
of the directives that were last read back in full. It is forgotten before anything moves towards
other directives, and remembered again once those were read back; a cut in between leaves a doubt,
and in doubt the spec is applied.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachepilot.observe.snapshot import SeenServer, Snapshot
from cachepilot.plan.actions import Action, RememberApplied
from cachepilot.plan.persistence import mode_in_force
from cachepilot.plan.server_config import Directives, differences, fingerprint
from cachepilot.spec.rules import DriftMode, Rules
from cachepilot.spec.tenant import TenantSpec


def only_by_hand(spec: TenantSpec, seen: Snapshot, directives: Directives, rules: Rules) -> bool:
    """Return whether only somebody's hand can have made the server differ from *directives*."""
    return (
        rules.drift is DriftMode.OBSERVE
        and seen.memory.applied == _digest_of(directives)
        and mode_in_force(spec, seen) is spec.persistence
    )


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
    """Yield the remembering of *directives*, once the server was seen to have them all."""
    if (
        rules.drift is DriftMode.OBSERVE
        and not seen.memory.applied
        and mode_in_force(spec, seen) is spec.persistence
        and not differences(directives, server)
    ):
        yield RememberApplied(
            tenant_name=spec.name,
            cause="every directive was read back",
            fingerprint=_digest_of(directives),
        )


def _digest_of(directives: Directives) -> str:
    return fingerprint(repr(sorted(directives.items())))
