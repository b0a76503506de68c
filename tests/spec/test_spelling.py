"""What somebody may have meant."""

from __future__ import annotations

import pytest

from cachepilot.spec.spelling import did_you_mean

KNOWN = ("maxclients", "tcp-keepalive", "memory", "passwordFile")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("memroy", "memory"),
        ("MEMORY", "memory"),
        ("max-clients", "maxclients"),
        ("tcp_keepalive", "tcp-keepalive"),
        ("passwordfile", "passwordFile"),
    ],
)
def test_small_slips_are_recognised(word, meant):
    assert did_you_mean(word, KNOWN) == f'did you mean "{meant}"?'


@pytest.mark.parametrize("word", ["", "zzz", "x" * 100_000])
def test_nothing_is_suggested_for_what_resembles_nothing(word):
    assert did_you_mean(word, KNOWN) == ""


def test_nothing_is_suggested_from_nothing():
    assert did_you_mean("memory", []) == ""
