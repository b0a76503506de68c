"""Whole visits over the world in memory: what is remembered, done, published, asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.apply.outcome import Done, Failed, Stalled
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.snapshot import Liveness
from cachepilot.reconcile import Requeue, Terms, World, reconcile
from cachepilot.spec.digest import canonical_json, fingerprint
from cachepilot.spec.problem import Problem
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.status.conditions import ConditionStatus, ConditionType
from tests.builders import document, written
from tests.fakes.readers import readers_of
from tests.fakes.world import FakeWorld
from tests.fakes.writers import writers_of

C, T, F = ConditionType, ConditionStatus.TRUE, ConditionStatus.FALSE
PROBLEM = Problem(
    file="acme.yaml", line=3, column=5, where="spec.memory", message="expected a size", hint=""
)
GRACE = Rules().removalGrace


class Folder:
    """The folder of tenants, as far as one visit looks into it."""

    def __init__(self):
        self.reading = Reading(tenant_name="acme", presence=Presence.ABSENT)

    def read(self, tenant_name):
        return self.reading

    def write(self, source="acme.yaml", **spec):
        text = canonical_json(written("acme", **spec))
        found = document("acme", **spec)
        self.reading = Reading(
            tenant_name="acme",
            presence=Presence.PRESENT,
            document=found,
            spec=resolve(found, Rules()),
            json=text,
            digest=fingerprint(text),
            source=source,
        )

    def spoil(self):
        self.reading = Reading(
            tenant_name="acme",
            presence=Presence.PRESENT,
            source="acme.yaml",
            digest="spoiled",
            problems=(PROBLEM,),
        )

    def remove(self, *, since, now):
        self.reading = Reading(
            tenant_name="acme",
            presence=Presence.ABSENT,
            absent_since=since,
            absent_for=now - since,
        )

    def vanish(self):
        self.reading = Reading(tenant_name="acme", presence=Presence.UNKNOWN)


class Board:
    def __init__(self):
        self.published = []

    def read(self, tenant_name):
        return self.published[-1] if self.published else None

    def publish(self, status):
        self.published.append(status)

    def withdraw(self, tenant_name):
        self.published.clear()


class Onlooker:
    def __init__(self):
        self.told = []

    def before(self, action):
        self.told.append(("before", type(action).__name__))

    def after(self, outcome):
        self.told.append((type(outcome).__name__, type(outcome.action).__name__))

    def done(self):
        return [name for what, name in self.told if what == "Done"]


class Daemon:
    """Visits one tenant in one world."""

    def __init__(self):
        self.world, self.folder, self.board = FakeWorld(), Folder(), Board()
        self.readers, self.writers = readers_of(self.world), writers_of(self.world)
        self.onlooker = Onlooker()

    def visit(self):
        self.onlooker = Onlooker()
        world = World(
            source=self.folder,
            readers=self.readers,
            writers=self.writers,
            status=self.board,
            utc_now=self.world.tick,
        )
        terms = Terms(rules=Rules(), settings_digest="s1")
        return reconcile("acme", world, terms, onlooker=self.onlooker)

    @property
    def memory(self):
        return self.world.memory("acme")

    def break_writer(self, port, verb, error):
        """Let one verb raise from now on; give the way to mend it."""
        target = getattr(self.writers, port)

        def refuse(*_arguments, **_more):
            raise error

        setattr(target, verb, refuse)
        return lambda: delattr(target, verb)


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
def serving(daemon):
    daemon.folder.write()
    assert daemon.visit().status.word == "Ready"
    return daemon


# Birth and rest ---------------------------------------------------------------------------------


def test_one_visit_brings_a_new_tenant_to_ready_and_asks_for_the_resync(daemon):
    daemon.folder.write()

    result = daemon.visit()

    assert result.status.word == "Ready"
    assert result.requeue == Requeue()
    assert result.status.plan == ()
    assert all(isinstance(outcome, Done) for outcome in result.outcomes)
    assert daemon.board.published[-1] == result.status


def test_a_visit_that_finds_nothing_to_do_changes_nothing(serving):
    before = serving.world.effects

    result = serving.visit()

    assert serving.world.effects == before
    assert result.outcomes == ()
    assert result.requeue == Requeue()


def test_the_document_is_remembered_before_anything_is_done_because_of_it(daemon):
    daemon.folder.write()
    daemon.visit()
    assert daemon.onlooker.done()[0] == "RememberDocument"
    assert (daemon.memory.generation, daemon.memory.source) == (1, "acme.yaml")

    daemon.folder.write(cpus=0.5)
    daemon.visit()

    assert daemon.onlooker.done() == ["RememberDocument", "UpdateResources"]
    assert daemon.memory.generation == 2


def test_a_document_that_only_moved_is_remembered_without_a_new_generation(serving):
    serving.folder.write(source="fleet.yaml")

    serving.visit()

    assert serving.onlooker.done() == ["RememberDocument"]
    assert (serving.memory.generation, serving.memory.source) == (1, "fleet.yaml")


def test_nothing_is_done_before_the_document_could_be_remembered(daemon):
    mend = daemon.break_writer("memory", "remember_document", UnavailableError("disk full"))
    daemon.folder.write()

    result = daemon.visit()

    assert [type(outcome) for outcome in result.outcomes] == [Failed]
    assert daemon.world.effects == 0
    assert result.requeue.failed
    assert result.status.observed_digest == ""
    assert result.status.condition(C.READY).status is not T
    mend()
    assert daemon.visit().status.word == "Ready"


def test_every_effect_is_told_before_and_after_it_happens(daemon):
    daemon.folder.write()
    daemon.visit()

    pairs = list(zip(daemon.onlooker.told[::2], daemon.onlooker.told[1::2], strict=True))
    assert pairs
    for (before, name), (after, again) in pairs:
        assert (before, after) == ("before", "Done")
        assert name == again


# Invalid texts ----------------------------------------------------------------------------------


def test_an_invalid_text_keeps_the_last_good_document_in_force(serving):
    serving.folder.write(cpus=0.5)
    serving.visit()
    good = serving.folder.reading.digest
    serving.folder.spoil()
    serving.world.kill("acme")

    result = serving.visit()

    assert serving.world.containers["acme"].liveness is Liveness.RUNNING
    assert serving.world.containers["acme"].resources.cpu_quota == 50_000
    assert result.status.word == "Invalid"
    assert result.status.condition(C.SPEC_VALID).status is F
    assert result.status.condition(C.READY).status is T
    assert result.status.observed_digest == good
    assert serving.memory.generation == 2
    assert result.requeue == Requeue()


def test_a_tenant_that_was_never_valid_is_left_alone_and_said_to_be_so(daemon):
    daemon.folder.spoil()

    result = daemon.visit()

    assert result.status.word == "Invalid"
    assert daemon.world.effects == 0
    assert result.requeue == Requeue()


def test_a_last_good_document_that_new_rules_forbid_leaves_everything_as_it_is(serving):
    serving.folder.spoil()
    memory = replace(serving.memory, document=serving.memory.document.replace("acme", "AC/ME"))
    serving.world.memories["acme"] = memory
    before = serving.world.effects

    result = serving.visit()

    assert serving.world.effects == before
    assert result.status.word == "Invalid"
    assert "acme" in serving.world.servers


# Ends -------------------------------------------------------------------------------------------


def test_a_vanished_file_ends_serving_only_after_the_grace_period(serving):
    since = serving.world.now
    serving.world.now += GRACE / 2
    serving.folder.remove(since=since, now=serving.world.now)
    early = serving.visit()
    assert "acme" in serving.world.servers
    assert serving.onlooker.done() == []

    serving.world.now += GRACE
    serving.folder.remove(since=since, now=serving.world.now)
    late = serving.visit()

    assert early.status.condition(C.SPEC_VALID).reason == "Missing"
    assert serving.onlooker.done()[0] == "Retire"
    assert "acme" not in serving.world.containers
    assert late.status.word == "Deleted"
    assert serving.memory.retired
    assert serving.world.disk("acme").marker, "data stays"


def test_a_clock_that_jumped_since_the_folder_was_listed_ends_nobody(serving):
    serving.folder.remove(since=serving.world.now, now=serving.world.now)
    serving.world.now += timedelta(days=400)

    serving.visit()

    assert "Retire" not in serving.onlooker.done()
    assert "acme" in serving.world.servers


def test_a_paused_tenant_whose_file_vanished_is_left_alone_and_not_called_deleted(serving):
    serving.folder.write(paused=True)
    serving.visit()
    serving.world.now += 2 * GRACE
    serving.folder.remove(since=serving.world.now - 2 * GRACE, now=serving.world.now)

    status = serving.visit().status

    assert serving.onlooker.done() == []
    assert (status.word, status.condition(C.READY).reason) == ("Paused", "Serving")
    assert status.condition(C.SPEC_VALID).reason == "Missing"


def test_a_retired_tenant_stays_retired_when_the_folder_cannot_be_listed(serving):
    serving.folder.remove(since=serving.world.now - GRACE, now=serving.world.now)
    serving.visit()
    serving.folder.vanish()

    serving.visit()

    assert "acme" not in serving.world.containers
    assert serving.onlooker.done() == []


def test_a_file_that_comes_back_brings_the_tenant_back_with_its_password_and_ports(serving):
    before = serving.memory
    serving.folder.remove(since=serving.world.now - GRACE, now=serving.world.now)
    serving.visit()
    serving.folder.write()

    result = serving.visit()

    assert result.status.word == "Ready"
    assert not serving.memory.retired
    assert serving.memory.reservation == before.reservation
    assert serving.memory.credentials == before.credentials
    assert serving.memory.generation == before.generation


def test_a_folder_that_cannot_be_listed_ends_nobody(serving):
    serving.folder.vanish()
    serving.world.now += 10 * GRACE

    result = serving.visit()

    assert "acme" in serving.world.servers
    assert result.status.condition(C.READY).status is T


def test_a_wish_to_be_deleted_is_carried_out_at_once(serving):
    serving.folder.write(state="deleted")

    result = serving.visit()

    assert result.status.word == "Deleted"
    assert not serving.memory.retired
    assert result.requeue == Requeue()


def test_a_file_removed_after_the_wish_to_be_deleted_is_kept_in_mind(serving):
    serving.folder.write(state="deleted")
    serving.visit()
    serving.folder.remove(since=serving.world.now, now=serving.world.now)

    serving.visit()

    assert serving.onlooker.done() == ["Retire"]


# Trouble ----------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_and_what_was_done_stays_done(daemon):
    mend = daemon.break_writer("containers", "create", UnavailableError("Docker went away"))
    daemon.folder.write()

    result = daemon.visit()

    assert result.requeue == Requeue(failed=True)
    assert isinstance(result.outcomes[-1], Failed)
    assert "CreateContainer acme: no container" in result.status.plan
    assert result.status.condition(C.RECONCILING).reason == "Retrying"
    mend()
    assert daemon.visit().status.word == "Ready"
    assert "GenerateCredential" not in daemon.onlooker.done()


def test_whatever_has_to_wait_says_for_how_long(daemon):
    pause = timedelta(seconds=7)
    daemon.break_writer("server", "wait", WaitingError("it is loading", retry_after=pause))
    daemon.folder.write()

    result = daemon.visit()

    assert result.requeue == Requeue(after=pause)


def test_whatever_a_person_must_mend_is_said_and_looked_at_again(daemon):
    error = StalledError("no such image", reason="ImageUnavailable")
    daemon.break_writer("containers", "create", error)
    daemon.folder.write()

    result = daemon.visit()

    assert isinstance(result.outcomes[-1], Stalled)
    assert result.status.word == "Stalled"
    assert result.status.condition(C.STALLED).reason == "ImageUnavailable"
    assert result.requeue.failed


def test_a_record_that_cannot_be_read_stalls_a_tenant_and_touches_nothing(serving):
    error = StalledError("cannot read record.json", reason="RecordUnreadable")

    def recall(_name):
        raise error

    serving.readers.memory.recall = recall
    before = serving.world.effects

    result = serving.visit()

    assert serving.world.effects == before
    assert result.status.condition(C.STALLED).reason == "RecordUnreadable"
    assert result.status.condition(C.READY).status is not T
    assert result.requeue.failed


def test_a_surprise_is_published_by_kind_and_place_only(serving):
    def recall(_name):
        raise KeyError("pa55word")

    serving.readers.memory.recall = recall

    result = serving.visit()

    assert result.requeue.failed
    assert result.status.condition(C.READY).status is not T
    assert "KeyError" in result.status.condition(C.RECONCILING).message
    assert "pa55word" not in repr(result)


def test_a_silent_engine_is_asked_again_soon_and_leads_to_nothing(serving):
    serving.world.engine_up = False
    before = serving.world.effects

    result = serving.visit()

    assert serving.world.effects == before
    assert result.requeue.failed
    assert result.status.condition(C.READY).status is not T


def test_a_client_that_cannot_get_in_is_looked_at_again_soon(serving):
    serving.world.servers["acme"].crowded = True

    assert serving.visit().requeue.failed


def test_a_paused_tenant_is_only_looked_at(serving):
    serving.folder.write(paused=True, state="stopped")

    result = serving.visit()

    assert serving.onlooker.done() == ["RememberDocument"]
    assert result.status.word == "Paused"
    assert result.requeue == Requeue()
    assert "acme" in serving.world.servers


def test_an_outage_is_published_while_it_lasts(serving):
    serving.world.kill("acme")
    before = len(serving.board.published)

    serving.visit()

    words = [status.word for status in serving.board.published[before:]]
    ready = [status.condition(C.READY).status for status in serving.board.published[before:]]
    assert ready == [F, T]
    assert words[-1] == "Ready"


def test_a_plan_that_undoes_itself_ends_and_is_tried_again(serving):
    """Somebody who puts a stranger back after each visit does not keep us for ever."""
    delete = serving.writers.server.delete_user

    def delete_in_vain(tenant_name, *, instance, user):
        delete(tenant_name, instance=instance, user=user)
        mallory()

    def mallory():
        serving.world.servers["acme"].users["mallory"] = (True, (), "~*", "", "+@all")

    serving.writers.server.delete_user = delete_in_vain
    mallory()

    result = serving.visit()

    assert 1 < serving.onlooker.done().count("DeleteUser") < 10
    assert result.requeue.failed
    assert result.status.condition(C.CREDENTIALS_APPLIED).status is F


def test_the_look_that_counts_is_the_last_one(serving):
    serving.folder.write(cpus=0.5)
    before = serving.world.now

    result = serving.visit()

    assert result.seen_at == result.status.snapshot.at
    assert result.seen_at > before


@pytest.mark.parametrize(
    "error", [UnavailableError("it did not exit"), StalledError("no", reason="X")]
)
def test_clients_get_their_writes_back_when_a_server_could_not_be_stopped(serving, error):
    serving.folder.write(restartedAt="2026-01-01T00:00:00Z")
    serving.break_writer("containers", "restart", error)

    serving.visit()

    assert not serving.world.servers["acme"].writes_paused


def test_a_tenant_that_tightened_limits_forbid_goes_on_being_looked_after(serving):
    serving.folder.spoil()
    large = serving.memory.document.replace('"spec":{}', '"spec":{"memory":{"max":"65GiB"}}')
    serving.world.memories["acme"] = replace(serving.memory, document=large)
    serving.world.kill("acme")

    serving.visit()

    assert "65GiB" in large
    assert serving.world.is_answering("acme")


def test_a_tenant_whose_users_rules_were_valid_once_goes_on_being_looked_after(serving):
    """A text as it was remembered is refused anew today, and so is the same text in the file."""
    serving.folder.write(auth={"users": [{"name": "app", "commands": ["+@read"]}]})
    serving.visit()
    before = serving.memory.document.replace('"+@read"', '"+@read","+client|list"')
    serving.world.memories["acme"] = replace(serving.memory, document=before)
    serving.folder.spoil()
    serving.world.kill("acme")

    result = serving.visit()

    assert "+client|list" in before
    assert serving.world.is_answering("acme")
    assert result.status.word == "Invalid"
    assert result.status.spec.users[0].commands == ("+@read", "+client|list")
    (app,) = (user for user in result.status.snapshot.server.users if user.name == "app")
    assert "-@admin" in app.commands.partition("+client|list")[2]


# Nobody -----------------------------------------------------------------------------------------


def test_no_status_outlives_a_file_that_never_was_valid(daemon):
    daemon.folder.spoil()
    assert daemon.visit().status.word == "Invalid"

    daemon.folder.vanish()
    result = daemon.visit()

    assert daemon.board.published == []
    assert result.requeue == Requeue(ended=True)


def test_a_status_is_not_taken_back_while_neither_the_file_nor_the_record_can_be_seen(serving):
    """As with two mounts that are late: whoever was published is there all the same."""
    serving.world.memories.clear()
    serving.folder.vanish()

    result = serving.visit()

    assert serving.board.published[-1] == result.status
    assert not result.requeue.ended

    serving.folder.remove(since=serving.world.now, now=serving.world.now)
    result = serving.visit()

    assert serving.board.published == []
    assert result.requeue.ended


def test_whoever_has_a_record_keeps_a_status_without_a_file(serving):
    serving.folder.vanish()

    result = serving.visit()

    assert serving.board.published[-1] == result.status
    assert not result.requeue.ended


def test_a_record_that_cannot_be_read_is_not_taken_for_none(serving):
    def refuse(_name):
        raise StalledError("cannot read record.json", reason="RecordUnreadable")

    serving.readers.memory.recall = refuse
    serving.folder.vanish()

    result = serving.visit()

    assert serving.board.published[-1] == result.status
    assert not result.requeue.ended
