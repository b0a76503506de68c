"""Waiting for the world; the only place in the scenarios that knows about time."""

import time
from collections.abc import Callable
from typing import TypeVar

import docker.errors
import redis

# Generous, because a loaded machine must not fail a scenario; how fast things are is measured
# by the benchmarks.
PATIENCE = 30.0
# Two of the shortest resyncs, with their jitter.
TWO_RESYNCS = 12.0

# What an observation may meet while the world is still changing.
_NOT_YET = (AssertionError, OSError, KeyError, redis.RedisError, docker.errors.DockerException)

Answer = TypeVar("Answer")


def eventually(check: Callable[[], Answer], *, timeout: float = PATIENCE) -> Answer:
    """Return the first true answer of *check*; fail with what it said last."""
    end = time.monotonic() + timeout
    while True:
        try:
            if answer := check():
                return answer
            complaint: Exception = AssertionError(f"it went on answering {answer!r}")
        except _NOT_YET as error:
            complaint = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:.0f} s: {complaint}") from complaint
        time.sleep(0.05)


def throughout(check: Callable[[], object], *, seconds: float) -> None:
    """Fail unless *check* is true all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert check()
        time.sleep(0.2)
