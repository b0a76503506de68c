"""Turn one visit into what its owner reads; the only place that computes conditions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from cachepilot.apply import outcome
from cachepilot.apply.outcome import Done, Failed, Outcome, Stalled
from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import Liveness, Role, Snapshot
from cachepilot.plan.actions import Plan, interrupts
from cachepilot.plan.clients import asks_clients
from cachepilot.plan.logins import documented_password, list_logins
from cachepilot.plan.shape import PLAIN_PORT, TLS_PORT, wanted_listeners
from cachepilot.plan.user_rules import granted_rules
from cachepilot.spec.document import State, TenantName
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec, is_wildcard
from cachepilot.status.clients import list_clients
from cachepilot.status.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Endpoint,
    PublishedUser,
    TenantStatus,
    Waiting,
)
from cachepilot.status.facts import (
    OBSERVED,
    Fact,
    certificate_served,
    client_certificates_issued,
    config_applied,
    container_current,
    credentials_applied,
    endpoints_reachable,
    server_reachable,
)

# Ready means that clients are served as the spec says, each proven by asking.
_SERVING = (
    ConditionType.CONTAINER_CURRENT,
    ConditionType.SERVER_REACHABLE,
    ConditionType.CONFIG_APPLIED,
    ConditionType.CREDENTIALS_APPLIED,
    ConditionType.CERTIFICATE_SERVED,
    ConditionType.CLIENT_CERTIFICATES_ISSUED,
    ConditionType.ENDPOINTS_REACHABLE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Everything that one visit came to know.

    Attributes:
        spec: What is in force: the newest valid document, or the last good one.
        seen: The last snapshot of the visit; None when we could not look at all.
        plan: What the last snapshot still asks for.
        outcomes: How the last actions ended.
        trouble: Why the visit ended early, in a sentence, or empty.
        acting: Whether the plan is being carried out right now and takes the server down.
        was_known: Whether the status before told of a document that was valid once.
    """

    tenant_name: TenantName
    reading: Reading
    spec: TenantSpec | None
    memory: Memory
    seen: Snapshot | None
    plan: Plan
    outcomes: tuple[Outcome, ...]
    trouble: str = ""
    acting: bool = False
    was_known: bool = False

    @property
    def in_force(self) -> TenantSpec | None:
        """What the server has to be like now: *spec*, without what waits."""
        return self.plan.held.spec if self.plan.held else self.spec

    @property
    def is_of_nobody(self) -> bool:
        """Whether there is neither a document nor a record, so nothing to have a status.

        Whoever was known goes only with a complete listing: two lost mounts are nobody's end.
        """
        is_blank = not self.reading.source and not self.trouble and self.memory == Memory()
        return is_blank and (self.reading.presence is Presence.ABSENT or not self.was_known)


def summarize(
    visit: Visit,
    previous: TenantStatus | None,
    *,
    rules: Rules,
    settings_digest: str,
    now: datetime,
) -> TenantStatus:
    """Return the status of a tenant after a visit."""
    facts = _list_facts(visit, rules)
    facts[ConditionType.READY] = _ready(visit, facts)
    facts |= _progress(visit, rules)
    conditions = tuple(
        _date(condition_type, facts[condition_type], previous, now)
        for condition_type in ConditionType
        if condition_type in facts
    )
    document = visit.reading.document
    held = visit.memory
    return TenantStatus(
        tenant_name=visit.tenant_name,
        word=_word(visit, facts),
        generation=held.generation,
        observed_generation=held.generation if visit.seen else _observed(previous),
        observed_digest=held.document_digest if visit.seen else _digest(previous),
        settings_digest=settings_digest,
        observed_at=now,
        source=visit.reading.source or held.source,
        labels=_pairs(document.metadata.labels if document else None, previous, "labels"),
        annotations=_pairs(
            document.metadata.annotations if document else None, previous, "annotations"
        ),
        spec=visit.spec,
        conditions=conditions,
        endpoints=_endpoints(visit),
        users=_users(visit),
        clients=list_clients(visit.spec, visit.seen),
        problems=tuple(str(problem) for problem in visit.reading.problems),
        plan=visit.plan.lines,
        snapshot=visit.seen,
        waiting=_waiting(visit.plan),
    )


def _waiting(plan: Plan) -> Waiting | None:
    if plan.held is None:
        return None
    return Waiting(
        reason=plan.held.reason,
        message=plan.held.message,
        until=plan.held.until,
        plan=plan.held.plan.lines,
    )


def _list_facts(visit: Visit, rules: Rules) -> dict[ConditionType, Fact]:
    facts = {ConditionType.SPEC_VALID: _spec_valid(visit.reading)}
    spec, seen, held = visit.in_force, visit.seen, visit.plan.held
    if spec is None:
        return facts
    if seen is None:
        blind = Fact.unknown("NotObserved", visit.trouble or "nobody could look")
        return facts | dict.fromkeys(_applicable(spec), blind)
    told = {
        ConditionType.CONTAINER_CURRENT: lambda: container_current(
            spec, seen, rules, waits=held.message if held else ""
        ),
        ConditionType.SERVER_REACHABLE: lambda: server_reachable(seen),
        ConditionType.CONFIG_APPLIED: lambda: config_applied(spec, seen, rules),
        ConditionType.CREDENTIALS_APPLIED: lambda: credentials_applied(spec, seen),
        ConditionType.CERTIFICATE_SERVED: lambda: certificate_served(spec, seen),
        ConditionType.CLIENT_CERTIFICATES_ISSUED: lambda: client_certificates_issued(spec, seen),
        ConditionType.ENDPOINTS_REACHABLE: lambda: endpoints_reachable(spec, seen),
    }
    return facts | {kind: told[kind]() for kind in _applicable(spec)}


def _applicable(spec: TenantSpec) -> tuple[ConditionType, ...]:
    """Return what is to be said of a tenant: of one that rests, only that it does."""
    if not spec.serves:
        return (ConditionType.CONTAINER_CURRENT,)
    left_out = set() if spec.access.has_tls else {ConditionType.CERTIFICATE_SERVED}
    if not (spec.clients or asks_clients(spec)):
        left_out.add(ConditionType.CLIENT_CERTIFICATES_ISSUED)
    return tuple(kind for kind in _SERVING if kind not in left_out)


def _spec_valid(reading: Reading) -> Fact:
    if reading.problems:
        more = f" (and {len(reading.problems) - 1} more)" if len(reading.problems) > 1 else ""
        return Fact.false("Invalid", f"{reading.problems[0]}{more}")
    if reading.presence is Presence.ABSENT:
        return Fact.false("Missing", "no file in tenants.d holds this tenant any more")
    if reading.presence is Presence.UNKNOWN:
        return Fact.unknown("FolderUnreadable", "the folder of tenants could not be listed")
    return Fact.true("Valid", f"{reading.source} is valid")


def _ready(visit: Visit, facts: dict[ConditionType, Fact]) -> Fact:
    spec = visit.spec
    if spec is None:
        return Fact.false("NoValidSpec", "no valid document was ever seen")
    if spec.state is State.DELETED:
        return Fact.false("Deleted", "serving has ended; the data stays")
    if spec.state is State.STOPPED:
        return Fact.false("Stopped", "the spec says stopped")
    if visit.acting:
        return Fact.false("Interrupted", f"the server goes down or up: {_cause(visit.plan)}")
    # A difference that the host's owner wants reported and left alone is no outage.
    present = [(kind, facts[kind]) for kind in _SERVING if kind in facts]
    missing = [(kind, fact) for kind, fact in present if fact.reason != OBSERVED]
    unlike = [fact.message for _, fact in present if fact.reason == OBSERVED]
    for kind, fact in missing:
        if fact.status is ConditionStatus.FALSE:
            return Fact.false(fact.reason, f"{kind}: {fact.message}")
    for kind, fact in missing:
        if fact.status is ConditionStatus.UNKNOWN:
            return Fact.unknown(fact.reason, f"{kind}: {fact.message}")
    if held := visit.plan.held:
        unlike.insert(0, held.message)
    if unlike:
        more = "; ".join(unlike)
        return Fact.true("Serving", f"clients are served, but not all as the spec says: {more}")
    return Fact.true("Serving", "clients are served as the spec says")


def _farewell(visit: Visit, rules: Rules) -> str:
    since = visit.reading.absent_since
    when = f" at {since + rules.removalGrace:%Y-%m-%d %H:%M:%SZ}" if since else ""
    return f"its file is gone; serving ends{when} unless it comes back"


def _progress(visit: Visit, rules: Rules) -> dict[ConditionType, Fact]:
    """Return Reconciling and Stalled, which are only listed while they are true."""
    last = visit.outcomes[-1] if visit.outcomes else None
    if visit.reading.problems:
        message = f"the newest text cannot be used: {visit.reading.problems[0]}"
        return {ConditionType.STALLED: Fact.true("SpecInvalid", message)}
    if visit.acting:
        return {ConditionType.RECONCILING: Fact.true("Progressing", _cause(visit.plan))}
    if visit.reading.presence is Presence.ABSENT and visit.spec and visit.spec.serves:
        return {ConditionType.RECONCILING: Fact.true("FileMissing", _farewell(visit, rules))}
    if isinstance(last, Stalled):
        return {ConditionType.STALLED: Fact.true(last.reason, last.message)}
    if visit.plan.blocked:
        blocked = visit.plan.blocked
        return {ConditionType.STALLED: Fact.true(blocked.reason, blocked.message)}
    trouble = last.message if isinstance(last, Failed) else visit.trouble
    if trouble:
        return {ConditionType.RECONCILING: Fact.true("Retrying", trouble)}
    if isinstance(last, outcome.Waiting):
        return {ConditionType.RECONCILING: Fact.true("Waiting", last.message)}
    if visit.plan.actions and not isinstance(last, Done):
        return {ConditionType.RECONCILING: Fact.true("Progressing", "changes are under way")}
    if visit.plan.held:
        waits = visit.plan.held
        return {ConditionType.RECONCILING: Fact.true(waits.reason, waits.message)}
    return {}


def _cause(plan: Plan) -> str:
    return next((action.cause for action in plan.actions if interrupts(action)), "")


def _word(visit: Visit, facts: dict[ConditionType, Fact]) -> str:
    """Return the one word of ``get tenants``: what an operator must know first."""
    spec = visit.spec
    if visit.reading.problems or spec is None:
        return "Invalid"
    if spec.paused:
        return "Paused"
    stalled = ConditionType.STALLED in facts
    container = visit.seen.container(Role.SERVER) if visit.seen else None
    if not spec.serves:
        done = visit.seen is not None and not visit.plan.actions and not visit.plan.blocked
        ended = "Deleted" if spec.state is State.DELETED else "Stopped"
        return ended if done else "Stalled" if stalled else "Stopping"
    ready = facts[ConditionType.READY].status
    if stalled:
        return "Stalled"
    if visit.reading.presence is Presence.ABSENT:
        return "Ending"
    if ready is ConditionStatus.TRUE:
        return "Ready"
    if not visit.memory.data_ready or (visit.seen is not None and container is None):
        return "Starting"
    if ConditionType.RECONCILING in facts:
        return "Progressing"
    return "NotReady" if ready is ConditionStatus.FALSE else "Unknown"


def _date(
    condition_type: ConditionType, fact: Fact, previous: TenantStatus | None, now: datetime
) -> Condition:
    before = previous.condition(condition_type) if previous else None
    same = before is not None and before.status is fact.status
    return Condition(
        type=condition_type,
        status=fact.status,
        reason=fact.reason,
        message=fact.message,
        last_transition_time=before.last_transition_time if before and same else now,
    )


def _endpoints(visit: Visit) -> tuple[Endpoint, ...]:
    """Return where clients connect, by name where the host has names, else by address.

    What a running server is published on counts, even where the spec cannot be had yet.
    """
    spec, held = visit.in_force, visit.memory.reservation
    if spec is None or held is None or spec.state is State.DELETED:
        return ()
    container = visit.seen.container(Role.SERVER) if visit.seen else None
    runs = container is not None and container.liveness is Liveness.RUNNING
    published = container.shape.published if container and runs else ()
    # The first address that the author names is the one that clients are told.
    rank = {address: number for number, address in enumerate(spec.bind)}
    published = tuple(
        sorted(
            published or wanted_listeners(spec, held),
            key=lambda at: rank.get(at.address, len(rank)),
        )
    )
    local = [at for at in published if not is_wildcard(at.address)]
    name = next((name for name in spec.names if name != "localhost"), "127.0.0.1")
    found = local or [replace(at, address=name) for at in published]
    return tuple(
        Endpoint(listener=listener, host=at.address, port=at.host_port)
        for listener, inside in (("tls", TLS_PORT), ("plain", PLAIN_PORT))
        for at in dict.fromkeys(found)
        if at.container_port == inside
    )


def _users(visit: Visit) -> tuple[PublishedUser, ...]:
    """Return who can log in, each with the password that is documented."""
    spec, memory = visit.spec, visit.memory
    if spec is None or spec.state is State.DELETED:
        return ()
    may = {kept.user: granted_rules(kept, scripting=spec.scripting) for kept in memory.rules}
    known = ((login.user, documented_password(memory, login.user)) for login in list_logins(spec))
    return tuple(
        PublishedUser(
            name=user,
            revision=documented.revision,
            since=documented.since,
            may=may.get(user, ""),
        )
        for user, documented in known
        if documented
    )


def _pairs(
    found: dict[str, str] | None, previous: TenantStatus | None, which: str
) -> tuple[tuple[str, str], ...]:
    if found is not None:
        return tuple(sorted(found.items()))
    if previous is None:
        return ()
    return previous.labels if which == "labels" else previous.annotations


def _observed(previous: TenantStatus | None) -> int:
    return previous.observed_generation if previous else 0


def _digest(previous: TenantStatus | None) -> str:
    return previous.observed_digest if previous else ""
