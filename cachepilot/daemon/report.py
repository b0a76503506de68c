"""How the daemon itself is doing: host.json, the one-line status, health and facts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from cachepilot import __version__, clock
from cachepilot.daemon.fleet import Fleet
from cachepilot.daemon.loop import Loop
from cachepilot.daemon.metrics import DaemonFacts
from cachepilot.daemon.succession import Succession
from cachepilot.daemon.turns import Turns
from cachepilot.errors import CachePilotError
from cachepilot.observe.snapshot import SeenAuthority
from cachepilot.plan.succession import tell_progress
from cachepilot.settings import Settings
from cachepilot.spec.problem import Problem
from cachepilot.status.conditions import Condition, ConditionStatus, ConditionType
from cachepilot.status.host import HostStatus, RotationStatus
from cachepilot.wiring import Parts

_PUBLISH_EVERY = 5.0


class Reporter:
    """Collects what others note and says how the daemon is."""

    def __init__(
        self,
        parts: Parts,
        loop: Loop,
        fleet: Fleet,
        succession: Succession,
        turns: Turns,
        settings: Settings,
    ) -> None:
        self._parts = parts
        self._loop = loop
        self._fleet = fleet
        self._succession = succession
        self._turns = turns
        self._settings = settings
        self._lock = threading.Lock()
        self._started = clock.utc_now()
        self._docker_problem = "Docker was not asked yet"
        self._settings_problem = ""
        self._reloaded = self._started.timestamp()
        self._orphans: tuple[tuple[str, str], ...] = ()
        self._compared = 0.0
        self._problems: tuple[Problem, ...] = ()
        self._published = 0.0
        self._unpublished = ""
        self._told: dict[str, frozenset[str]] = {}

    def use_settings(self, settings: Settings) -> None:
        """Take new settings."""
        self._settings, self._settings_problem = settings, ""
        self._reloaded = clock.utc_now().timestamp()

    def note_settings(self, problem: str) -> None:
        """Note that the newest settings cannot be used."""
        self._settings_problem = problem

    def note_docker(self, problem: str) -> bool:
        """Note whether the engine answers; return whether that is news."""
        with self._lock:
            changed = self._docker_problem != problem
            self._docker_problem = problem
        return changed

    def note_comparison(self, orphans: tuple[tuple[str, str], ...]) -> None:
        """Note a complete listing and tell of containers that belong to nobody."""
        self._orphans, self._compared = orphans, clock.utc_now().timestamp()
        self._tell_new(
            "OrphanContainer",
            (
                f"container {container} says it belongs to {tenant}, "
                "but no tenant of ours has such a container; it is left alone"
                for container, tenant in orphans
            ),
        )

    def note_problems(self) -> None:
        """Note what is wrong with the folder, and tell what was not wrong before."""
        self._problems = self._parts.files.problems()
        self._tell_new("SpecProblem", (str(problem) for problem in self._problems))
        self._tell_new("MassRemoval", filter(None, (self._parts.brake.engaged,)))
        self._tell_new("LedgerMended", filter(None, (self._parts.ledger.note,)))

    def tick(self) -> None:
        """Publish every few seconds, so that a reader can tell a living daemon from a dead one."""
        if clock.monotonic() - self._published >= _PUBLISH_EVERY:
            self.publish()

    def publish(self) -> None:
        """Publish now; a full or read-only folder must not take the daemon down."""
        self._published = clock.monotonic()
        try:
            self._parts.board.publish_host(self._host_status())
        except (CachePilotError, OSError) as error:
            self._unpublished = f"cannot publish status: {error}"
        else:
            self._unpublished = ""

    def headline(self) -> str:
        """Return one line for ``systemctl status``."""
        words = self._fleet.count_words()
        parts = [f"{number} {word}" for word, number in sorted(words.items())]
        troubles = filter(None, (self._docker_problem, self._unpublished))
        trouble = "".join(f"; {each}" for each in troubles)
        return f"{words.total()} tenants: {', '.join(parts) or 'none'}{trouble}"

    def stuck(self, longest_action: float) -> dict[str, str]:
        """Return which workers show no sign of life; asks nobody outside."""
        now, patience = clock.monotonic(), self._settings.daemon.watchdog.total_seconds()
        found = {}
        for worker, beat in dict(self._loop.beats).items():
            allowed = longest_action if beat.visiting else patience
            if now - beat.at > allowed:
                found[worker] = f"no sign of life for {now - beat.at:.0f} s"
        return found

    def not_ready(self) -> dict[str, str]:
        """Return what keeps the daemon from its work; a broken tenant does not."""
        return {"docker": self._docker_problem} if self._docker_problem else {}

    def facts(self) -> DaemonFacts:
        """Return the daemon's own part of the metrics."""
        beats = dict(self._loop.beats).values()
        age = clock.monotonic() - min((beat.at for beat in beats), default=clock.monotonic())
        authority = self._parts.authority.look()
        return DaemonFacts(
            docker_up=not self._docker_problem,
            queue_depth=self._loop.depth(),
            active_workers=sum(1 for beat in beats if beat.visiting),
            spec_problems=len(self._problems),
            orphans=len(self._orphans),
            heartbeat=clock.utc_now().timestamp() - age,
            last_resync=self._compared,
            reload_ok=not self._settings_problem,
            reload_time=self._reloaded,
            rotation=authority.rotation.phase if authority.rotation else None,
            rotation_waits=len(self._succession.progress.waits_for),
            roots=tuple(
                (root.fingerprint, root.not_after.timestamp()) for root in authority.roots
            ),
            authority_ends=authority.not_after.timestamp() if authority.not_after else None,
            rollout_waiting=self._turns.status().waiting,
            rollout_halted=bool(self._turns.problem),
        )

    def _tell_new(self, reason: str, messages: Iterable[str]) -> None:
        """Record an event for each message that did not hold at the last call for *reason*."""
        found = frozenset(messages)
        for message in sorted(found - self._told.get(reason, frozenset())):
            self._parts.events.record(
                at=clock.utc_now(),
                tenant_name=None,
                warning=True,
                reason=reason,
                message=message,
            )
        self._told[reason] = found

    def _host_status(self) -> HostStatus:
        file = str(self._parts.paths.settings_file)
        settings = (
            (Problem(file=file, message=self._settings_problem),) if self._settings_problem else ()
        )
        now, authority = clock.utc_now(), self._parts.authority.look()
        return HostStatus(
            pid=os.getpid(),
            version=__version__,
            started_at=self._started,
            heartbeat_at=now,
            settings_digest=self._settings.digest,
            docker_problem=self._docker_problem,
            authority=authority,
            rotation=self._rotation(authority),
            problems=(*settings, *self._problems),
            orphans=self._orphans,
            conditions=self._conditions(),
            tenants=self._fleet.count_words().total(),
            rollout=self._turns.status(),
        )

    def _conditions(self) -> tuple[Condition, ...]:
        """Return what a person must know about the host as a whole."""
        found = []
        seen = self._parts.authority.look()
        told = self._rotation(seen)
        if seen.rotation and told:
            found.append(
                Condition(
                    type=ConditionType.STALLED if told.problem else ConditionType.RECONCILING,
                    status=ConditionStatus.TRUE,
                    reason="AuthorityRotationBroken" if told.problem else "AuthorityRotation",
                    message=told.problem or told.message,
                    last_transition_time=seen.rotation.since,
                )
            )
        if removal := self._parts.brake.engaged:
            found.append(_stalled(reason="MassRemoval", message=removal))
        if rollout := self._turns.problem:
            found.append(_stalled(reason=rollout.reason, message=rollout.message))
        return tuple(found)

    def _rotation(self, authority: SeenAuthority) -> RotationStatus | None:
        """Return how far the replacement of the root is, if one is under way."""
        if authority.rotation is None:
            return None
        progress = self._succession.progress
        return RotationStatus(
            waits_for=progress.waits_for,
            until=progress.until,
            problem=authority.rotation.problem or self._succession.problem,
            message=tell_progress(authority.rotation.phase, progress),
        )


def _stalled(*, reason: str, message: str) -> Condition:
    return Condition(
        type=ConditionType.STALLED,
        status=ConditionStatus.TRUE,
        reason=reason,
        message=message,
        last_transition_time=clock.utc_now(),
    )
