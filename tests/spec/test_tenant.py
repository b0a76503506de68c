"""What a spec answers about itself."""

from __future__ import annotations

import pytest

from cachepilot.spec.document import AccessMode, State
from cachepilot.spec.tenant import is_loopback, is_wildcard
from cachepilot.spec.upgrade import UpgradeStrategy
from tests.builders import tenant


@pytest.mark.parametrize(
    ("mode", "listeners"),
    [
        (AccessMode.TLS_ONLY, (("tls", 7300),)),
        (AccessMode.PLAIN_ONLY, (("plain", None),)),
        (AccessMode.DUAL_MODE, (("tls", 7300), ("plain", None))),
    ],
)
def test_listeners_are_those_of_the_access_mode_with_their_pinned_ports(mode, listeners):
    assert tenant(access=mode, tls_port=7300).listeners == listeners


@pytest.mark.parametrize("state", State)
def test_only_a_running_tenant_serves(state):
    assert tenant(state=state).serves is (state is State.RUNNING)


@pytest.mark.parametrize("strategy", UpgradeStrategy)
def test_only_a_tenant_that_hands_over_is_in_a_sandbox(strategy):
    assert tenant(strategy=strategy).in_sandbox is (strategy is UpgradeStrategy.HANDOVER)


@pytest.mark.parametrize(
    ("address", "wildcard", "loopback"),
    [
        ("0.0.0.0", True, False),
        ("::", True, False),
        ("127.0.0.2", False, True),
        ("::1", False, True),
        ("192.0.2.1", False, False),
    ],
)
def test_addresses_are_told_apart(address, wildcard, loopback):
    assert (is_wildcard(address), is_loopback(address)) == (wildcard, loopback)
