"""What is said of a server that does not answer, or refuses."""

from __future__ import annotations

import re

import redis.exceptions

from cachepilot.spec.tree import shorten

_HASH = re.compile(r"#[0-9a-fA-F]{64}")
_SATURATED = "max number of clients"


def is_busy(error: Exception) -> bool:
    """Return whether a script or function runs and runs."""
    return str(error).startswith("BUSY ")


def is_saturated(error: Exception) -> bool:
    """Return whether the server has no room for another connection."""
    return _SATURATED in str(error)


def is_silence(error: Exception) -> bool:
    """Return whether we waited in vain, for an answer or at a door where too many wait."""
    waited = (TimeoutError, BlockingIOError, redis.exceptions.TimeoutError)
    return isinstance(error, waited) or isinstance(error.__context__, waited)


def why(error: Exception) -> str:
    """Return an error in a few words, without the addresses and paths of descriptors."""
    if isinstance(error, FileNotFoundError):
        return "its management socket is missing"
    if isinstance(error, redis.exceptions.AuthenticationError):
        return "it refuses the daemon's password"
    # A server quotes the rule that it refuses, and a rule may be the hash of a password.
    text = shorten(_HASH.sub("#…", str(error)), 200)
    if "/proc/self/fd" in text:
        return "its management socket does not answer"
    return text or type(error).__name__
