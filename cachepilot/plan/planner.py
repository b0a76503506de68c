"""Decide; never do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from cachepilot.observe.memory import HandOverPhase, Memory, Reservation
from cachepilot.observe.snapshot import SeenServer, Snapshot, Unknown
from cachepilot.plan.actions import (
    Action,
    BeginReplacement,
    Blocked,
    Disruption,
    EnsureImage,
    Held,
    Plan,
    PrepareFolders,
    RenameContainer,
    Reserve,
    TryRulesApart,
    interrupts,
)
from cachepilot.plan.applied import only_by_hand, plan_doubt, plan_proof
from cachepilot.plan.attachment import plan_attachment
from cachepilot.plan.blocks import data_missing, feasible, list_blocks, record_missing
from cachepilot.plan.certificates import can_wait, plan_certificate, plan_pruning
from cachepilot.plan.clients import plan_client_certificates
from cachepilot.plan.containers import plan_server, plan_wish
from cachepilot.plan.files import plan_files, project
from cachepilot.plan.guard import replacement_refused
from cachepilot.plan.hand_over.course import Course, Setting, plan_hand_over
from cachepilot.plan.hand_over.ending import (
    is_won,
    plan_dissolution,
    plan_inheritance,
    plan_reopening,
    plan_settlement,
)
from cachepilot.plan.hand_over.need import hand_over_cause
from cachepilot.plan.held_back import (
    as_it_was,
    held_back_blocked,
    plan_new_attempt,
    without_other_image,
)
from cachepilot.plan.holding import (
    Turn,
    Wait,
    before_its_turn,
    disturbance,
    in_force_meanwhile,
    length_of,
    wait_for_turn,
    why_wait,
)
from cachepilot.plan.identity import choose_reservation
from cachepilot.plan.live import (
    plan_directives,
    plan_growth,
    plan_live_only,
    plan_opening,
    plan_shrinking,
    plan_users,
)
from cachepilot.plan.persistence import (
    mode_in_force,
    plan_first_mode,
    plan_leftovers,
    plan_mode_change,
    plan_relief,
)
from cachepilot.plan.replacement import departure_cause, plan_discards
from cachepilot.plan.rotation import plan_credentials, plan_forgetting, plan_promotion
from cachepilot.plan.server_config import LIVE_ONLY, Directives, closed, wanted_directives
from cachepilot.plan.stopping import must_not_stop, place_taken, plan_rest
from cachepilot.plan.trials import assume_taken, plan_fetching, plan_trials
from cachepilot.plan.unsafe_stop import (
    plan_end_of_script,
    plan_end_of_wait,
    plan_unsafe_stop,
)
from cachepilot.plan.users import CUSTOMER
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec


def plan_tenant(
    spec: TenantSpec,
    seen: Snapshot,
    rules: Rules,
    now: datetime,
    *,
    turn: Turn = Turn.ITS_OWN,
) -> Plan:
    """Return the actions that turn *seen* into *spec* as of *now*.

    *turn* says who may take new defaults of the host that need a restart.

    A plan may stop short of the goal where only a fresh look can tell what is next, for example
    behind the start of a server; a visit therefore plans until nothing is left. What blocks one
    concern does not hold up the others: a tenant whose new port is taken still gets its
    certificate renewed and its dead container started.
    """
    if spec.paused:
        return Plan()
    if isinstance(seen.containers, Unknown):
        return Plan(blocked=Blocked(reason="EngineUnavailable", message=seen.containers.why))
    if lost := record_missing(seen):
        return Plan(blocked=lost)
    if not spec.serves:
        if left := tuple(plan_dissolution(spec, seen)):
            return Plan(left)
        if unsafe := must_not_stop(spec, seen, None):
            return plan_unsafe_stop(spec, seen, unsafe, rules, now)
        rest = (*plan_rest(spec, seen), *plan_wish(spec, seen))
        return Plan((*rest, *plan_end_of_wait(spec, seen)))
    plan = _plan_in_window(spec, seen, rules, now)
    kept = before_its_turn(spec, seen, turn)
    if plan.held or kept == spec:
        return plan
    own = _plan_in_window(kept, without_other_image(seen, spec, kept), rules, now)
    return own if own.held else _hold_back(plan, own, wait_for_turn(plan, turn), kept)


def _plan_in_window(spec: TenantSpec, seen: Snapshot, rules: Rules, now: datetime) -> Plan:
    """Return what makes a tenant serve; what disturbs clients waits while its window is closed."""
    plan = _timed(_plan_serving(spec, seen, rules, now), spec, seen)
    disturbing = disturbance(plan, seen)
    wait = why_wait(spec, seen, disturbing, now) if disturbing else None
    if wait is None:
        return plan
    meanwhile = in_force_meanwhile(spec, seen)
    calm = _plan_serving(
        meanwhile, without_other_image(seen, spec, meanwhile), rules, now, calm=True
    )
    early = _plan_early(spec, seen, plan)
    at_once = Plan((*calm.actions, *early), plan.blocked or calm.blocked)
    return _hold_back(plan, at_once, wait, meanwhile)


def _folders_of(files: tuple[Action, ...]) -> tuple[Action, ...]:
    return tuple(action for action in files if isinstance(action, PrepareFolders))


def _plan_early(spec: TenantSpec, seen: Snapshot, plan: Plan) -> Iterator[Action]:
    """Yield what of *plan* is done beforehand.

    Fetching and trying shortens the outage, and tells now rather than at night that it fails. A
    default image of the host is no tenant's business before its turn.
    """
    for action in plan.actions if "image" not in spec.inherited else ():
        if (isinstance(action, EnsureImage) and seen.image_exists is False) or isinstance(
            action, TryRulesApart
        ):
            yield action


def _timed(plan: Plan, spec: TenantSpec, seen: Snapshot) -> Plan:
    """Return *plan* with the time that clients will miss the server."""
    disturbing = disturbance(plan, seen)
    restarts = disturbing is not None and disturbing.disruption is Disruption.RESTART
    return replace(plan, length=length_of(spec, seen)) if restarts else plan


def _hold_back(plan: Plan, at_once: Plan, wait: Wait, meanwhile: TenantSpec) -> Plan:
    """Return *at_once*, with the rest of *plan* as what waits."""
    held = Held(
        reason=wait.reason,
        message=wait.message,
        until=wait.until,
        spec=meanwhile,
        actions=tuple(action for action in plan.actions if action not in at_once.actions),
        length=plan.length,
    )
    return replace(at_once, held=held)


def _plan_serving(
    spec: TenantSpec, seen: Snapshot, rules: Rules, now: datetime, *, calm: bool = False
) -> Plan:
    """Return what makes a tenant serve: identity, then files, then server, then live changes.

    With *calm* a running server stays up, even if nothing but a restart would make it right.
    """
    failed = held_back_blocked(spec, seen)
    renewed = tuple(plan_new_attempt(spec, seen))
    asked = as_it_was(spec, seen)
    seen = without_other_image(seen, spec, asked)
    trials = tuple(plan_trials(asked, seen))
    seen = assume_taken(seen, trials)
    blocked = (*((failed,) if failed else ()), *list_blocks(asked, seen))
    spec = feasible(asked, seen)
    chosen = choose_reservation(spec, seen, rules)
    reservation = seen.memory.reservation if isinstance(chosen, Blocked) else chosen
    if isinstance(chosen, Blocked):
        blocked = (*blocked, chosen)
    if reservation is None or not spec.bind:
        return Plan((), blocked[0])

    first = blocked[0] if blocked else None
    identity = (*renewed, *trials, *_plan_identity(spec, seen, reservation))
    spared = only_by_hand(spec, seen, _directives(spec, seen, seen.memory), rules)
    renewal = tuple(plan_certificate(spec, seen, reservation, now, spared=spared))
    attachment, seen = plan_attachment(spec, seen, reservation, rules)
    unsafe = must_not_stop(spec, seen, reservation)
    stays = unsafe or place_taken(spec, seen, reservation)
    if (
        not stays
        and can_wait(spec, seen.certificate)
        and _plan_down(spec, seen, reservation, rules, identity)
    ):
        renewal = ()  # a server that is down comes first, even if nothing can be signed today
    identity += renewal
    memory = project(seen.memory, reservation, identity)
    if memory.credential(CUSTOMER) is None or (spec.access.has_tls and not memory.certificate):
        return Plan(identity, first)  # nothing may start without them; *first* says why

    directives = _directives(spec, seen, memory)
    stays = _why_stay(spec, seen, reservation, directives, stays)
    on_disk = closed(directives) if seen.memory.on_trial else directives
    files = (
        *plan_doubt(spec, seen, directives, rules),
        *plan_files(spec, seen, memory, reservation, on_disk),
    )
    first = first or stays
    setting = Setting(
        spec=spec, rules=rules, reservation=reservation, memory=memory, directives=directives
    )
    course = _plan_course(setting, seen, may_begin=not stays and not calm)
    if course and course.actions:
        # Until it is decided, the server before may have to come back with what it has.
        written = files if is_won(seen.memory.hand_over) else _folders_of(files)
        return Plan((*identity, *written, *attachment, *course.actions), first)
    first = first or (course.blocked if course else None)
    server = attachment
    if not (attachment or stays) and course is None:
        server = tuple(plan_server(spec, seen, reservation, rules, directives, memory, asked))
    elif unsafe:
        server = (*attachment, *plan_end_of_script(spec, seen))
    if calm and any(map(interrupts, server)):
        server = tuple(action for action in server if isinstance(action, RenameContainer))
    if any(isinstance(action, BeginReplacement) for action in server):
        # What it is stopped with is what it may have to come back with; but it can only save into
        # a folder that is its own.
        files = _folders_of(files)
    if seen.memory.data_ready and not seen.files.data_marker:
        # Only what neither starts nor stops a server is safe while its data is missing.
        first, server = first or data_missing(spec, seen), ()
        return Plan((*identity, *files), first)
    if seen.loaded_server and not server:
        # Files first: a start in between must fit what is to be applied.
        live = _plan_live(spec, seen, memory, rules, directives, seen.loaded_server)
        server = (*live, *plan_forgetting(asked, seen))
    return Plan((*identity, *files, *server, *plan_fetching(asked, seen)), first)


def _why_stay(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    directives: Directives,
    stays: Blocked | None,
) -> Blocked | None:
    """Return why nothing may be started or stopped; *stays* is about a server with clients."""
    if seen.memory.on_trial:
        return None
    if stays is None and departure_cause(spec, seen, reservation, directives):
        return replacement_refused(spec, seen)
    return stays


def _plan_course(setting: Setting, seen: Snapshot, *, may_begin: bool) -> Course | None:
    """Return what a hand-over asks for that is wanted, under way or won; None without any."""
    if not is_won(seen.memory.hand_over):
        return plan_hand_over(setting, seen, may_begin=may_begin)
    heritage = plan_inheritance(setting.spec, seen, setting.directives)
    left = (*heritage, *plan_settlement(setting.spec, seen))
    return Course(actions=left) if left else None


def plan_lifting(spec: TenantSpec, seen: Snapshot) -> tuple[Action, ...]:
    """Return what gives clients back what a visit took away that could not be carried out."""
    if isinstance(seen.containers, Unknown):
        return ()
    closing = seen.memory.hand_over and seen.memory.hand_over.phase is HandOverPhase.CLOSING
    if closing:
        return tuple(plan_reopening(spec, seen, _directives(spec, seen, seen.memory)))
    return plan_relief(spec, seen)


def _plan_down(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    rules: Rules,
    identity: tuple[Action, ...],
) -> bool:
    """Return whether the server has to be started or replaced, with the leaf it has."""
    memory = project(seen.memory, reservation, identity)
    directives = _directives(spec, seen, memory)
    if hand_over_cause(spec, seen, reservation, directives):
        return False
    return any(plan_server(spec, seen, reservation, rules, directives, memory, spec))


def _plan_identity(spec: TenantSpec, seen: Snapshot, reservation: Reservation) -> Iterator[Action]:
    held = {port for port, owner in seen.host.owned_ports if owner == spec.name}
    wanted = {reservation.tls_port, reservation.plain_port} - {None}
    # A visit that was cut short may have left the ledger with other ports than the record.
    if reservation != seen.memory.reservation or (held and held != wanted):
        cause = "nothing is reserved yet" if not seen.memory.reservation else "the spec changed"
        yield Reserve(tenant_name=spec.name, cause=cause, reservation=reservation)
    yield from plan_first_mode(spec, seen)
    yield from plan_credentials(spec, seen)


def _directives(spec: TenantSpec, seen: Snapshot, memory: Memory) -> Directives:
    return wanted_directives(
        spec, certificate=memory.certificate, persistence=mode_in_force(spec, seen)
    )


def _plan_live(
    spec: TenantSpec,
    seen: Snapshot,
    memory: Memory,
    rules: Rules,
    directives: Directives,
    server: SeenServer,
) -> Iterator[Action]:
    """Yield live changes.

    Clients get in first, then goes what a later start would load by mistake, and what a build may
    refuse goes last, so that a refusal holds nothing else up.
    """
    uid = memory.reservation.uid if memory.reservation else 0
    spared = only_by_hand(spec, seen, directives, rules)
    if not spared:
        yield from plan_opening(spec, seen, server, directives)
    yield from plan_leftovers(spec, seen, server)
    yield from plan_discards(seen)
    yield from plan_growth(spec, seen)
    yield from plan_users(spec, seen, server, memory)
    yield from plan_client_certificates(spec, seen, seen.at)
    yield from plan_mode_change(spec, seen, server, uid=uid, certificate=memory.certificate)
    if not spared:
        yield from plan_directives(spec, seen, server, directives)
    yield from plan_shrinking(spec, seen, server, rules)
    # A login needs room for a connection, which the changes before may have to make.
    yield from plan_promotion(spec, seen, memory)
    stale = bool(seen.stale_certificates) and memory.certificate == seen.memory.certificate
    yield from plan_pruning(spec, stale=stale, keep=memory.certificate)
    yield from plan_proof(spec, seen, server, directives, rules)
    if not spared.issuperset(LIVE_ONLY):
        yield from plan_live_only(spec, seen, server, directives)
