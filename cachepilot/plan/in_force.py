"""Which spec a tenant is held to: what its file says, or the last that was good."""

from __future__ import annotations

from dataclasses import replace

from cachepilot.observe.memory import Memory
from cachepilot.spec.document import State
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.remembered import parse_remembered
from cachepilot.spec.rules import HeadRoom, Limits, Rules
from cachepilot.spec.tenant import TenantSpec

_BOUNDLESS = 2**62


def spec_in_force(reading: Reading, memory: Memory, rules: Rules) -> TenantSpec | None:
    """Return the newest valid spec, else the last good one; a vanished file ends serving late.

    None means that nothing usable was ever seen, or that the last good document cannot be read any
    more; whatever runs is left alone then.
    """
    if reading.spec is not None:
        return reading.spec
    if not memory.document:
        return None
    file = memory.source or "record.json"
    parsed = parse_remembered(memory.document, rules, file=file)
    if isinstance(parsed, tuple):
        # Limits that were tightened since are for what is written from now on; whoever is served
        # goes on being looked after.
        parsed = parse_remembered(memory.document, _without_limits(rules), file=file)
    if isinstance(parsed, tuple):
        return None
    if parsed.spec.paused and not memory.retired:
        return parsed.spec  # its owner said that nothing is to be done, and nothing since
    is_over = reading.presence is Presence.ABSENT and reading.absent_for >= rules.removalGrace
    if memory.retired or is_over:
        return replace(parsed.spec, state=State.DELETED)
    return parsed.spec


def _without_limits(rules: Rules) -> Rules:
    none = HeadRoom.model_construct(base=0, buffers=0.0, copyOnWrite=0.0)
    limits = Limits.model_construct(
        memory=_BOUNDLESS,
        minimumMemory=1,
        containerMemory=None,
        cpus=rules.limits.cpus,  # what a tenant gets that asks for nothing, so it has to stay
        images=["*"],
        extraNames=["*"],
        # Whether a file is still read is decided again where it is opened.
        passwordFiles=["/"],
    )
    return rules.model_copy(update={"limits": limits, "headRoom": none})
