from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.apply.outcome import Done, Failed, Stalled, Waiting
from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import Liveness, Role, Unknown, Unreachable
from cachepilot.plan.actions import Blocked, Plan, PurgeMemory, StartContainer
from cachepilot.plan.holding import Turn
from cachepilot.plan.planner import plan_tenant
from cachepilot.spec.document import AccessMode, State
from cachepilot.spec.maintenance import Window
from cachepilot.spec.problem import Problem
from cachepilot.spec.reading import Presence
from cachepilot.spec.rules import DriftMode, Rules
from cachepilot.status.conditions import ConditionStatus, ConditionType, Endpoint
from tests.builders import document, tenant
from tests.fakes.scenes import RULES, look, settled
from tests.status.test_facts import SEEN, SPEC, down, met, reading, status, values

C = ConditionType
T, F, U = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
PURGE = PurgeMemory(tenant_name=SPEC.name, cause="why", instance=1)
START = StartContainer(tenant_name=SPEC.name, cause="it died", role=Role.SERVER, instance=1)
PROBLEM = Problem(
    file="acme.yaml", line=3, column=5, where="spec.memory", message="expected a size", hint=""
)
BLOCKED = Blocked(reason="PortInUse", message="port 7401 is in use")
FAILED = Failed(action=PURGE, message="cannot reach Docker")
STALLED = Stalled(action=PURGE, reason="ImageUnavailable", message="no such image")
WAITING = Waiting(action=PURGE, message="still loading", retry_after=timedelta(seconds=1))
DEAD = down(liveness=Liveness.EXITED)
NEW = replace(
    SEEN,
    containers=(),
    server=None,
    endpoints=(),
    memory=replace(SEEN.memory, data_ready=False),
)
RESTING = {"spec": replace(SPEC, state=State.STOPPED)}
ENDED = {"spec": replace(SPEC, state=State.DELETED)}


@pytest.mark.parametrize(
    ("word", "visit"),
    [
        ("Ready", {}),
        ("Ready", {"outcomes": (Done(action=PURGE),)}),
        ("Invalid", {"reading": reading(problems=(PROBLEM,), spec=None, document=None)}),
        ("Invalid", {"spec": None, "seen": None}),
        (
            "Invalid",
            {"spec": replace(SPEC, paused=True), "reading": reading(problems=(PROBLEM,))},
        ),
        ("Paused", {"spec": replace(SPEC, paused=True), "seen": DEAD}),
        ("Paused", {"spec": replace(SPEC, paused=True, state=State.STOPPED)}),
        ("Stopped", {**RESTING, "seen": DEAD}),
        ("Stopping", {**RESTING, "plan": Plan((PURGE,))}),
        ("Stopping", {**RESTING, "seen": None, "trouble": "cannot look"}),
        ("Stalled", {**RESTING, "plan": Plan((PURGE,)), "outcomes": (STALLED,)}),
        ("Deleted", {**ENDED, "seen": replace(DEAD, containers=())}),
        ("Stopping", {**ENDED, "plan": Plan((PURGE,))}),
        ("Stalled", {"plan": Plan((), BLOCKED)}),
        ("Stalled", {"outcomes": (STALLED,), "seen": DEAD}),
        ("Starting", {"seen": NEW, "plan": Plan((PURGE,))}),
        ("Starting", {"seen": replace(DEAD, containers=())}),
        ("Progressing", {"seen": DEAD, "plan": Plan((START,))}),
        ("Progressing", {"seen": DEAD, "outcomes": (FAILED,)}),
        ("Progressing", {"seen": DEAD, "outcomes": (WAITING,)}),
        ("Progressing", {"plan": Plan((START,)), "acting": True}),
        ("Progressing", {"seen": None, "trouble": "cannot finish the visit"}),
        ("Starting", {"seen": None, "trouble": "cannot look", "memory": Memory()}),
        ("NotReady", {"seen": met(plain=None)}),
        ("NotReady", {"seen": replace(SEEN, server=Unreachable("no answer"))}),
        ("Unknown", {"seen": replace(SEEN, server=Unreachable("full", saturated=True))}),
    ],
)
def test_one_word_says_what_an_operator_must_know_first(word, visit):
    assert status(**visit).word == word


def test_a_tenant_of_a_silent_engine_is_not_called_starting():
    seen = replace(SEEN, containers=Unknown("cannot reach Docker"), endpoints=())
    blocked = Blocked(reason="EngineUnavailable", message="cannot reach Docker")

    assert status(seen=seen, plan=Plan((), blocked)).word == "Stalled"


@pytest.mark.parametrize(
    ("visit", "kind", "reason"),
    [
        ({"reading": reading(problems=(PROBLEM,))}, C.STALLED, "SpecInvalid"),
        ({"outcomes": (STALLED,)}, C.STALLED, "ImageUnavailable"),
        ({"plan": Plan((), BLOCKED)}, C.STALLED, "PortInUse"),
        ({"plan": Plan((), BLOCKED), "outcomes": (FAILED,)}, C.STALLED, "PortInUse"),
        ({"outcomes": (FAILED,)}, C.RECONCILING, "Retrying"),
        ({"outcomes": (WAITING,)}, C.RECONCILING, "Waiting"),
        ({"seen": None, "trouble": "cannot look"}, C.RECONCILING, "Retrying"),
        ({"plan": Plan((PURGE,))}, C.RECONCILING, "Progressing"),
        ({"plan": Plan((START,)), "acting": True}, C.RECONCILING, "Progressing"),
    ],
)
def test_at_most_one_of_reconciling_and_stalled_is_listed(visit, kind, reason):
    found = status(**visit)

    listed = [one for one in found.conditions if one.type in (C.RECONCILING, C.STALLED)]
    assert [(one.type, one.status, one.reason) for one in listed] == [(kind, T, reason)]


def test_neither_is_listed_when_nothing_is_left_to_do():
    assert (
        values(status(outcomes=(Done(action=PURGE),)))
        .keys()
        .isdisjoint({C.RECONCILING, C.STALLED})
    )


def test_an_outage_that_is_about_to_happen_is_said_before_it_does():
    found = status(plan=Plan((PURGE, START)), acting=True)

    assert found.condition(C.READY).status is F
    assert found.condition(C.READY).reason == "Interrupted"
    assert "it died" in found.condition(C.READY).message


def test_conditions_are_listed_in_one_order():
    found = [one.type for one in status(outcomes=(FAILED,)).conditions]

    assert found == sorted(found, key=list(C).index)


# Time -------------------------------------------------------------------------------------------


def test_a_condition_keeps_its_time_until_its_status_turns():
    born = SEEN.at
    first = status(now=born)
    same = status(previous=first, now=born + timedelta(hours=1))
    turned = status(seen=DEAD, previous=same, now=born + timedelta(hours=2))
    worded = status(
        seen=replace(DEAD, containers=()), previous=turned, now=born + timedelta(hours=3)
    )

    times = [one.condition(C.READY).last_transition_time for one in (first, same, turned, worded)]
    assert times == [born, born, born + timedelta(hours=2), born + timedelta(hours=2)]
    assert turned.condition(C.READY).reason != worded.condition(C.READY).reason
    assert turned.condition(C.SPEC_VALID).last_transition_time == born


def test_a_condition_that_was_not_listed_before_begins_now():
    later = SEEN.at + timedelta(hours=1)

    found = status(previous=status(), outcomes=(FAILED,), now=later)

    assert found.condition(C.RECONCILING).last_transition_time == later


# Generations ------------------------------------------------------------------------------------

FRESH = replace(SEEN.memory, generation=2, document_digest="d2")
OLD = replace(SEEN.memory, generation=1, document_digest="d1")


def test_the_observed_digest_is_that_of_the_document_which_was_acted_upon():
    found = status(seen=replace(SEEN, memory=FRESH), reading=reading(digest="d2"))

    assert (found.generation, found.observed_generation, found.observed_digest) == (2, 2, "d2")


def test_a_document_that_nobody_could_act_upon_is_not_observed_and_never_ready():
    earlier = status(seen=replace(SEEN, memory=OLD))

    found = status(
        seen=None,
        memory=FRESH,
        previous=earlier,
        trouble="cannot read the record",
        reading=reading(digest="d2"),
    )

    assert (found.generation, found.observed_generation, found.observed_digest) == (2, 1, "d1")
    assert found.condition(C.READY).status is U


def test_an_invalid_text_leaves_the_digest_of_the_last_good_one():
    found = status(
        seen=replace(SEEN, memory=OLD),
        reading=reading(problems=(PROBLEM,), digest="d2", spec=None, document=None),
    )

    assert found.observed_digest == "d1"
    assert found.condition(C.SPEC_VALID).status is F
    assert found.condition(C.READY).status is T, "the last good document goes on being served"
    assert found.problems == (str(PROBLEM),)


def test_nothing_is_observed_of_a_tenant_that_was_never_valid():
    found = status(
        spec=None,
        seen=None,
        memory=Memory(),
        reading=reading(problems=(PROBLEM, PROBLEM), spec=None, document=None, digest="d9"),
    )

    assert (found.generation, found.observed_generation, found.observed_digest) == (0, 0, "")
    assert values(found) == {C.READY: F, C.STALLED: T, C.SPEC_VALID: F}
    assert "and 1 more" in found.condition(C.SPEC_VALID).message


@pytest.mark.parametrize(
    ("presence", "value", "reason"),
    [
        (Presence.PRESENT, T, "Valid"),
        (Presence.ABSENT, F, "Missing"),
        (Presence.UNKNOWN, U, "FolderUnreadable"),
    ],
)
def test_a_file_that_is_gone_or_cannot_be_looked_for_is_said_so(presence, value, reason):
    found = status(reading=reading(presence=presence)).condition(C.SPEC_VALID)

    assert (found.status, found.reason) == (value, reason)


# The rest ---------------------------------------------------------------------------------------


def test_a_serving_tenant_has_only_the_conditions_that_apply():
    spec = tenant(access=AccessMode.PLAIN_ONLY)

    found = status(spec=spec, seen=None, trouble="cannot look")

    assert C.CERTIFICATE_SERVED not in values(found)


@pytest.mark.parametrize("state", [State.STOPPED, State.DELETED])
def test_a_resting_tenant_that_nobody_could_look_at_has_only_the_conditions_that_apply(state):
    found = status(spec=replace(SPEC, state=state), seen=None, trouble="cannot look")

    assert values(found).keys() == {C.READY, C.RECONCILING, C.SPEC_VALID, C.CONTAINER_CURRENT}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [("tls", "127.0.0.1"), ("plain", "127.0.0.1")]),
        ({"access": AccessMode.PLAIN_ONLY}, [("plain", "127.0.0.1")]),
        (
            {"bind": ("127.0.0.1", "192.0.2.1"), "access": AccessMode.PLAIN_ONLY},
            [("plain", "127.0.0.1"), ("plain", "192.0.2.1")],
        ),
        (
            {
                "bind": ("0.0.0.0",),
                "names": ("cache.example.net", "localhost"),
                "access": AccessMode.PLAIN_ONLY,
            },
            [("plain", "cache.example.net")],
        ),
        (
            {"bind": ("0.0.0.0",), "names": ("localhost",), "access": AccessMode.PLAIN_ONLY},
            [("plain", "127.0.0.1")],
        ),
        ({"state": State.DELETED}, []),
        ({"state": State.STOPPED}, [("tls", "127.0.0.1"), ("plain", "127.0.0.1")]),
    ],
)
def test_endpoints_are_where_clients_connect(fields, expected):
    held = SEEN.memory.reservation
    ports = {"tls": held.tls_port, "plain": held.plain_port}

    found = status(spec=replace(SPEC, **fields), seen=replace(SEEN, containers=()))

    assert found.endpoints == tuple(
        Endpoint(listener=listener, host=host, port=ports[listener]) for listener, host in expected
    )


def test_a_port_that_is_not_reserved_is_no_endpoint():
    held = replace(SEEN.memory.reservation, plain_port=None)
    memory = replace(SEEN.memory, reservation=held)

    found = status(seen=replace(SEEN, memory=memory, containers=()))

    assert [at.listener for at in found.endpoints] == ["tls"]
    assert status(seen=None, memory=Memory()).endpoints == ()


def test_the_first_address_of_the_author_is_the_first_that_clients_are_told():
    spec = replace(SPEC, bind=("192.0.2.1", "127.0.0.1"), access=AccessMode.TLS_ONLY)

    found = status(spec=spec, seen=replace(SEEN, containers=()))

    assert [at.host for at in found.endpoints] == ["192.0.2.1", "127.0.0.1"]


def test_clients_are_told_where_a_server_runs_and_not_where_it_was_wished_to_run():
    (container,) = SEEN.containers
    here = tuple((at.address, at.host_port) for at in container.shape.published)
    spec = replace(SPEC, bind=("10.9.9.9",), tls_port=7399)

    running = status(spec=spec).endpoints
    resting = replace(SEEN, containers=(replace(container, liveness=Liveness.EXITED),))

    assert sorted((at.host, at.port) for at in running) == sorted(here)
    assert {at.host for at in status(spec=spec, seen=resting).endpoints} == {"10.9.9.9"}


def test_labels_come_from_the_newest_document_or_else_from_before():
    labelled = document(metadata={"labels": {"b": "2", "a": "1"}, "annotations": {"note": "x"}})
    first = status(reading=reading(document=labelled))
    kept = status(reading=reading(document=None, problems=(PROBLEM,)), previous=first)

    assert first.labels == kept.labels == (("a", "1"), ("b", "2"))
    assert first.annotations == kept.annotations == (("note", "x"),)
    assert status(reading=reading(document=None)).labels == ()


def test_what_is_still_to_be_done_is_published_in_words():
    found = status(plan=Plan((PURGE,)))

    assert found.plan == ("PurgeMemory acme: why",)
    assert (found.settings_digest, found.source, found.snapshot) == ("s1", "acme.yaml", SEEN)


def test_the_source_is_remembered_when_the_file_is_gone():
    memory = replace(SEEN.memory, source="old.yaml")

    found = status(seen=replace(SEEN, memory=memory), reading=reading(source=""))

    assert found.source == "old.yaml"


def test_a_condition_that_does_not_apply_is_none():
    assert status().condition(C.STALLED) is None


def test_a_settled_world_is_ready_whatever_it_serves():
    for access in AccessMode:
        spec = tenant(access=access)
        assert status(spec=spec, seen=look(settled(spec), spec)).word == "Ready"


WAITS = "image changed: waits for the maintenance window that opens 2026-01-04 03:00Z"


def test_what_waits_for_its_turn_is_not_served_as_the_spec_says():
    world = settled(SPEC)
    world.images.add("valkey:8.1")
    wanted = replace(SPEC, image="valkey:8.1", inherited=frozenset({"image"}))
    seen = look(world, wanted)
    plan = plan_tenant(wanted, seen, RULES, seen.at, turn=Turn.ANOTHERS)

    ready = status(spec=wanted, seen=seen, plan=plan).condition(C.READY)

    assert ready.status is T
    assert ready.message.startswith("clients are served, but not all as the spec says: ")
    assert "its turn in the rollout" in ready.message


def test_what_was_changed_by_hand_and_is_left_alone_is_told_with_ready():
    observes = Rules(drift=DriftMode.OBSERVE)
    world = settled(SPEC, rules=observes)
    world.servers[SPEC.name].directives["hz"] = "7"
    seen = look(world, SPEC)

    ready = status(seen=seen, rules=observes).condition(C.READY)

    assert ready.status is T
    assert ready.message.startswith("clients are served, but not all as the spec says: ")
    assert "hz is" in ready.message


def test_what_waits_for_a_window_is_said_and_no_failure():
    window = Window(cron="0 3 * * 0", duration=timedelta(hours=2), time_zone="UTC")
    world = settled(SPEC)
    world.images.add("valkey:8.1")
    wanted = replace(SPEC, image="valkey:8.1", access=AccessMode.TLS_ONLY, window=window)
    seen = look(world, wanted)
    found = status(spec=wanted, seen=seen, plan=plan_tenant(wanted, seen, RULES, seen.at))

    assert found.word == "Ready"
    ready = found.condition(C.READY)
    assert (ready.status, ready.reason) == (T, "Serving")
    assert ready.message == f"clients are served, but not all as the spec says: {WAITS}"
    assert found.condition(C.CONTAINER_CURRENT).reason == "Waiting"
    told = found.condition(C.RECONCILING)
    assert (told.status, told.reason) == (T, "WaitingForWindow")
    assert told.message == found.waiting.message
    assert "image changed" in told.message
    assert found.waiting.until.isoformat() == "2026-01-04T03:00:00+00:00"
    assert any("StopContainer" in line for line in found.waiting.plan)
    # What clients can reach now, and what is wanted in the end.
    assert {each.listener for each in found.endpoints} == {"tls", "plain"}
    assert found.spec == wanted
