"""What the loop knows about all tenants: their newest status, and what changed between two."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from cachepilot.apply.outcome import Done, Failed, Outcome, Stalled, Waiting
from cachepilot.daemon.logging import Logger
from cachepilot.errors import CachePilotError
from cachepilot.observe.ports import ContainerGlance
from cachepilot.observe.snapshot import Role, SeenContainer, Snapshot, Unknown
from cachepilot.plan.actions import describe
from cachepilot.plan.containers import container_name
from cachepilot.reconcile import VisitResult
from cachepilot.spec.document import TenantName
from cachepilot.status.conditions import ConditionStatus, ConditionType, TenantStatus
from cachepilot.status.logins import failed_logins, tell_failed_logins
from cachepilot.status.ports import EventLog, StatusStore


class Fleet:
    """A store of statuses that keeps them at hand and tells what changes.

    Args:
        board: Where statuses are published for everybody.
        events: Where news go.
        log: The daemon's logger.
        utc_now: The time, for what is told the moment it happens.
    """

    def __init__(
        self,
        board: StatusStore,
        events: EventLog,
        log: Logger,
        *,
        utc_now: Callable[[], datetime],
    ) -> None:
        self._utc_now = utc_now
        self._board = board
        self._events = events
        self._log = log
        self._lock = threading.Lock()
        self._statuses: dict[TenantName, TenantStatus] = {}
        self._complaints: dict[TenantName, str] = {}
        self._failed: dict[TenantName, frozenset[tuple[str, str, str]]] = {}
        self._unpublished = ""
        self._visited: set[TenantName] = set()

    def statuses(self) -> tuple[TenantStatus, ...]:
        """Return the newest status of everybody, sorted by name."""
        with self._lock:
            return tuple(self._statuses[name] for name in sorted(self._statuses))

    def count_words(self) -> Counter[str]:
        """Return how many tenants there are of each word; asked every second."""
        with self._lock:
            return Counter(status.word for status in self._statuses.values())

    def read(self, tenant_name: TenantName) -> TenantStatus | None:
        """Return the newest status of one tenant, also one that an earlier daemon published."""
        with self._lock:
            status = self._statuses.get(tenant_name)
        if status is None and (status := self._board.read(tenant_name)) is not None:
            with self._lock:
                self._statuses.setdefault(tenant_name, status)
        return status

    def proven(self, tenant_name: TenantName) -> TenantStatus | None:
        """Return the newest status of one tenant if this very daemon has looked."""
        with self._lock:
            return self._statuses.get(tenant_name) if tenant_name in self._visited else None

    def publish(self, status: TenantStatus) -> None:
        """Keep and publish a status, and tell of Ready coming and going.

        A board that cannot be written is told of once and tried again with the next status.
        """
        with self._lock:
            before = self._statuses.get(status.tenant_name)
            self._statuses[status.tenant_name] = status
            self._visited.add(status.tenant_name)
        self._tell_transitions(before, status)
        self._tell_failed_logins(before, status)
        self._tell_waiting(before, status)
        try:
            self._board.publish(status)
        except CachePilotError as error:
            if self._unpublished != str(error):
                self._unpublished = str(error)
                self._log.error("cannot publish status", error=str(error))
        else:
            self._unpublished = ""

    def withdraw(self, tenant_name: TenantName) -> None:
        """Forget a tenant that no longer exists."""
        with self._lock:
            self._statuses.pop(tenant_name, None)
            self._visited.discard(tenant_name)
            self._complaints.pop(tenant_name, None)
            self._failed.pop(tenant_name, None)
        try:
            self._board.withdraw(tenant_name)
        except CachePilotError as error:
            self._log.error("cannot withdraw status", tenant=tenant_name, error=str(error))

    def tell(self, outcome: Outcome) -> None:
        """Tell how an action ended, the moment it did; a failure that repeats is told once."""
        name, at = outcome.action.tenant_name, self._utc_now()
        kind, text = type(outcome.action).__name__, describe(outcome.action)
        match outcome:
            case Done():
                self._complaints.pop(name, None)
                self._log.info("performed", tenant=name, action=kind, detail=text)
                self._record(at, name, kind, text, warning=False)
            case Waiting(message=message):
                self._complain(at, name, "Waiting", f"{kind}: {message}", warning=False)
            case Failed(message=message):
                self._complain(at, name, "Failed", f"{kind}: {message}")
            case Stalled(reason=reason, message=message):
                self._complain(at, name, reason, f"{kind}: {message}")
            case _:
                assert_never(outcome)

    def take(self, result: VisitResult) -> None:
        """Tell what keeps a visited tenant from its spec, unless an action told it already."""
        if result.outcomes and not isinstance(result.outcomes[-1], Done):
            return
        status = result.status
        stalled = status.condition(ConditionType.STALLED)
        if stalled:
            name = status.tenant_name
            self._complain(status.observed_at, name, stalled.reason, stalled.message)
        else:
            self._complaints.pop(status.tenant_name, None)

    def is_as_seen(self, name: TenantName, rows: tuple[ContainerGlance, ...]) -> bool:
        """Return whether a listing shows just what the last visit left, so none is needed."""
        status = self.read(name)
        if status is None or status.snapshot is None or status.spec is None:
            return False
        if isinstance(status.snapshot.containers, Unknown):
            return not rows
        state = "running" if status.spec.serves else "exited"
        found = {row.container_id: row for row in rows}
        expected = {seen.container_id: seen for seen in status.snapshot.containers}
        return (
            len(rows) == len(found)
            and found.keys() == expected.keys()
            and all(
                row.digest == expected[row.container_id].digest
                and row.name == _expected_name(status.snapshot, expected[row.container_id])
                and (row.state == state or status.spec.paused)
                for row in rows
            )
        )

    def is_settled(self, name: TenantName, *, digest: str, settings_digest: str) -> bool:
        """Return whether the last visit ended well, with this document and these settings."""
        status = self.read(name)
        return (
            status is not None
            and status.word in ("Ready", "Stopped", "Deleted", "Paused")
            and status.observed_digest == digest
            and status.settings_digest == settings_digest
            and not status.plan
            and status.waiting is None
        )

    def _tell_failed_logins(self, before: TenantStatus | None, after: TenantStatus) -> None:
        """Tell from where logins fail, once for each, also across visits that could not ask."""
        name, found = after.tenant_name, failed_logins(after)
        if found is None:
            return
        told = self._failed.get(name)
        if told is None:
            told = frozenset(each.whence for each in failed_logins(before) or ())
        self._failed[name] = frozenset(each.whence for each in found)
        for failed in found:
            if failed.whence not in told:
                text = tell_failed_logins(failed)
                self._record(after.observed_at, name, "FailedLogins", text, warning=True)

    def _tell_waiting(self, before: TenantStatus | None, after: TenantStatus) -> None:
        """Tell that something begins to wait for its time, once for each."""
        waits, earlier = after.waiting, before.waiting if before else None
        if waits and (earlier is None or earlier.message != waits.message):
            name = after.tenant_name
            self._record(after.observed_at, name, waits.reason, waits.message, warning=False)

    def _tell_transitions(self, before: TenantStatus | None, after: TenantStatus) -> None:
        for condition in after.conditions:
            if condition.type is not ConditionType.READY:
                continue
            earlier = before.condition(condition.type) if before else None
            if earlier is None or earlier.status is not condition.status:
                ready = condition.status is ConditionStatus.TRUE
                self._record(
                    after.observed_at,
                    after.tenant_name,
                    "Ready" if ready else "NotReady",
                    condition.message,
                    # A newborn is not ready yet, and a stopped one not any more: no alarm.
                    warning=not ready and bool(earlier) and bool(after.spec and after.spec.serves),
                )

    def _complain(
        self, at: datetime, name: TenantName, reason: str, message: str, *, warning: bool = True
    ) -> None:
        """Tell a failure once, not each time it is met again."""
        if self._complaints.get(name) == message:
            return
        self._complaints[name] = message
        level = self._log.warning if warning else self._log.info
        level("visit ended early", tenant=name, reason=reason, detail=message)
        self._record(at, name, reason, message, warning=warning)

    def _record(
        self, at: datetime, name: TenantName, reason: str, message: str, *, warning: bool
    ) -> None:
        self._events.record(
            at=at, tenant_name=name, warning=warning, reason=reason, message=message
        )


def _expected_name(snapshot: Snapshot, seen: SeenContainer) -> str:
    """Return what a container should be called; a successor that took over is the server."""
    is_server = seen.role.serves and seen.instance == snapshot.memory.instance
    return container_name(snapshot.tenant_name, Role.SERVER if is_server else seen.role)
