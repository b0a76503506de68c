"""What the host's owner may not write, and the words they are told it in."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cachepilot.spec.rules import Range
from tests.builders import document, rules


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"network": {"subnets": ["10.0.0.0/33"]}}, "expected an IPv4 network"),
        ({"network": {"subnets": ["10.0.0.1/24"]}}, "expected an IPv4 network"),
        ({"network": {"subnets": ["fd00::/64"]}}, "expected an IPv4 network"),
        ({"network": {"subnets": ["10.0.0.0/16", "10.0.4.0/22"]}}, "overlap"),
        ({"network": {"subnets": []}}, "at least 1 item"),
        (
            {"network": {"subnets": ["10.0.0.0/22", "10.0.4.0/24"], "tenantsPerBridge": 254}},
            r"10\.0\.4\.0/24 has 256 addresses; tenantsPerBridge 254 needs 257",
        ),
        ({"network": {"subnets": ["10.0.0.7/32"], "tenantsPerBridge": 1}}, "1 .* needs 4"),
        ({"uids": {"first": 9, "last": 8}}, "`last` is lower than `first`"),
        ({"ports": {"tls": {"first": 9, "last": 8}}}, "greater than or equal to 1024"),
        (
            {
                "ports": {
                    "tls": {"first": 7000, "last": 7100},
                    "plain": {"first": 7100, "last": 7200},
                }
            },
            "overlap",
        ),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(sections, words):
    with pytest.raises(ValidationError, match=words):
        rules(**sections)


def test_a_subnet_that_just_suffices_is_taken():
    full = {"subnets": ["10.0.0.0/24"], "tenantsPerBridge": 253}

    assert rules(network=full).network.tenantsPerBridge == 253


def test_a_range_holds_both_its_ends_and_numbers_only():
    found = Range(first=3, last=5)

    assert [number for number in range(10) if number in found] == [3, 4, 5]
    assert "4" not in found


@pytest.mark.parametrize(
    ("events", "words"),
    [("KQ", "unknown event class Q"), ("g$", "needs K or E"), ("KEq!", "unknown event class ! q")],
)
def test_events_that_no_server_delivers_are_refused(events, words):
    with pytest.raises(ValidationError, match=words):
        document(engine={"config": {"notify-keyspace-events": events}})


def test_a_bridges_own_address_is_the_first_of_its_subnet():
    found = rules(network={"subnets": ["10.9.0.0/22", "10.8.4.0/22"], "tenantsPerBridge": 9})

    assert found.network.gateways == {"10.9.0.1", "10.8.4.1"}
