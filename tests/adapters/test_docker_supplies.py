"""Images on their way, from an engine that takes its time."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import SimpleNamespace

import docker.errors
import pytest

from cachepilot.adapters import docker_supplies
from cachepilot.adapters.docker_supplies import DockerSupplies
from cachepilot.errors import StalledError, UnavailableError, WaitingError

SOON = 20.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Engine:
    """Has no image until a pull is let through."""

    def __init__(self):
        self.images, self.pulls, self.lines = set(), [], [{"status": "Downloading"}]
        self.free, self.error = threading.Event(), None

    def inspect_image(self, image):
        if image not in self.images:
            raise docker.errors.ImageNotFound("no such image")
        return {"Id": f"sha256:{image}"}

    def pull(self, name, *, tag, stream, decode):
        self.pulls.append(f"{name}:{tag}")
        if self.error:
            raise self.error
        yield self.lines[0]
        assert self.free.wait(SOON)
        yield from self.lines[1:]
        if any("error" in line for line in self.lines):
            return
        self.images.add(f"{name}:{tag}")

    def close(self):
        pass


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.free.set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def supplies(engine, clock):
    return DockerSupplies(SimpleNamespace(get=lambda: engine), root="/", monotonic=clock)


def finish(supplies):
    """Return once nothing is on its way any more."""
    for fetch in supplies._fetches.values():
        fetch._thread.join(SOON)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(docker_supplies, "_PATIENCE", 0.05)


def test_a_worker_is_not_held_up_by_an_image_that_takes_long(engine, supplies, impatient):
    for _ in range(3):
        with pytest.raises(WaitingError, match="yet: it is being fetched"):
            supplies.ensure_image("redis:8.0")

    engine.free.set()
    finish(supplies)
    supplies.ensure_image("redis:8.0")

    assert engine.pulls == ["redis:8.0"]


def test_only_one_worker_ever_waits(engine, supplies, monkeypatch):
    """A second one that waited would be a worker less for everybody else."""
    waits, pull = [], docker_supplies._Fetch.wait

    def wait(fetch, seconds):
        waits.append(seconds)
        pull(fetch, 0.0)

    monkeypatch.setattr(docker_supplies._Fetch, "wait", wait)
    for image in ("redis:8.0", "redis:8.0", "valkey:8.1", "redis:8.0", "valkey:8.1"):
        with pytest.raises(WaitingError, match="it is being fetched"):
            supplies.ensure_image(image)

    assert waits == [10.0, 0.0, 0.0, 0.0, 0.0]


def test_a_slow_image_does_not_hold_another_up(engine, supplies, impatient):
    with pytest.raises(WaitingError):
        supplies.ensure_image("slow:1")
    engine.pull = lambda name, *, tag, **_: iter([engine.images.add(f"{name}:{tag}") or {}])

    with suppress(WaitingError):
        supplies.ensure_image("valkey:8.1")
    if "valkey:8.1" in supplies._fetches:
        supplies._fetches["valkey:8.1"]._thread.join(SOON)

    assert engine.images == {"valkey:8.1"}


def test_no_more_than_some_are_fetched_at_once_and_one_that_is_late_does_not_count(
    engine, supplies, impatient, clock
):
    for number in range(4):
        with pytest.raises(WaitingError, match="it is being fetched"):
            supplies.ensure_image(f"slow:{number}")
    with pytest.raises(WaitingError, match="4 others are being fetched"):
        supplies.ensure_image("redis:8.0")

    clock.now = 3601.0
    with pytest.raises(WaitingError, match="it is being fetched"):
        supplies.ensure_image("redis:8.0")


def test_an_image_that_never_arrives_is_told_and_fetched_again_once_it_is_given_up(
    engine, supplies, impatient, clock
):
    """A registry that trickles is given up with its next word; a mute one is at least told of."""
    engine.lines *= 3
    with pytest.raises(WaitingError):
        supplies.ensure_image("redis:8.0")
    clock.now = 3601.0
    for _ in range(2):
        with pytest.raises(StalledError, match="takes more than an hour") as refusal:
            supplies.ensure_image("redis:8.0")
        assert refusal.value.reason == "ImageUnavailable"
    assert len(engine.pulls) == 1

    engine.free.set()
    finish(supplies)
    assert engine.images == set()
    with pytest.raises(StalledError, match="takes more than an hour"):
        supplies.ensure_image("redis:8.0")
    with suppress(WaitingError):
        supplies.ensure_image("redis:8.0")
    finish(supplies)

    assert engine.images == {"redis:8.0"}
    assert len(engine.pulls) == 2


def test_an_image_that_comes_soon_is_waited_for(engine, supplies):
    engine.free.set()

    supplies.ensure_image("redis")

    assert engine.images == {"redis:latest"}


def refusal(words):
    response = SimpleNamespace(status_code=500, url="", reason="Internal Server Error")
    return docker.errors.APIError("500", response=response, explanation=words)


@pytest.mark.parametrize(
    ("error", "lines", "expected", "words"),
    [
        (docker.errors.NotFound("manifest unknown"), [], StalledError, "manifest unknown"),
        (docker.errors.APIError("no route"), [], UnavailableError, "no route"),
        (None, [{"status": "x"}, {"error": "disk full"}], UnavailableError, "disk full"),
        (ValueError("surprise"), [], UnavailableError, "surprise"),
        # As Docker 20.10 passes on what registries say: with a 500, or behind the first bytes.
        (refusal("manifest unknown"), [], StalledError, "manifest unknown; correct"),
        (refusal("unauthorized"), [], StalledError, "unauthorized"),
        (
            None,
            [{"status": "x"}, {"error": "no matching manifest for linux/amd64"}],
            StalledError,
            "no matching manifest",
        ),
        (
            refusal("received unexpected HTTP status: 503 Service Unavailable"),
            [],
            UnavailableError,
            "503",
        ),
        (refusal("toomanyrequests: slow down"), [], UnavailableError, "slow down"),
        (
            refusal('Get "http://127.0.0.1:1/v2/": connect: connection refused'),
            [],
            UnavailableError,
            "connection refused",
        ),
    ],
)
def test_a_failure_reaches_whoever_asks_and_is_tried_again(
    engine, supplies, error, lines, expected, words
):
    engine.error, engine.lines = error, lines
    engine.free.set()

    for _ in range(2):
        with pytest.raises(expected, match=words):
            supplies.ensure_image("redis:8.0")

    assert len(engine.pulls) == 2
