"""A server is told once to end; whatever breaks the wait off, it gets its time to hear of that."""

from datetime import timedelta

import docker.errors
import pytest
import requests

from cachepilot.adapters import docker_stop
from cachepilot.errors import StalledError, UnavailableError, WaitingError

RUNS, SAVED, KILLED = (
    {"Running": True, "ExitCode": 0},
    {"Running": False, "ExitCode": 0},
    {"Running": False, "ExitCode": 137},
)


class Engine:
    """Says one state after the other, and breaks every wait off at once."""

    def __init__(self, *states, gone=False):
        self.states, self.gone, self.signals = list(states), gone, []

    def kill(self, container_id, signal):
        self.signals.append(signal)
        if self.gone:
            raise docker.errors.APIError("conflict", explanation="container is not running")

    def wait(self, container_id, timeout):
        raise requests.ConnectionError

    def inspect_container(self, container_id):
        return {"State": self.states.pop(0) if len(self.states) > 1 else self.states[0]}


@pytest.fixture
def waited(monkeypatch):
    """Let no time pass; seconds for which there was nothing to do."""
    found = []

    class Event:
        def wait(self, seconds):
            found.append(seconds)

    monkeypatch.setattr(docker_stop, "Event", Event)
    return found


def end(engine, *, answers=(), patience=timedelta(seconds=20)):
    said = iter(answers)
    docker_stop.end_by_itself(
        engine,
        "acme",
        "c1",
        patience=patience,
        answers=lambda: next(said, False),
        monotonic=lambda: 0.0,
        last_words=lambda _inspected: "Error trying to save the DB, can't exit.",
    )


def test_a_wait_that_breaks_off_is_gone_on_with_and_nobody_is_told_twice(waited):
    engine = Engine(RUNS, RUNS, SAVED)

    end(engine)

    assert engine.signals == ["SIGTERM"]
    assert waited == [3.0, 3.0]  # as long as a server may need to hear of it


def test_one_that_had_ended_already_has_ended():
    end(Engine(SAVED, gone=True))


@pytest.mark.usefixtures("waited")
def test_one_that_answers_time_and_again_has_refused():
    with pytest.raises(StalledError, match="can't exit") as caught:
        end(Engine(RUNS), answers=[True, True])
    assert caught.value.reason == "SaveFailed"


@pytest.mark.usefixtures("waited")
def test_one_answer_may_have_come_before_the_signal():
    end(Engine(RUNS, RUNS, RUNS, SAVED), answers=[True, False, True])


@pytest.mark.usefixtures("waited")
def test_one_that_goes_on_saving_for_too_long_is_left_alone():
    engine = Engine(RUNS)
    with pytest.raises(UnavailableError, match="has not ended"):
        end(engine)
    assert engine.signals == ["SIGTERM"]


@pytest.mark.usefixtures("waited")
def test_one_that_was_killed_has_not_saved():
    with pytest.raises(WaitingError, match="137"):
        end(Engine(RUNS, KILLED))
