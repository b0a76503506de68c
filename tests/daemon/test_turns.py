"""Decisions are kept before they are acted upon, told once, and outlive the daemon."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.daemon.fleet import Fleet
from cachepilot.daemon.turns import Turns
from cachepilot.errors import StalledError, UnavailableError
from cachepilot.observe.snapshot import Unknown
from cachepilot.plan.actions import Blocked, Plan
from cachepilot.plan.holding import Turn
from cachepilot.plan.rollout import Rollout
from cachepilot.settings import Settings
from cachepilot.spec.digest import canonical_json
from cachepilot.status.conditions import Condition, ConditionStatus, ConditionType, Waiting
from tests.fakes.scenes import look, settled
from tests.fakes.world import NOON
from tests.status.test_facts import SPEC, status


def not_ready(message):
    return Condition(
        type=ConditionType.READY,
        status=ConditionStatus.FALSE,
        reason="NoAnswer",
        message=message,
        last_transition_time=NOON,
    )


class Store:
    def __init__(self):
        self.kept, self.refuses, self.torn, self.saves = Rollout(), False, False, 0

    def load(self):
        if self.torn:
            raise StalledError("cannot read rollout.json", reason="RolloutUnreadable")
        return self.kept

    def save(self, rollout):
        if self.refuses:
            raise UnavailableError("cannot write rollout.json: no space left on device")
        self.kept, self.saves = rollout, self.saves + 1


class Silent:
    def __getattr__(self, name):
        return lambda *_given, **_named: None


class Events:
    def __init__(self):
        self.told = []

    def record(self, *, at, tenant_name, warning, reason, message):
        self.told.append((reason, tenant_name))


class Board:
    def read(self, tenant_name):
        return None

    def publish(self, status):
        pass


def settings_of(image="redis:8.0", **rollout):
    values = {"defaults": {"engine": {"image": image}}, "rollout": {"settle": "10s", **rollout}}
    return Settings.model_validate_json(canonical_json(values))


class Host:
    """Some tenants, and a clock that a test moves."""

    def __init__(self, names="abc"):
        self.now, self.store, self.events, self.names = NOON, Store(), Events(), names
        self.fleet = Fleet(Board(), Silent(), Silent(), utc_now=lambda: self.now)
        self.settings = settings_of()
        self.start()

    def start(self):
        self.turns = Turns(
            self.store,
            self.fleet,
            lambda: self.names,
            self.settings,
            self.events,
            Silent(),
            utc_now=lambda: self.now,
        )
        self.turns.begin()

    def publish(self, name, *, waits=False, trouble="", lost="", **changes):
        """Say how a visit ended; *trouble* kept it from looking, *lost* silenced the engine."""
        seen = None if trouble else look(settled(SPEC), SPEC)
        if lost:
            seen = replace(seen, containers=Unknown(lost))
        blocked = Blocked(reason="RecordUnreadable", message=trouble) if trouble else None
        plan = Plan(blocked=blocked)
        base = status(spec=SPEC, seen=seen, plan=plan, trouble=trouble)
        reason = Waiting(reason="WaitingForTurn", message="m", until=None, plan=())
        self.fleet.publish(
            replace(
                base,
                tenant_name=name,
                settings_digest=self.settings.digest,
                observed_at=self.now,
                waiting=reason if waits else None,
                **changes,
            )
        )

    def use(self, image="redis:9.0", **rollout):
        self.settings = settings_of(image, **rollout)
        self.turns.use_settings(self.settings)

    def all_wait(self, image="redis:9.0", **rollout):
        self.use(image, **rollout)
        for name in self.names:
            self.publish(name, waits=True)
        return self.turns.decide()

    def awaited(self):
        return {each.name: (each.reason, each.message) for each in self.turns.status().awaited}

    def later(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def host():
    return Host()


def test_an_idle_fleet_is_left_alone_and_nothing_is_written(host):
    for name in "abc":
        host.publish(name)
    assert host.turns.decide() == ((), 3600.0)
    for _ in range(3):
        host.turns.decide()
    assert (host.store.saves, host.events.told) == (1, [])
    assert host.store.kept.complete
    # Whoever comes to leave something to the host from now on takes what has been proven.
    assert host.turns.turn_of("a") is Turn.ITS_OWN
    assert host.turns.status().phase == "idle"


def test_the_canary_goes_first_and_the_next_once_it_has_settled(host):
    names, pause = host.all_wait()
    assert (names, pause) == (("a",), 1.0)
    assert host.store.kept.under_way[0].name == "a"
    assert host.turns.turn_of("a") is Turn.ITS_OWN
    assert host.turns.turn_of("b") is Turn.ANOTHERS
    assert host.turns.status().phase == "canary"
    host.later(1)
    host.publish("a")
    assert host.turns.decide()[0] == ()
    host.later(11)
    assert host.turns.decide()[0] == ("b",)
    assert host.turns.status().phase == "batches"
    assert host.events.told == [("RolloutTurn", "a"), ("RolloutTurn", "b")]


def test_a_fleet_that_nobody_looked_at_has_not_taken_anything(host):
    host.settings = settings_of("redis:9.0")
    host.turns.use_settings(host.settings)
    host.turns.decide()
    assert not host.store.kept.complete
    assert host.turns.turn_of("a") is Turn.ANOTHERS
    assert host.turns.status().unready == 3


def test_nobody_goes_before_everybody_was_looked_at(host):
    host.settings = settings_of("redis:9.0")
    host.publish("b", waits=True)
    host.publish("c", waits=True)
    host.settings, now = settings_of(), host.settings
    host.publish("a")
    host.settings = now
    host.turns.use_settings(now)
    assert host.turns.decide()[0] == ()
    host.publish("a", waits=True, labels=(("cachepilot/canary", "true"),))
    assert host.turns.decide()[0] == ("a",)


def test_a_record_that_cannot_be_read_holds_nobody_else_up(host):
    host.use()
    for name in "ac":
        host.publish(name, waits=True)
    host.publish("b", trouble="cannot read record.json; put it back from a backup")
    assert host.turns.decide()[0] == ("a",)
    why = "cannot read record.json; put it back from a backup"
    assert host.turns.status().unseen == (("b", why),)
    assert host.awaited() == {}
    for name, follower in (("a", ("c",)), ("c", ())):
        host.later(1)
        host.publish(name)
        assert host.turns.decide()[0] == ()
        host.later(11)
        assert host.turns.decide()[0] == follower

    # Once it is mended it takes them in its turn, like everybody.
    assert not host.store.kept.complete
    assert host.turns.status().phase == "idle"
    assert host.turns.turn_of("b") is Turn.ANOTHERS
    host.publish("b", waits=True)
    assert host.turns.status().unseen == ()
    assert host.turns.decide()[0] == ("b",)


def test_a_visit_that_was_cut_off_under_the_old_settings_says_nothing_about_the_new(host):
    host.publish("b", trouble="cannot read record.json")
    host.use()
    for name in "ac":
        host.publish(name, waits=True)
    assert host.turns.decide()[0] == ()
    assert host.awaited()["b"][0] == "NotSeenYet"


def test_an_engine_that_does_not_answer_has_given_nobody_the_new_defaults(host):
    host.use()
    for name in "abc":
        host.publish(name, lost="Docker does not answer")
    assert host.turns.decide()[0] == ()
    assert not host.store.kept.complete
    assert host.turns.status().phase == "looking"
    assert host.awaited() == dict.fromkeys("abc", ("EngineUnavailable", "Docker does not answer"))
    for name in "abc":
        host.publish(name, waits=True)
    assert host.turns.decide()[0] == ("a",)
    # Nor has it harmed whom the engine cannot speak of for a moment.
    host.later(1)
    host.publish("a", lost="Docker does not answer")
    assert host.turns.decide()[0] == ()
    assert host.turns.status().phase == "canary"


def test_it_is_said_at_once_what_holds_up_whom_whose_turn_it_is(host):
    host.all_wait()
    assert host.turns.status().obstacles == ()
    trying = Condition(
        type=ConditionType.RECONCILING,
        status=ConditionStatus.TRUE,
        reason="Retrying",
        message="cannot pull image redis:9.0: no route to host",
        last_transition_time=NOON,
    )
    host.later(1)
    host.publish("a", conditions=(not_ready("its image differs"), trying))
    host.turns.decide()

    assert host.turns.status().obstacles == (("a", trying.message),)
    assert host.turns.status().phase == "canary"
    # A registry that is down for a moment harms nobody; one that stays so ends in time.
    host.later(601)
    host.publish("a", conditions=(not_ready("its image differs"), trying))
    host.turns.decide()
    halted = host.store.kept.halted
    assert halted.message == f"it did not become ready in time: {trying.message}"


def test_an_image_that_no_registry_gives_halts_it_at_once(host):
    host.all_wait()
    stalled = replace(
        not_ready("cannot pull image redis:9.0: manifest unknown"),
        type=ConditionType.STALLED,
        status=ConditionStatus.TRUE,
        reason="ImageUnavailable",
    )
    host.later(1)
    host.publish("a", conditions=(not_ready("its image differs"), stalled))
    host.turns.decide()

    assert host.store.kept.halted.message == stalled.message
    assert "RolloutHalted" in {reason for reason, _ in host.events.told}


def test_it_is_said_for_whom_everybody_waits_and_why(host):
    host.use()
    for name in "ac":
        host.publish(name, waits=True)
    host.turns.decide()
    assert host.turns.status().phase == "canary"
    assert host.awaited() == {
        "b": ("NotSeenYet", "nobody has looked at it since the settings changed")
    }
    host.publish("b", conditions=(not_ready("its server does not answer"),))
    assert host.turns.decide()[0] == ()
    assert host.awaited() == {"b": ("OutOfService", "its server does not answer")}
    # Where there is room for it, it holds nobody up.
    host.use(maxUnavailable=2)
    for name in "ac":
        host.publish(name, waits=True)
    host.publish("b", conditions=(not_ready("its server does not answer"),))
    assert host.turns.decide()[0] == ("a",)
    assert host.awaited() == {}
    # If it has yet to take them itself, it gets no turn before it is well.
    host.publish("b", waits=True, conditions=(not_ready("its server does not answer"),))
    assert host.awaited() == {"b": ("OutOfService", "its server does not answer")}


def test_nobody_is_waited_for_once_it_is_over_or_halted(host):
    for name in "abc":
        host.publish(name)
    host.turns.decide()
    host.publish("b", conditions=(not_ready("its server does not answer"),))
    assert host.awaited() == {}
    host.all_wait()
    host.later(700)
    host.turns.decide()
    host.publish("b", conditions=(not_ready("its server does not answer"),))
    assert host.turns.status().phase == "halted"
    assert host.awaited() == {}


def test_a_decision_that_cannot_be_kept_is_none(host):
    host.store.refuses = True
    assert host.all_wait()[0] == ()
    assert host.turns.turn_of("a") is Turn.ANOTHERS
    assert host.events.told == []
    host.store.refuses = False
    assert host.turns.decide()[0] == ("a",)


def test_the_next_daemon_goes_on_where_the_last_one_was(host):
    host.all_wait()
    host.start()
    assert host.turns.turn_of("a") is Turn.ITS_OWN
    assert host.turns.decide()[0] == ()
    assert host.events.told == [("RolloutTurn", "a")]


def test_a_file_that_cannot_be_read_stops_everybody_and_is_told(host):
    host.store.torn = True
    host.start()
    assert host.all_wait()[0] == ()
    assert host.turns.turn_of("a") is Turn.NOBODYS
    assert host.turns.problem.reason == "RolloutUnreadable"
    host.store.torn = False
    assert host.turns.decide()[0] == ("a",)
    assert host.turns.problem is None


def test_a_failure_halts_it_is_told_once_and_everybody_who_waits_hears_of_it(host):
    host.all_wait()
    host.later(700)
    assert host.turns.decide()[0] == ("a", "b", "c")
    assert host.turns.decide()[0] == ()
    assert host.events.told == [("RolloutTurn", "a"), ("RolloutHalted", None)]
    assert "rollout.resumedAt" in host.turns.problem.message
    assert host.turns.turn_of("b") is Turn.NOBODYS
    assert host.turns.status().phase == "halted"
    assert host.all_wait("redis:9.0", resumedAt="2026-01-01T00:00:00Z")[0] == ("a",)
    assert host.turns.problem is None


def test_new_settings_end_all_turns_of_the_old_ones_at_once(host):
    host.all_wait()
    host.turns.use_settings(settings_of("redis:10.0"))
    assert host.turns.turn_of("a") is Turn.ANOTHERS


def test_settings_that_do_not_concern_restarts_change_nothing(host):
    host.all_wait()
    host.turns.use_settings(settings_of("redis:9.0", settle="20s"))
    assert host.turns.turn_of("a") is Turn.ITS_OWN


def test_only_who_waits_or_goes_concerns_it(host):
    host.all_wait()
    waits, other = host.fleet.read("b"), replace(host.fleet.read("c"), waiting=None)
    assert host.turns.concern(waits)
    assert host.turns.concern(replace(host.fleet.read("a"), waiting=None))
    assert not host.turns.concern(other)
