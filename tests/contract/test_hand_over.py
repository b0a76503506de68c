"""What a hand-over says to two servers, held against the fake and against three real engines."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from cachepilot.errors import CachePilotError, StalledError, UnavailableError, WaitingError
from cachepilot.observe.snapshot import Liveness, Role, SeenReplication, Unreachable
from cachepilot.plan.server_config import FENCE, MOST_REPLICAS
from cachepilot.spec.document import AccessMode, PersistenceMode
from tests.contract.bench import ENGINES, eventually
from tests.contract.pairs import NEW, OLD, Pair

SHORTLY = timedelta(milliseconds=200)


@pytest.fixture
def pair(hall):
    """A server in a sandbox that holds something; nobody has begun to replace it."""
    pair = Pair(*hall)
    assert pair.late(5)
    return pair


@pytest.fixture
def boxed(bench):
    """A server in a sandbox; Docker is under test there, so that one engine will do."""
    pair = Pair(bench, ENGINES["redis8"])
    assert pair.late(5)
    return pair


@pytest.fixture
def idle(pair):
    """A pair whose successor runs and was told nothing yet."""
    pair.create_successor()
    pair.start(Role.SUCCESSOR, NEW)
    pair.wait_for(NEW)
    return pair


@pytest.fixture
def followed(pair):
    """A pair whose successor replicates and has everything."""
    pair.succeed()
    pair.wait()
    return pair


@pytest.fixture
def drained(followed):
    followed.drain()
    return followed


# A sandbox --------------------------------------------------------------------------------------


def test_a_server_in_a_sandbox_is_reached_at_the_ports_of_the_sandbox(boxed):
    sandbox, server = boxed.seen(Role.SANDBOX), boxed.seen(Role.SERVER)

    assert server.joined == sandbox.container_id
    assert (sandbox.joined, server.shape.published) == ("", ())
    assert boxed.doors() == {"plain"}


def test_a_server_cannot_be_started_where_there_is_no_sandbox(boxed):
    server, sandbox = boxed.seen(Role.SERVER), boxed.seen(Role.SANDBOX)
    for each in (server, sandbox):
        boxed.containers.stop(
            boxed.name, container_id=each.container_id, timeout=timedelta(seconds=5)
        )
        boxed.containers.remove(boxed.name, container_id=each.container_id, digest=each.digest)

    # It can be made, but it will never find what it was to join.
    boxed.containers.create(boxed.name, boxed.made.workload, instance=OLD)
    with pytest.raises(WaitingError):
        boxed.start(Role.SERVER, OLD)
    assert boxed.seen(Role.SERVER).liveness is Liveness.CREATED


def test_a_server_cannot_be_started_before_its_sandbox(boxed):
    for role in (Role.SERVER, Role.SANDBOX):
        stop(boxed, role)

    with pytest.raises(UnavailableError):
        boxed.start(Role.SERVER, OLD)
    assert boxed.is_down(Role.SERVER)

    boxed.start(Role.SANDBOX, OLD)
    boxed.start(Role.SERVER, OLD)
    boxed.wait_for(OLD)
    assert boxed.doors() == {"plain"}


def test_a_sandbox_that_starts_anew_leaves_its_server_running_and_out_of_reach(boxed):
    stop(boxed, Role.SANDBOX)
    boxed.start(Role.SANDBOX, OLD)

    assert not boxed.is_down(Role.SERVER)
    assert boxed.doors() == set()
    assert boxed.directive(OLD, "port") == "6379"

    server = boxed.seen(Role.SERVER)
    boxed.containers.restart(
        boxed.name,
        container_id=server.container_id,
        timeout=timedelta(seconds=5),
        instance=OLD,
    )
    boxed.wait_for(OLD)
    assert boxed.doors() == {"plain"}


def test_two_servers_of_one_sandbox_cannot_listen_at_one_port(boxed):
    boxed.create_successor(boxed.directives)
    # Docker has started it by the time that it finds the port taken.
    with suppress(CachePilotError):
        boxed.start(Role.SUCCESSOR, NEW)

    assert eventually(lambda: boxed.seen(Role.SUCCESSOR).liveness is Liveness.EXITED)
    assert isinstance(boxed.link(), Unreachable)
    assert boxed.late(6)


def test_a_port_that_the_other_server_has_cannot_be_opened(followed):
    with pytest.raises(StalledError) as refusal:
        followed.set(NEW, *followed.listeners)

    assert refusal.value.reason == "DirectiveRefused"
    assert followed.directive(NEW, "port") == "0"
    assert followed.doors() == {"plain"}


# Replicating ------------------------------------------------------------------------------------


def test_a_successor_is_closed_and_is_handed_nothing_before_it_replicates(idle):
    assert idle.link() == SeenReplication(follows=False, link_up=False, has_password=False)
    assert (idle.directive(NEW, "port"), idle.directive(NEW, FENCE)) == ("0", MOST_REPLICAS)
    assert idle.seen(Role.SUCCESSOR).resources.restart == "no"
    with pytest.raises(WaitingError):
        idle.wait(SHORTLY)
    with idle.early() as write:
        with pytest.raises(WaitingError):
            idle.drain()
        assert write(6)
    assert idle.doors() == {"plain"}
    assert idle.late(7)


def test_a_successor_has_what_was_written_before_and_what_is_written_since(pair):
    pair.succeed()
    pair.follow()  # whoever lost the answer says so again
    assert eventually(lambda: pair.link().link_up)
    assert pair.link() == SeenReplication(follows=True, link_up=True, has_password=True)
    assert eventually(lambda: pair.holds(NEW) == 5)

    pair.wait()

    assert pair.late(6)
    assert eventually(lambda: pair.holds(NEW) == 6)
    assert pair.holds(OLD) == 6
    assert pair.link() == SeenReplication(follows=True, link_up=True, has_password=False)


@pytest.mark.parametrize("waited", [False, True], ids=["before", "behind"])
def test_a_link_ends_with_the_server_that_was_followed(pair, waited):
    """Whoever starts again there knows nothing of the password."""
    pair.succeed()
    if waited:
        pair.wait()
    restart(pair, OLD)

    assert eventually(lambda: not pair.link().link_up)
    assert pair.link() == SeenReplication(follows=True, link_up=False, has_password=not waited)
    with pytest.raises(WaitingError):
        pair.wait(SHORTLY)
    with pytest.raises(WaitingError):
        pair.drain()
    assert pair.late(7)


def test_a_successor_of_a_dead_server_does_not_get_on(followed):
    followed.bench.kill_role(followed, Role.SERVER)

    assert eventually(lambda: not followed.link().link_up)
    with pytest.raises(WaitingError):
        followed.wait(SHORTLY)
    with pytest.raises(UnavailableError):
        followed.drain()


# Handing over -----------------------------------------------------------------------------------


def test_a_drained_server_lets_nobody_in_and_takes_no_write_until_it_is_opened_again(followed):
    with followed.early() as write:
        followed.drain()

        assert not write(6)
        assert not followed.late(6)
    assert followed.doors() == set()
    assert followed.directive(OLD, "port") == "0"
    assert followed.holds(NEW) == 5

    for _ in range(2):
        followed.set(OLD, (FENCE, "0"), *followed.listeners)
        followed.resume(OLD)
    assert followed.doors() == {"plain"}
    assert followed.late(6)


def test_a_pause_that_nobody_ends_lets_early_clients_write_on_and_their_writes_are_copied(
    followed,
):
    pause = timedelta(milliseconds=500)
    with followed.early() as write:
        followed.drain(pause)
        followed.bench.end_pauses(followed.made, pause * 2)

        assert write(6)
        assert not followed.late(7)
    assert eventually(lambda: followed.holds(NEW) == 6)


def test_a_promoted_server_is_open_and_takes_no_write_until_it_is_resumed(drained):
    drained.promote()
    assert drained.link() == SeenReplication(follows=False, link_up=False, has_password=False)
    assert drained.doors() == {"plain"}
    assert drained.directive(NEW, FENCE) == "0"
    assert not drained.late(6)
    assert drained.holds(NEW) == 5
    # Nor does the end of a usual pause, or somebody who says so again, let anybody write there.
    drained.bench.end_pauses(drained.made, SHORTLY)
    drained.promote()
    assert not drained.late(6)

    for _ in range(2):
        drained.resume(NEW)

    assert drained.late(6)
    assert (drained.holds(NEW), drained.holds(OLD)) == (6, 5)


def test_a_fenced_server_cuts_off_its_clients_and_takes_no_write_ever_again(followed):
    with followed.early() as write:
        followed.drain(timedelta(seconds=2))
        followed.promote()
        for _ in range(2):
            followed.fence()

        assert not write(6)
        followed.bench.end_pauses(followed.made, timedelta(seconds=2))
        assert not write(6)
    assert followed.directive(OLD, FENCE) == MOST_REPLICAS
    assert followed.holds(OLD) == 5


def test_a_server_that_took_a_write_meanwhile_is_fenced_and_does_not_lose(followed):
    pause = timedelta(milliseconds=500)
    with followed.early() as write:
        followed.drain(pause)
        followed.promote()
        followed.bench.end_pauses(followed.made, pause * 2)
        assert write(6)

        with pytest.raises(WaitingError):
            followed.fence()

        assert not write(7)
    assert followed.holds(OLD) == 6


@pytest.mark.parametrize("mode", PersistenceMode)
def test_a_copy_is_on_disk_and_a_new_server_starts_again_from_what_its_mode_promises(hall, mode):
    bench, image = hall
    pair = Pair(bench, image, persistence=mode)
    pair.late(5)
    pair.succeed()
    pair.wait()
    logs = {"append only"} if mode is PersistenceMode.AOF else set()
    assert bench.files_of(pair.made, NEW) == {"dump"} | logs
    if mode is PersistenceMode.NONE:
        bench.writers.files.discard_dump(pair.name, instance=NEW)
    pair.drain()
    pair.promote()
    pair.fence()
    pair.resume(NEW)
    assert pair.late(6)
    pair.write_files(NEW, pair.directives)
    stop(pair, Role.SERVER)

    bench.kill_role(pair, Role.SUCCESSOR)
    pair.start(Role.SUCCESSOR, NEW)
    pair.wait_for(NEW)

    # Snapshots are made from time to time: the one that came with the copy is the newest.
    kept = {PersistenceMode.NONE: 0, PersistenceMode.RDB: 5, PersistenceMode.AOF: 6}
    assert pair.holds(NEW) == kept[mode]


def test_every_port_moves_and_no_other(hall):
    bench, image = hall
    pair = Pair(bench, image, access=AccessMode.DUAL_MODE, certified=True)
    doors = {"tls", "plain"}
    assert pair.doors() == doors

    pair.succeed()
    pair.wait()
    assert pair.doors() == doors
    pair.drain()
    assert pair.doors() == set()
    pair.promote()
    assert pair.doors() == doors
    listeners = dict(pair.listeners)
    assert {each: pair.directive(NEW, each) for each in listeners} == listeners
    assert {each: pair.directive(OLD, each) for each in listeners} == dict.fromkeys(listeners, "0")


def stop(pair, role):
    pair.containers.stop(
        pair.name,
        container_id=pair.seen(role).container_id,
        timeout=timedelta(seconds=5),
    )


def restart(pair, instance):
    pair.containers.restart(
        pair.name,
        container_id=pair.seen(Role.SERVER).container_id,
        timeout=timedelta(seconds=5),
        instance=instance,
    )
    pair.wait_for(instance)
