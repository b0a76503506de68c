"""Each action is exactly one call, and each way a call can end is one outcome."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest

from cachepilot.apply.executor import perform, perform_all
from cachepilot.apply.outcome import Done, Failed, Stalled, Waiting
from cachepilot.apply.ports import Writers
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import HandOver, HandOverPhase, Reservation
from cachepilot.observe.replacement import Kept, Replacement
from cachepilot.observe.snapshot import Engine, Role
from cachepilot.observe.user_memory import KeptRules
from cachepilot.plan import actions as a
from cachepilot.plan.shape import wanted_workload
from cachepilot.plan.users import wanted_users
from cachepilot.spec.document import AccessMode, PersistenceMode
from tests.builders import tenant
from tests.fakes.scenes import settled
from tests.fakes.world import NOON

RESERVATION = Reservation(tls_port=1, plain_port=2, uid=3, bridge=0)
WORKLOAD = wanted_workload(tenant(), RESERVATION, instance=1)
REPLACEMENT = Replacement(
    cause="image changed",
    target="t1",
    wish=None,
    former=1,
    instance=2,
    kept=Kept(
        image="redis:7.0",
        image_id="sha256:abc",
        access=AccessMode.TLS_ONLY,
        bind=("127.0.0.1",),
        tls_port=1,
        plain_port=None,
        memory=2**20,
    ),
    begun=NOON,
)
USERS = wanted_users(tenant(), settled().memory("acme"), NOON)
VALUES = {
    "append_only": True,
    "data_format": 11,
    "dump": False,
    "engine": Engine.VALKEY,
    "image_id": "sha256:abc",
    "message": "it crashes",
    "now": NOON,
    "reason": "UpgradeFailed",
    "replacement": REPLACEMENT,
    "at": NOON,
    "bridge": "cachepilot-0",
    "buffer": 2**20,
    "client": "app",
    "clients": True,
    "container_id": "c1",
    "digest": "v1-x",
    "directives": (("maxclients", "9"),),
    "document": "{}",
    "encrypted": True,
    "expected": True,
    "fingerprint": "f1",
    "generation": 4,
    "hand_over": HandOver(
        phase=HandOverPhase.CLOSING, instance=2, former=1, since=NOON, generation=4, wish=None
    ),
    "image": "redis:8.0",
    "instance": 7,
    "keep": 5,
    "kills": False,
    "leader": 8,
    "lifetime": timedelta(days=3),
    "listeners": (("port", "6379"),),
    "mode": PersistenceMode.AOF,
    "names": ("a", "b"),
    "patience": timedelta(seconds=9),
    "passwords": (1, 2),
    "path": "/passwords/acme",
    "pause": timedelta(minutes=1),
    "pending": True,
    "port": 6379,
    "reservation": RESERVATION,
    "resources": WORKLOAD.resources,
    "revision": 6,
    "saved": True,
    "revisions": (1, 3),
    "role": Role.SERVER,
    "rules": (KeptRules(user="app", keys=("a*",), channels=(), commands=("+get",)),),
    "source": "acme.yaml",
    "subnet": "10.0.0.0/24",
    "successor": 9,
    "text": "maxmemory 1\n",
    "timeout": timedelta(seconds=8),
    "uid": 3,
    "wait": (4, NOON),
    "user": "default",
    "users": USERS,
    "wish": "2026-01-01T00:00:00Z",
    "workload": WORKLOAD,
}
KINDS = [kind for chapter in get_args(a.Action) for kind in (get_args(chapter) or (chapter,))]


def make(kind, **changes):
    names = [field.name for field in dataclasses.fields(kind)]
    values = {**VALUES, "tenant_name": "acme", "cause": "why", **changes}
    if kind in (a.SetUser, a.RestrictUser):
        values["user"] = USERS[0]
    if kind in get_args(a.TrialAction):
        values["users"] = (
            a.TriedUser(name="app", place="spec.auth.users[0]", rules="r1", line=USERS[0]),
        )
    return kind(**{name: values[name] for name in names})


class Recorder:
    """Write ports that note what they are told, and may refuse."""

    def __init__(self, error=None):
        self.calls, self.error = [], error
        ports = (field.name for field in dataclasses.fields(Writers))
        self.writers = SimpleNamespace(**{port: _Port(self, port) for port in ports})


class _Port:
    def __init__(self, recorder, name):
        self._recorder, self._name = recorder, name

    def __getattr__(self, verb):
        def call(*arguments, **more):
            self._recorder.calls.append((self._name, verb, arguments, more))
            if self._recorder.error:
                raise self._recorder.error

        return call


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_action_is_exactly_one_call_that_hands_on_what_it_holds(kind):
    recorder, action = Recorder(), make(kind)

    outcome = perform(action, recorder.writers, now=NOON)

    assert outcome == Done(action=action)
    ((_, _, arguments, more),) = recorder.calls
    fields = {
        field.name: getattr(action, field.name)
        for field in dataclasses.fields(action)
        if field.name not in {"cause", "tenant_name"}
    }
    told = {repr(value) for value in (*arguments, *more.values())}
    assert {repr(value) for value in fields.values()} <= told
    for name, value in more.items():
        assert name == "now" or fields[name] == value


def test_no_two_actions_are_the_same_call_but_those_that_differ_in_what_they_risk():
    verbs = []
    for kind in KINDS:
        recorder = Recorder()
        perform(make(kind), recorder.writers, now=NOON)
        verbs += [call[:2] for call in recorder.calls]

    for verb in ("stop", "stop", "remove"):
        verbs.remove(("containers", verb))
    verbs.remove(("server", "set_user"))
    assert len(set(verbs)) == len(verbs)


def test_every_verb_of_the_write_ports_belongs_to_an_action():
    verbs = set()
    for kind in KINDS:
        recorder = Recorder()
        perform(make(kind), recorder.writers, now=NOON)
        verbs |= {call[:2] for call in recorder.calls}

    offered = {
        (port, verb)
        for port, protocol in get_type_hints(Writers).items()
        for part in protocol.__mro__
        for verb in vars(part)
        if not verb.startswith("_")
    }
    assert verbs == offered


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (
            WaitingError("later", retry_after=timedelta(seconds=4)),
            lambda action: Waiting(
                action=action, message="later", retry_after=timedelta(seconds=4)
            ),
        ),
        (
            StalledError("never", reason="PortInUse"),
            lambda action: Stalled(action=action, reason="PortInUse", message="never"),
        ),
        (UnavailableError("gone"), lambda action: Failed(action=action, message="gone")),
    ],
)
def test_each_error_is_what_the_loop_must_do_next(error, outcome):
    action = make(a.PurgeMemory)

    assert perform(action, Recorder(error).writers, now=NOON) == outcome(action)


class Onlooker:
    def __init__(self):
        self.told = []

    def before(self, action):
        self.told.append(("before", action))

    def after(self, outcome):
        self.told.append(("after", outcome.action))


def test_actions_are_carried_out_in_order_until_one_is_not_done():
    first, second, third = make(a.PurgeMemory), make(a.StartContainer), make(a.SetUser)
    recorder, onlooker = Recorder(), Onlooker()

    class Fragile(_Port):
        def start(self, *_arguments, **_more):
            raise UnavailableError("gone")

    recorder.writers.containers = Fragile(recorder, "containers")

    outcomes = perform_all((first, second, third), recorder.writers, now=NOON, onlooker=onlooker)

    assert [type(outcome) for outcome in outcomes] == [Done, Failed]
    assert onlooker.told == [
        ("before", first),
        ("after", first),
        ("before", second),
        ("after", second),
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_action_describes_itself_in_one_line(kind):
    text = a.describe(make(kind))

    assert text.startswith(f"{kind.__name__} acme")
    assert ": why" in text
    assert "\n" not in text


def test_a_document_is_described_by_its_generation_and_not_by_its_text():
    found = a.describe(make(a.RememberDocument, document="spec: {secret: pa55word}"))

    assert "generation 4" in found
    assert "pa55word" not in found
