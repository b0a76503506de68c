"""What we say about the host and the daemon itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cachepilot.observe.snapshot import SeenAuthority
from cachepilot.plan.awaited import Awaited
from cachepilot.plan.rollout import Rollout
from cachepilot.spec.document import TenantName
from cachepilot.spec.problem import Problem
from cachepilot.status.conditions import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationStatus:
    """What the replacement of the root waits for.

    Attributes:
        waits_for: Tenants that have not proven yet what the phase asks for.
        until: When the phase ends at the earliest, if that is a matter of time.
        problem: Why it does not go on, or empty.
        message: How far it is, in a sentence.
    """

    waits_for: tuple[str, ...]
    until: datetime | None
    problem: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """How far new defaults that need a restart have reached the fleet.

    Attributes:
        phase: ``halted``, ``looking``, ``canary``, ``batches`` or ``idle``.
        rollout: What was decided so far.
        obstacles: (tenant, why) of those under way who do not get on.
        waiting: How many wait for a turn.
        windows: How many wait for a maintenance window first.
        unready: How many are out of service.
        resting: How many are paused, stopped or deleted, and are passed over.
        awaited: Without whom it does not go on, or not to the end.
        unseen: (tenant, why) of those at whom nobody can look, who are passed over as well.
    """

    phase: str
    rollout: Rollout
    obstacles: tuple[tuple[TenantName, str], ...]
    waiting: int
    windows: int
    unready: int
    resting: int
    awaited: tuple[Awaited, ...]
    unseen: tuple[tuple[TenantName, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """Everything that does not belong to one tenant.

    Attributes:
        docker_problem: Why the engine does not answer, or empty.
        problems: Every mistake in the folder of tenants and in the settings.
        orphans: (container, tenant) of labelled containers that belong to no known tenant.
        tenants: Number of tenants that are known.
        rollout: How far new defaults have come; None before anybody looked.
    """

    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    settings_digest: str
    docker_problem: str
    authority: SeenAuthority | None
    problems: tuple[Problem, ...]
    orphans: tuple[tuple[str, str], ...]
    conditions: tuple[Condition, ...]
    tenants: int
    rotation: RotationStatus | None = None
    rollout: RolloutStatus | None = None
