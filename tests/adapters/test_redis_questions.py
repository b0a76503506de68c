from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import pytest
import redis.exceptions

from cachepilot import clock
from cachepilot.adapters import redis_connections
from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.redis_errors import why
from cachepilot.adapters.redis_questions import RedisQuestions, _number
from cachepilot.adapters.secret import Secret
from cachepilot.observe.ports import ClientQuestions


def test_a_refused_rule_is_told_without_the_hash_in_it():
    error = redis.exceptions.ResponseError(f"Error in ACL SETUSER modifier '#{'ab' * 32}': no")

    assert why(error) == "Error in ACL SETUSER modifier '#…': no"


@pytest.fixture
def listener(tmp_path, monkeypatch):
    """A socket at which the kernel lets us in and nobody ever says a word."""
    monkeypatch.setattr(redis_connections, "_TIMEOUT", 0.2)
    # Below a path that is short enough for a socket.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("redis.sock")
        yield made


def ask(folder):
    connections = ManagementConnections(
        run_folder=lambda *_: folder, password=lambda _: Secret("p"), monotonic=clock.monotonic
    )
    questions = RedisQuestions(connections, revision_of=lambda *_: "1")
    return questions.ask(
        "acme", instance=1, directives=("maxmemory",), users=(), clients=ClientQuestions()
    )


def test_a_server_that_lets_us_wait_is_silent(listener, tmp_path):
    listener.listen()

    assert ask(tmp_path).silent


def test_a_server_at_whose_door_too_many_wait_is_silent(listener, tmp_path):
    listener.listen(0)
    with ExitStack() as crowd:
        with pytest.raises(BlockingIOError):
            while True:
                visitor = crowd.enter_context(socket.socket(socket.AF_UNIX))
                visitor.setblocking(False)
                visitor.connect("redis.sock")

        assert ask(tmp_path).silent


@pytest.mark.parametrize("is_there", [False, True])
def test_a_server_that_is_gone_is_not_silent(listener, tmp_path, is_there):
    if not is_there:
        os.unlink(tmp_path / "redis.sock")  # noqa: PTH108 - as a server does
    listener.close()

    assert not ask(tmp_path).silent


@pytest.mark.parametrize(
    "answer", [-1, 2**63, pytest.param(10**400, id="400 digits"), 1.5, "7", None]
)
def test_what_no_server_counts_is_no_count(answer):
    """One number that no float can hold would take the metrics of all tenants away."""
    with pytest.raises(ValueError, match="not a count"):
        _number(answer)


def test_whatever_fits_into_64_bits_is_a_count():
    assert (_number(0), _number(2**63 - 1)) == (0, 2**63 - 1)
