from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import SeenHost
from cachepilot.plan.actions import Blocked
from cachepilot.plan.identity import choose_reservation
from cachepilot.spec.document import AccessMode
from tests.builders import rules, tenant
from tests.fakes.scenes import look
from tests.fakes.world import FakeWorld

NARROW = rules(
    ports={"tls": {"first": 7300, "last": 7305}, "plain": {"first": 7600, "last": 7605}},
    uids={"first": 100, "last": 105},
    network={"subnets": ["10.0.0.0/24", "10.0.1.0/24"], "tenantsPerBridge": 2},
)
BLANK = look(FakeWorld(), tenant())
HELD = Reservation(tls_port=7301, plain_port=7601, uid=101, bridge=0)
PORTS = st.sets(st.integers(7300, 7305) | st.integers(7600, 7605))


def listening_on(*ports):
    return frozenset(("127.0.0.1", port) for port in ports)


def choose(spec, *, held=None, under=NARROW, **host):
    seen = replace(
        BLANK,
        tenant_name=spec.name,
        memory=replace(BLANK.memory, reservation=held),
        host=SeenHost(authority=BLANK.host.authority, **host),
    )
    return choose_reservation(spec, seen, under)


@given(
    name=st.from_regex(r"\A[a-z]{1,8}\Z"),
    access=st.sampled_from(AccessMode),
    owned=PORTS,
    resting=PORTS,
    listening=PORTS,
    uids=st.sets(st.integers(100, 105)),
    resting_uids=st.sets(st.integers(100, 105)),
)
@settings(deadline=None)
def test_whatever_is_chosen_is_free_and_nothing_is_refused_while_something_is_free(
    name, access, owned, resting, listening, uids, resting_uids
):
    chosen = choose(
        tenant(name, access=access),
        owned_ports=tuple((port, "somebody-else") for port in owned),
        owned_uids=tuple((uid, "somebody-else") for uid in uids),
        resting_ports=frozenset(resting),
        resting_uids=frozenset(resting_uids),
        listeners=listening_on(*listening),
    )

    taken = owned | resting | listening
    free = {
        "tls": set(range(7300, 7306)) - taken,
        "plain": set(range(7600, 7606)) - taken,
        "uid": set(range(100, 106)) - uids - resting_uids,
    }
    needs = {"uid"}
    needs |= {"tls"} if access.has_tls else set()
    needs |= {"plain"} if access.has_plain else set()
    if isinstance(chosen, Blocked):
        assert any(not free[what] for what in needs)
        return
    got = {"tls": chosen.tls_port, "plain": chosen.plain_port, "uid": chosen.uid}
    for what, number in got.items():
        assert number in free[what] if what in needs else number is None


def test_the_same_tenant_gets_the_same_numbers_everywhere():
    assert choose(tenant()) == choose(tenant())


def test_neighbours_start_looking_in_different_places():
    chosen = {choose(tenant(f"tenant-{number}"), under=rules()).tls_port for number in range(50)}

    assert len(chosen) > 40


def test_what_is_held_is_kept_even_if_it_listens_and_the_ranges_moved():
    moved = rules(ports={"tls": {"first": 9000, "last": 9001}})

    chosen = choose(
        tenant(),
        held=HELD,
        under=moved,
        listeners=listening_on(7301),
        owned_ports=((7301, "acme"),),
    )

    assert chosen == HELD


def test_a_port_is_kept_while_its_listener_is_closed():
    assert choose(tenant(access=AccessMode.PLAIN_ONLY), held=HELD) == HELD


def test_a_pin_moves_one_port_and_leaves_the_rest():
    chosen = choose(tenant(tls_port=9999), held=HELD)

    assert chosen == replace(HELD, tls_port=9999)


def test_a_pin_that_is_taken_back_leaves_the_port_where_clients_know_it():
    assert choose(tenant(), held=replace(HELD, tls_port=9999)).tls_port == 9999


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({"owned_ports": ((7301, "other"),)}, "PortConflict"),
        ({"owned_ports": ((7301, "other"),), "listeners": listening_on(7301)}, "PortConflict"),
        ({"listeners": listening_on(7301)}, "PortInUse"),
        ({"resting_ports": frozenset({7301})}, None),
        ({"owned_ports": ((7301, "acme"),)}, None),
    ],
    ids=["another tenant's", "another tenant's that serves", "a program's", "resting", "own"],
)
def test_a_pinned_port_must_be_ours_or_nobodys(host, reason):
    """One that is resting may be pinned: whoever writes its number down knows what they want."""
    chosen = choose(tenant(tls_port=7301), **host)

    if reason:
        assert isinstance(chosen, Blocked)
        assert chosen.reason == reason
        assert "7301" in chosen.message
    else:
        assert chosen.tls_port == 7301


def test_a_pinned_plain_port_is_held_to_the_same():
    chosen = choose(
        tenant(access=AccessMode.DUAL_MODE, plain_port=7601), listeners=listening_on(7601)
    )

    assert chosen.reason == "PortInUse"


def test_what_a_visit_reserved_before_it_was_cut_short_is_taken_up_again():
    chosen = choose(
        tenant(),
        owned_ports=((7304, "acme"), (7302, "acme"), (7600, "acme"), (7303, "other")),
        owned_uids=((104, "acme"), (100, "other")),
        listeners=listening_on(7302),
    )

    assert (chosen.tls_port, chosen.uid) == (7302, 104)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({"owned_ports": tuple((port, "o") for port in range(7300, 7306))}, "PortsExhausted"),
        ({"resting_ports": frozenset(range(7600, 7606))}, "PortsExhausted"),
        ({"owned_uids": tuple((uid, "o") for uid in range(100, 106))}, "UidsExhausted"),
        ({"resting_uids": frozenset(range(100, 106))}, "UidsExhausted"),
        ({"bridges": ((0, 2), (1, 2))}, "BridgesFull"),
    ],
)
def test_exhaustion_is_said_so(host, reason):
    assert choose(tenant(access=AccessMode.DUAL_MODE), **host).reason == reason


def test_bridges_are_filled_in_order():
    assert choose(tenant(), bridges=((0, 1),)).bridge == 0
    assert choose(tenant(), bridges=((0, 2),)).bridge == 1
    assert choose(tenant(), bridges=((1, 2),)).bridge == 0
