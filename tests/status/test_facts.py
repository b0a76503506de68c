"""Every condition needs evidence: change one observation, and exactly its condition turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cachepilot.apply.outcome import Done
from cachepilot.observe.snapshot import (
    Engine,
    Liveness,
    Role,
    SeenPasswordFile,
    SeenServer,
    Unknown,
    Unreachable,
)
from cachepilot.plan.actions import Plan, StartContainer
from cachepilot.plan.live import shrink_fits
from cachepilot.spec.document import AccessMode, PersistenceMode, State
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.rules import Rules
from cachepilot.status.conditions import ConditionStatus, ConditionType
from cachepilot.status.summarize import Visit, summarize
from tests.builders import document, tenant
from tests.fakes.scenes import look, settled

NOTHING = Plan()
T, F, U = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
C = ConditionType
SPEC = tenant(access=AccessMode.DUAL_MODE)
SEEN = look(settled(SPEC), SPEC)
SERVER, (CONTAINER,) = SEEN.server, SEEN.containers
assert isinstance(SERVER, SeenServer)
TLS, PLAIN = sorted(SEEN.endpoints, key=lambda at: at.listener, reverse=True)
MIB = 2**20


def reading(**changes):
    fields = {
        "tenant_name": SPEC.name,
        "presence": Presence.PRESENT,
        "document": document(),
        "spec": SPEC,
        "json": "{}",
        "digest": "d1",
        "source": "acme.yaml",
    }
    return Reading(**(fields | changes))


def status(spec=SPEC, seen=SEEN, plan=NOTHING, outcomes=(), previous=None, now=None, **changes):
    rules = changes.pop("rules", Rules())
    visit = Visit(
        tenant_name=SPEC.name,
        reading=changes.pop("reading", reading()),
        spec=spec,
        memory=changes.pop("memory", seen.memory if seen else SEEN.memory),
        seen=seen,
        plan=plan,
        outcomes=outcomes,
        **changes,
    )
    return summarize(visit, previous, rules=rules, settings_digest="s1", now=now or SEEN.at)


def values(found):
    return {condition.type: condition.status for condition in found.conditions}


def container(**changes):
    return replace(SEEN, containers=(replace(CONTAINER, **changes),))


def down(**changes):
    return replace(container(**changes), server=None, endpoints=())


def directives(**changes):
    fresh = dict(SERVER.directives) | {
        key.replace("_", "-"): value for key, value in changes.items()
    }
    return replace(SEEN, server=replace(SERVER, directives=tuple(fresh.items())))


def users(edit):
    return replace(SEEN, server=replace(SERVER, users=edit(SERVER.users)))


def first(**changes):
    return lambda every: (replace(every[0], **changes), *every[1:])


def leaf(**changes):
    return replace(SEEN, certificate=replace(SEEN.certificate, **changes))


def met(tls=TLS, plain=PLAIN):
    return replace(SEEN, endpoints=tuple(at for at in (tls, plain) if at))


HEALTHY = {
    C.READY: T,
    C.SPEC_VALID: T,
    C.CONTAINER_CURRENT: T,
    C.SERVER_REACHABLE: T,
    C.CONFIG_APPLIED: T,
    C.CREDENTIALS_APPLIED: T,
    C.CERTIFICATE_SERVED: T,
    C.ENDPOINTS_REACHABLE: T,
}
SHAPE = CONTAINER.shape
RESOURCES = CONTAINER.resources
SILENT = {C.CONFIG_APPLIED: U, C.CREDENTIALS_APPLIED: U}
NO_SERVER = {**SILENT, C.SERVER_REACHABLE: F, C.ENDPOINTS_REACHABLE: F, C.CERTIFICATE_SERVED: U}

# (what is seen, which conditions turn beside Ready, the reason of the first that decides)
FLIPS = {
    "another image": (
        container(shape=replace(SHAPE, image="redis:7.0")),
        {C.CONTAINER_CURRENT: F},
        "Drifted",
    ),
    "detached": (
        container(shape=replace(SHAPE, bridge="")),
        {C.CONTAINER_CURRENT: F},
        "Drifted",
    ),
    "privileged": (
        container(shape=replace(SHAPE, security=("privileged",))),
        {C.CONTAINER_CURRENT: F},
        "Drifted",
    ),
    "less processor time": (
        container(resources=replace(RESOURCES, cpu_quota=1000)),
        {C.CONTAINER_CURRENT: F},
        "Drifted",
    ),
    "less memory": (
        container(resources=replace(RESOURCES, memory=1, swap=1)),
        {C.CONTAINER_CURRENT: F},
        "Drifted",
    ),
    "no reservation": (
        replace(SEEN, memory=replace(SEEN.memory, reservation=None)),
        {C.CONTAINER_CURRENT: F},
        "NothingReserved",
    ),
    "no container": (
        replace(SEEN, containers=(), server=None, endpoints=()),
        {**NO_SERVER, C.CONTAINER_CURRENT: F},
        "NoContainer",
    ),
    "exited": (
        down(liveness=Liveness.EXITED),
        {**NO_SERVER, C.CONTAINER_CURRENT: F},
        "ContainerExited",
    ),
    "frozen": (
        down(liveness=Liveness.PAUSED),
        {**NO_SERVER, C.CONTAINER_CURRENT: F},
        "ContainerPaused",
    ),
    "crash loop": (
        down(liveness=Liveness.RESTARTING),
        {**NO_SERVER, C.CONTAINER_CURRENT: F},
        "ContainerRestarting",
    ),
    "silent server": (
        replace(SEEN, server=Unreachable("its management socket is missing")),
        {**SILENT, C.SERVER_REACHABLE: F},
        "NoAnswer",
    ),
    "loading": (
        replace(SEEN, server=replace(SERVER, loading=True)),
        {**SILENT, C.SERVER_REACHABLE: F},
        "Loading",
    ),
    "full server": (
        replace(SEEN, server=Unreachable("max number of clients", saturated=True)),
        SILENT,
        "NoAnswer",
    ),
    "another engine": (
        replace(SEEN, server=replace(SERVER, engine=Engine.VALKEY)),
        {C.SERVER_REACHABLE: F},
        "EngineMismatch",
    ),
    "another directive": (directives(maxmemory="1"), {C.CONFIG_APPLIED: F}, "Differs"),
    "a directive it does not know": (
        replace(SEEN, server=replace(SERVER, directives=SERVER.directives[1:])),
        {C.CONFIG_APPLIED: F},
        "Differs",
    ),
    "another mode on disk": (
        replace(
            directives(appendonly="yes"),
            memory=replace(SEEN.memory, persistence=PersistenceMode.AOF),
        ),
        {C.CONFIG_APPLIED: F},
        "PersistenceChanging",
    ),
    "another password": (
        users(first(passwords=("unknown",))),
        {C.CREDENTIALS_APPLIED: F},
        "Differs",
    ),
    "a stranger": (
        users(lambda every: (*every, replace(every[0], name="mallory"))),
        {C.CREDENTIALS_APPLIED: F},
        "Differs",
    ),
    "a user less": (users(lambda every: every[1:]), {C.CREDENTIALS_APPLIED: F}, "Differs"),
    "no leaf": (replace(SEEN, certificate=None), {C.CERTIFICATE_SERVED: F}, "NotIssued"),
    "a torn leaf": (leaf(problem="torn"), {C.CERTIFICATE_SERVED: F}, "Unusable"),
    "other names": (leaf(names=("other",)), {C.CERTIFICATE_SERVED: F}, "NamesDiffer"),
    "another leaf served": (
        met(tls=replace(TLS, fingerprint="other")),
        {C.CERTIFICATE_SERVED: F},
        "OtherServed",
    ),
    "no handshake": (
        met(tls=replace(TLS, fingerprint="", problem="refused")),
        {C.CERTIFICATE_SERVED: F, C.ENDPOINTS_REACHABLE: F},
        "HandshakeFailed",
    ),
    "no login by tls": (
        met(tls=replace(TLS, problem="it answers: WRONGPASS")),
        {C.ENDPOINTS_REACHABLE: F},
        "NoEntry",
    ),
    "no login in the clear": (
        met(plain=replace(PLAIN, problem="connection refused")),
        {C.ENDPOINTS_REACHABLE: F},
        "NoEntry",
    ),
    "a port less": (met(plain=None), {C.ENDPOINTS_REACHABLE: F}, "WrongListeners"),
    "nothing dialled": (
        met(tls=None, plain=None),
        {C.ENDPOINTS_REACHABLE: F, C.CERTIFICATE_SERVED: U},
        "WrongListeners",
    ),
    "engine silent, server well": (
        replace(SEEN, containers=Unknown("cannot reach Docker"), endpoints=()),
        {C.CONTAINER_CURRENT: U, C.CERTIFICATE_SERVED: U, C.ENDPOINTS_REACHABLE: U},
        "EngineUnavailable",
    ),
    "engine silent, server silent": (
        replace(
            SEEN,
            containers=Unknown("cannot reach Docker"),
            server=Unreachable("no answer"),
            endpoints=(),
        ),
        {
            **SILENT,
            C.CONTAINER_CURRENT: U,
            C.SERVER_REACHABLE: U,
            C.CERTIFICATE_SERVED: U,
            C.ENDPOINTS_REACHABLE: U,
        },
        "EngineUnavailable",
    ),
}


def test_a_tenant_that_serves_as_it_should_is_ready_in_every_respect():
    assert values(status()) == HEALTHY
    assert status().word == "Ready"


@pytest.mark.parametrize("name", FLIPS)
def test_one_observation_turns_exactly_its_conditions_and_ready(name):
    seen, turned, reason = FLIPS[name]

    found = status(seen=seen)

    ready = F if F in turned.values() else U
    assert values(found) == HEALTHY | turned | {C.READY: ready}
    condition = found.condition(C.READY)
    assert condition.reason == reason
    assert condition.message
    assert found.word != "Ready"


def test_a_pinned_port_that_cannot_be_had_is_not_served_as_the_spec_says():
    """The server goes on where it was, and everything about it is in order but the place."""
    held = SEEN.memory.reservation
    found = status(spec=replace(SPEC, tls_port=held.tls_port + 1, plain_port=held.plain_port))

    condition = found.condition(C.ENDPOINTS_REACHABLE)
    assert values(found) == {**HEALTHY, C.ENDPOINTS_REACHABLE: F, C.READY: F}
    assert condition.reason == "OtherPort"
    assert condition.message == f"tls is on port {held.tls_port}, wanted {held.tls_port + 1}"


UNREADABLE = replace(
    SEEN.files,
    passwords=(
        SeenPasswordFile(user="default", revision=None, problem="cannot read /p: no such file"),
    ),
)


def test_a_password_file_that_was_never_read_is_not_applied():
    found = status(spec=replace(SPEC, password_file="/p"), seen=replace(SEEN, files=UNREADABLE))
    condition = found.condition(C.CREDENTIALS_APPLIED)
    assert values(found) == {**HEALTHY, C.CREDENTIALS_APPLIED: F, C.READY: F}
    assert condition.reason == "NotAdopted"
    assert "cannot read /p: no such file" in condition.message


def test_a_password_file_that_became_unreadable_leaves_what_was_read_from_it():
    credentials = tuple(
        replace(each, from_file=each.user == "default") for each in SEEN.memory.credentials
    )
    seen = replace(
        SEEN,
        memory=replace(SEEN.memory, credentials=credentials),
        files=UNREADABLE,
    )

    assert values(status(spec=replace(SPEC, password_file="/p"), seen=seen)) == HEALTHY


def test_a_limit_that_cannot_shrink_yet_does_not_keep_a_tenant_from_being_ready():
    large = replace(RESOURCES, memory=2 * RESOURCES.memory, swap=2 * RESOURCES.memory)
    swollen = replace(SERVER, resident_memory=RESOURCES.memory + MIB)

    found = status(seen=replace(container(resources=large), server=swollen))

    assert values(found) == HEALTHY
    assert found.condition(C.CONTAINER_CURRENT).reason == "LimitShrinkDeferred"


@pytest.mark.parametrize(("mode", "fits"), [("none", True), ("rdb", False), ("aof", False)])
def test_a_limit_has_to_leave_room_for_the_copy_that_a_fork_makes(mode, fits):
    spec = replace(SPEC, memory_limit=100 * MIB, persistence=PersistenceMode(mode))
    server = replace(SERVER, resident_memory=70 * MIB, used_memory=65 * MIB)

    assert shrink_fits(spec, server, Rules()) is fits
    assert shrink_fits(spec, replace(server, used_memory=MIB), Rules())
    assert not shrink_fits(spec, replace(server, resident_memory=101 * MIB), Rules())


def test_a_limit_that_could_shrink_but_did_not_has_drifted():
    large = replace(RESOURCES, memory=2 * RESOURCES.memory, swap=2 * RESOURCES.memory)

    found = status(seen=container(resources=large))

    assert found.condition(C.CONTAINER_CURRENT).reason == "Drifted"


def test_the_words_of_a_container_that_died_are_passed_on():
    seen = down(
        liveness=Liveness.EXITED, oom_killed=True, last_words="Can't open the log", exit_code=1
    )

    message = status(seen=seen).condition(C.CONTAINER_CURRENT).message

    assert "out of memory" in message
    assert "Can't open the log" in message


def test_certificates_say_nothing_about_a_tenant_without_encryption():
    spec = tenant(access=AccessMode.PLAIN_ONLY)
    found = status(spec=spec, seen=look(settled(spec), spec), reading=reading(spec=spec))

    assert values(found) == {kind: T for kind in HEALTHY if kind is not C.CERTIFICATE_SERVED}


@pytest.mark.parametrize(
    ("seen", "value", "reason"),
    [
        (down(liveness=Liveness.EXITED), T, "NotRunning"),
        (down(liveness=Liveness.CREATED), T, "NotRunning"),
        (replace(SEEN, containers=(), server=None, endpoints=()), T, "NotRunning"),
        (SEEN, F, "StillRunning"),
        (down(liveness=Liveness.PAUSED), F, "StillRunning"),
        (replace(SEEN, containers=Unknown("cannot reach Docker")), U, "EngineUnavailable"),
    ],
)
def test_of_a_tenant_that_should_rest_only_the_rest_is_judged(seen, value, reason):
    spec = replace(SPEC, state=State.STOPPED)

    found = status(spec=spec, seen=seen, outcomes=())

    assert values(found) == {C.READY: F, C.SPEC_VALID: T, C.CONTAINER_CURRENT: value}
    assert found.condition(C.CONTAINER_CURRENT).reason == reason


def test_having_done_something_is_no_evidence():
    action = StartContainer(tenant_name=SPEC.name, cause="x", role=Role.SERVER, instance=1)

    found = status(seen=down(liveness=Liveness.EXITED), outcomes=(Done(action=action),))

    assert found.condition(C.READY).status is F
