from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cachepilot.apply.outcome import Done, Failed, Stalled, Waiting
from cachepilot.daemon.comparison import by_tenant, find_changed, find_orphans, find_unsettled
from cachepilot.daemon.fleet import Fleet
from cachepilot.errors import UnavailableError
from cachepilot.observe.ports import ContainerGlance
from cachepilot.observe.snapshot import Liveness, SeenFailedLogins, Unreachable
from cachepilot.plan.actions import Blocked, Plan, PurgeMemory
from cachepilot.spec.document import State
from cachepilot.status.conditions import ConditionType
from tests.daemon.heard import Heard
from tests.fakes.world import NOON
from tests.status.test_facts import CONTAINER, SEEN, SPEC, container, status
from tests.status.test_summarize import BLOCKED, DEAD

PURGE = PurgeMemory(tenant_name=SPEC.name, cause="why", instance=1)
READY = status()
DOWN = status(seen=DEAD)
ROW = ContainerGlance(
    container_id=CONTAINER.container_id,
    name=CONTAINER.name,
    tenant_name=SPEC.name,
    role="server",
    state="running",
    digest=CONTAINER.digest,
)


class Board:
    def __init__(self):
        self.statuses, self.problem, self.writes = {}, "", 0

    def read(self, tenant_name):
        return self.statuses.get(tenant_name)

    def publish(self, status):
        if self.problem:
            raise UnavailableError(self.problem)
        self.writes += 1
        self.statuses[status.tenant_name] = status

    def withdraw(self, tenant_name):
        self.statuses.pop(tenant_name, None)


class Events(list):
    def record(self, **fields):
        self.append(SimpleNamespace(**fields))


@pytest.fixture
def board():
    return Board()


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def log():
    return Heard()


@pytest.fixture
def fleet(board, events, log):
    return Fleet(board, events, log, utc_now=lambda: NOON)


def result(found, *outcomes):
    return SimpleNamespace(status=found, outcomes=outcomes)


def told(events):
    return [(event.reason, event.warning) for event in events]


# News -------------------------------------------------------------------------------------------


def failing(*names):
    found = tuple(SeenFailedLogins(address="10.0.0.9", name=name, count=3) for name in names)
    return status(seen=replace(SEEN, server=replace(SEEN.server, failed_logins=found)))


def test_failed_logins_are_told_once_for_each_program_whatever_comes_between(fleet, events):
    deaf = status(seen=replace(SEEN, server=Unreachable("no answer")))
    for found in (failing(), failing("web"), failing("web"), deaf, failing("web")):
        fleet.publish(found)
    fleet.publish(failing("web", "cron"))

    messages = [event.message for event in events if event.reason == "FailedLogins"]
    assert ["web" in each for each in messages] == [True, False]
    assert "cron" in messages[1]


def test_failed_logins_that_an_earlier_daemon_told_are_not_told_again(fleet, events, board):
    """Nobody reads the log of events; what was published last says what was told."""
    board.statuses["acme"] = failing("web")
    fleet.read("acme")

    fleet.publish(failing("web"))
    assert [event.reason for event in events if event.reason == "FailedLogins"] == []
    fleet.publish(failing("web", "cron"))
    assert [event.reason for event in events if event.reason == "FailedLogins"] == ["FailedLogins"]


def test_ready_is_told_when_it_comes_and_goes_and_not_in_between(fleet, events):
    for found in (READY, READY, DOWN, DOWN, READY):
        fleet.publish(found)

    assert told(events) == [("Ready", False), ("NotReady", True), ("Ready", False)]
    assert events[1].message == DOWN.condition(ConditionType.READY).message
    assert {event.tenant_name for event in events} == {SPEC.name}


def test_a_newborn_that_is_not_ready_yet_is_no_alarm(fleet, events):
    fleet.publish(DOWN)

    assert told(events) == [("NotReady", False)]


def test_a_tenant_that_was_asked_to_stop_is_no_alarm(fleet, events):
    fleet.publish(READY)
    fleet.publish(status(spec=replace(SPEC, state=State.STOPPED), seen=DEAD))

    assert told(events) == [("Ready", False), ("NotReady", False)]


def test_each_action_is_told_as_it_ends(fleet, events, log):
    fleet.tell(Done(action=PURGE))
    fleet.tell(Done(action=PURGE))

    assert told(events) == [("PurgeMemory", False)] * 2
    assert events[0].message == "PurgeMemory acme: why"
    assert log.levels() == ["info", "info"]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Failed(action=PURGE, message="no"), ("Failed", True)),
        (Stalled(action=PURGE, reason="PortInUse", message="no"), ("PortInUse", True)),
        (Waiting(action=PURGE, message="no", retry_after=None), ("Waiting", False)),
    ],
)
def test_a_failure_is_told_once_until_something_else_happens(fleet, events, outcome, expected):
    for _ in range(3):
        fleet.tell(outcome)
    assert told(events) == [expected]
    assert "no" in events[0].message

    fleet.tell(Done(action=PURGE))
    fleet.tell(outcome)

    assert told(events) == [expected, ("PurgeMemory", False), expected]


def test_what_keeps_a_tenant_from_its_spec_is_told_once(fleet, events):
    stalled = status(plan=Plan((), BLOCKED))
    for _ in range(3):
        fleet.take(result(stalled))
    assert told(events) == [("PortInUse", True)]

    fleet.take(result(READY))
    fleet.take(result(stalled))

    assert told(events) == [("PortInUse", True)] * 2


def test_a_stall_that_an_action_told_is_not_told_again_by_the_visit(fleet, events):
    outcome = Stalled(action=PURGE, reason="PortInUse", message="no")
    fleet.tell(outcome)

    fleet.take(result(status(outcomes=(outcome,)), outcome))

    assert len(events) == 1


def test_another_reason_is_news(fleet, events):
    fleet.take(result(status(plan=Plan((), BLOCKED))))
    other = Blocked(reason="DataMissing", message="gone")
    fleet.take(result(status(plan=Plan((), other))))

    assert [reason for reason, _ in told(events)] == ["PortInUse", "DataMissing"]


# Statuses ---------------------------------------------------------------------------------------


def test_what_an_earlier_daemon_published_is_taken_over(board, fleet, events):
    board.statuses[SPEC.name] = READY

    assert fleet.read(SPEC.name) == READY
    fleet.publish(READY)
    assert list(events) == [], "it was ready before and still is"


def test_statuses_are_kept_and_published_and_withdrawn(board, fleet):
    fleet.publish(READY)
    assert fleet.statuses() == (READY,)
    assert board.statuses == {SPEC.name: READY}

    fleet.withdraw(SPEC.name)

    assert fleet.statuses() == ()
    assert board.statuses == {}
    assert fleet.read(SPEC.name) is None


def test_a_board_that_cannot_be_written_is_complained_about_once(board, fleet, log):
    board.problem = "cannot write: disk full"
    for _ in range(3):
        fleet.publish(READY)
    assert log.levels() == ["error"]
    assert fleet.statuses() == (READY,)

    board.problem = ""
    fleet.publish(DOWN)
    board.problem = "cannot write: disk full"
    fleet.publish(READY)

    assert log.levels() == ["error", "error"]


# Comparison -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "same"),
    [
        ((ROW,), True),
        ((), False),
        ((ROW, ROW), False),
        ((replace(ROW, container_id="another"),), False),
        ((replace(ROW, digest="another"),), False),
        ((replace(ROW, name="renamed"),), False),
        ((replace(ROW, state="exited"),), False),
        ((replace(ROW, state="paused"),), False),
        ((replace(ROW, state="restarting"),), False),
    ],
)
def test_a_listing_tells_who_needs_a_visit(fleet, rows, same):
    fleet.publish(READY)

    assert fleet.is_as_seen(SPEC.name, rows) is same
    assert find_changed([SPEC.name], fleet, by_tenant(rows)) == (() if same else (SPEC.name,))


def test_an_upgrade_gives_no_reason_to_visit_whoever_carries_an_older_digest(fleet):
    older = "v0-0123456789abcdef0123"
    fleet.publish(status(seen=container(digest=older)))
    rows = by_tenant([replace(ROW, digest=older)])

    assert find_changed([SPEC.name], fleet, rows) == ()


def test_a_tenant_that_rests_is_expected_to_have_exited(fleet):
    fleet.publish(status(spec=replace(SPEC, state=State.STOPPED), seen=DEAD))

    assert fleet.is_as_seen(SPEC.name, (replace(ROW, state="exited"),))
    assert not fleet.is_as_seen(SPEC.name, (ROW,))


def test_a_paused_tenant_may_be_in_any_state(fleet):
    fleet.publish(status(spec=replace(SPEC, paused=True)))

    assert fleet.is_as_seen(SPEC.name, (replace(ROW, state="exited"),))
    assert not fleet.is_as_seen(SPEC.name, ())


@pytest.mark.parametrize("found", [None, status(seen=None), status(spec=None)])
def test_whoever_was_never_seen_needs_a_visit(fleet, found):
    if found:
        fleet.publish(found)

    assert not fleet.is_as_seen(SPEC.name, (ROW,))


def test_whoever_has_no_container_is_as_seen_without_one(fleet):
    fleet.publish(status(seen=replace(SEEN, containers=(), server=None)))

    assert fleet.is_as_seen(SPEC.name, ())
    assert not fleet.is_as_seen(SPEC.name, (ROW,))


@pytest.mark.parametrize(
    ("found", "digest", "settings_digest", "settled"),
    [
        (READY, READY.observed_digest, "s1", True),
        (READY, "another", "s1", False),
        (READY, READY.observed_digest, "another", False),
        (status(plan=Plan((PURGE,))), READY.observed_digest, "s1", False),
        (status(seen=replace(SEEN, server=Unreachable("no"))), READY.observed_digest, "s1", False),
        (None, "", "s1", False),
    ],
)
def test_a_daemon_that_starts_visits_at_once_who_is_not_settled(
    fleet, found, digest, settings_digest, settled
):
    if found:
        fleet.publish(found)
    source = SimpleNamespace(read=lambda _name: SimpleNamespace(digest=digest))

    unsettled = find_unsettled(
        [SPEC.name], fleet, source, by_tenant([ROW]), settings_digest=settings_digest
    )

    assert unsettled == (() if settled else (SPEC.name,))


def test_containers_of_nobody_are_orphans():
    rows = [replace(ROW, tenant_name="ghost", name="cachepilot-ghost"), ROW]

    assert find_orphans(frozenset({SPEC.name}), rows) == (("cachepilot-ghost", "ghost"),)


def test_a_container_of_a_role_that_nobody_knows_is_an_orphan_and_disturbs_nobody(fleet):
    fleet.publish(READY)
    rows = [ROW, replace(ROW, container_id="other", name="guest", role="guest")]

    assert find_orphans(frozenset({SPEC.name}), rows) == (("guest", SPEC.name),)
    assert find_changed([SPEC.name], fleet, by_tenant(rows)) == ()


def test_a_container_in_any_state_but_running_is_a_change_for_a_tenant_that_serves(fleet):
    fleet.publish(status(seen=container(liveness=Liveness.RUNNING)))
    states = ["created", "running", "paused", "restarting", "removing", "exited", "dead"]

    fine = [one for one in states if fleet.is_as_seen(SPEC.name, (replace(ROW, state=one),))]

    assert fine == ["running"]
