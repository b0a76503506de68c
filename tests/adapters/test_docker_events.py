"""News of a real engine, through a tunnel that can be cut."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from datetime import timedelta

import docker
import docker.errors
import pytest

from cachepilot import clock
from cachepilot.adapters.docker_client import DockerClients
from cachepilot.adapters.docker_events import DockerEvents
from cachepilot.adapters.labels import ROOT, TENANT
from tests.contract.bench import ENGINES, collect_garbage, eventually
from tests.fakes.tunnel import Tunnel

pytestmark = pytest.mark.docker

SOCKET = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
# docker-py forgets the sockets with which it could not connect.
forgetful = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module")
def engine():
    client = docker.DockerClient(base_url=SOCKET)
    yield client
    client.close()


@pytest.fixture
def tunnel(tmp_path):
    return Tunnel(tmp_path / "docker.sock", SOCKET)


@pytest.fixture
def make(engine, tmp_path):
    """Return a maker of containers with the labels given; they end with the test."""
    made = []

    def one(**labels):
        container = engine.containers.create(
            ENGINES["redis8"],
            ["redis-server", "--port", "0", "--unixsocket", "/data/redis.sock"],
            labels={ROOT: str(tmp_path), TENANT: "acme"} | labels,
            network_mode="none",
        )
        made.append(container)
        return container

    yield one
    for container in made:
        with suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)


class Listener:
    """Everything that the daemon would be told, and a hook in the middle of it."""

    def __init__(self):
        self.told, self.states, self.gaps = [], [], 0
        self.during_gap = lambda: None

    def on_change(self, name, wait, happened_at):
        self.told.append((name, wait, happened_at))

    def on_gap(self):
        self.gaps += 1
        self.during_gap()


@pytest.fixture
def follow(tmp_path, tunnel):
    """Return a starter of a thread that follows; it is stopped and must end with the test."""
    listener, stopping = Listener(), threading.Event()
    events = DockerEvents(
        DockerClients(tunnel.address, timeout=10),
        root=str(tmp_path),
        on_change=listener.on_change,
        on_gap=listener.on_gap,
        on_state=listener.states.append,
    )
    thread = threading.Thread(target=events.follow, args=(stopping,))

    def start(during_gap=None):
        listener.during_gap = during_gap or listener.during_gap
        thread.start()
        return listener

    yield start
    stopping.set()
    events.close()
    thread.join(20)
    assert not thread.is_alive(), "a stream that waits for the next event must end, too"
    collect_garbage()


@pytest.fixture
def listener(tunnel, follow):
    """Somebody who is told of everything from now on."""
    tunnel.open()
    listener = follow()
    assert eventually(lambda: listener.gaps)
    return listener


HANDS = {
    # What somebody does, and whether Docker may be about to put it right by itself.
    "starts": (lambda container: container.start(), {0.0}),
    "pauses": (lambda container: container.pause(), {0.0}),
    "continues": (lambda container: container.unpause(), {0.0}),
    "renames": (lambda container: container.rename(f"{container.name}-by-hand"), {0.0}),
    "updates": (lambda container: container.update(cpu_shares=512), {0.0}),
    "restarts": (lambda container: container.restart(timeout=5), {0.0, 0.3}),
    "stops": (lambda container: container.stop(timeout=5), {0.3}),
    "removes": (lambda container: container.remove(), {0.0}),
}


def test_whatever_somebody_does_to_a_container_is_told_with_its_tenant_and_time(listener, make):
    container = make()
    assert eventually(lambda: listener.told)
    for hand, (act, waits) in HANDS.items():
        container.reload()
        listener.told.clear()
        before = clock.utc_now()

        act(container)

        def is_told(waits=waits):
            return {wait for _, wait, _ in listener.told} == waits

        assert eventually(is_told), (hand, listener.told)
        assert {name for name, _, _ in listener.told} == {"acme"}
        for _, _, happened_at in listener.told:
            assert before - timedelta(seconds=1) <= happened_at <= clock.utc_now(), hand


def test_a_killed_container_is_looked_at_after_docker_had_its_turn(listener, make):
    container = make()
    container.start()
    assert eventually(lambda: len(listener.told) == 2)
    listener.told.clear()

    container.kill()

    assert eventually(lambda: len(listener.told) == 2), "a kill and a death"
    assert {wait for _, wait, _ in listener.told} == {0.3}


def test_nobody_is_told_of_others_or_of_people_who_look_around(listener, make):
    container = make()
    container.start()
    assert eventually(lambda: len(listener.told) == 2)
    listener.told.clear()

    container.exec_run(["redis-server", "--version"])
    make(**{ROOT: "/elsewhere"}).start()
    make(**{TENANT: ""}).start()
    container.pause()

    # The stream is in order: what had been told would have been told before this.
    assert eventually(lambda: listener.told)
    assert [(name, wait) for name, wait, _ in listener.told] == [("acme", 0.0)]


def test_what_happens_while_everything_is_compared_is_told(tunnel, follow, make):
    """Whoever compares first and listens then misses what comes between."""
    container = make()
    tunnel.open()

    listener = follow(during_gap=container.start)

    assert eventually(lambda: [name for name, _, _ in listener.told] == ["acme"])
    assert listener.states == [""]


def test_a_stream_that_breaks_is_opened_again_and_what_was_missed_is_told(tunnel, listener, make):
    container = make()
    assert eventually(lambda: listener.told)

    tunnel.hang_up()
    broken_at = clock.utc_now()
    container.update(cpu_shares=512)

    assert eventually(lambda: listener.told[-1][2] > broken_at), "the engine repeats it"
    assert listener.gaps == 2
    assert set(listener.states) == {""}, "an engine that answers at once was never away"
    before = len(listener.told)
    container.start()
    assert eventually(lambda: len(listener.told) > before)


@forgetful
def test_an_engine_that_goes_away_is_told_and_followed_again_when_it_is_back(tunnel, listener):
    tunnel.cut()
    assert eventually(lambda: "cannot reach Docker: the engine does not answer" in listener.states)
    assert listener.gaps == 1

    tunnel.open()

    assert eventually(lambda: listener.gaps == 2)
    assert listener.states[-1] == ""


@forgetful
def test_an_engine_that_is_not_there_yet_is_waited_for(tunnel, follow):
    listener = follow()
    assert eventually(lambda: listener.states)
    assert set(listener.states) == {"cannot reach Docker: the engine does not answer"}
    assert listener.gaps == 0

    tunnel.open()

    assert eventually(lambda: listener.gaps == 1)
    assert listener.states[-1] == ""
