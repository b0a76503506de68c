"""Images on their way, from an engine that takes its time."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import docker.errors
import pytest

from cachepilot.adapters import docker_supplies
from cachepilot.adapters.docker_supplies import DockerSupplies
from cachepilot.errors import StalledError, UnavailableError, WaitingError

SOON = 20.0


class Engine:
    """Has no image until a pull is let through."""

    def __init__(self):
        self.images, self.pulls, self.lines = set(), [], [{"status": "Downloading"}]
        self.free, self.error = threading.Event(), None

    def inspect_image(self, image):
        if image not in self.images:
            raise docker.errors.ImageNotFound("no such image")

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
def supplies(engine):
    return DockerSupplies(SimpleNamespace(get=lambda: engine), root="/")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(docker_supplies, "_PATIENCE", 0.05)


def test_a_worker_is_not_held_up_by_an_image_that_takes_long(engine, supplies, impatient):
    for _ in range(3):
        with pytest.raises(WaitingError, match="yet: it is being fetched"):
            supplies.ensure_image("redis:8.0")
    with pytest.raises(WaitingError, match="another one"):
        supplies.ensure_image("valkey:8.1")

    engine.free.set()
    supplies._fetch._thread.join(SOON)
    supplies.ensure_image("redis:8.0")

    assert engine.pulls == ["redis:8.0"]


def test_the_next_image_is_fetched_though_nobody_asked_for_the_last_again(
    engine, supplies, impatient
):
    with pytest.raises(WaitingError):
        supplies.ensure_image("redis:8.0")
    engine.free.set()
    supplies._fetch._thread.join(SOON)

    supplies.ensure_image("valkey:8.1")

    assert engine.images == {"redis:8.0", "valkey:8.1"}


def test_an_image_that_comes_soon_is_waited_for(engine, supplies):
    engine.free.set()

    supplies.ensure_image("redis")

    assert engine.images == {"redis:latest"}


@pytest.mark.parametrize(
    ("error", "lines", "expected", "words"),
    [
        (docker.errors.NotFound("manifest unknown"), [], StalledError, "manifest unknown"),
        (docker.errors.APIError("no route"), [], UnavailableError, "no route"),
        (None, [{"status": "x"}, {"error": "disk full"}], UnavailableError, "disk full"),
        (ValueError("surprise"), [], UnavailableError, "surprise"),
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
