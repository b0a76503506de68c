import socket
from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.adapters.host import HostFacts, is_foreign
from cachepilot.errors import UnavailableError
from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import SeenAuthority
from cachepilot.spec.document import TenantName

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOBODY = SeenAuthority(exists=False)


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def facts(ledger, clock, **more):
    return HostFacts(
        ledger,
        quarantine=timedelta(days=1),
        utc_now=lambda: NOON,
        monotonic=clock,
        **more,
    )


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET6, "::"),
    ],
)
def test_a_listening_port_is_found_on_whatever_address(ledger, clock, family, address):
    if is_foreign(address):
        pytest.skip("no such family here")
    with socket.create_server((address, 0), family=family) as listener:
        port = listener.getsockname()[1]
        seen = facts(ledger, clock).look(NOBODY, bind=(), new_ports=True, moves=False)
        assert port in seen.listening_ports
        assert (address, port) in seen.listeners

    assert (
        port
        not in facts(ledger, clock)
        .look(NOBODY, bind=(), new_ports=True, moves=False)
        .listening_ports
    )


def test_a_connection_is_not_a_listener(ledger, clock):
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        seen = (
            facts(ledger, clock).look(NOBODY, bind=(), new_ports=True, moves=False).listening_ports
        )

        assert client.getsockname()[1] not in seen


def test_the_tables_are_read_once_a_second(ledger, clock):
    host = facts(ledger, clock)
    host.look(NOBODY, bind=(), new_ports=True, moves=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert port not in host.look(NOBODY, bind=(), new_ports=True, moves=False).listening_ports
        # Whoever would be stopped for a place is not, because of what was true a moment ago.
        assert port in host.look(NOBODY, bind=(), new_ports=False, moves=True).listening_ports


def test_the_tables_are_read_again_after_a_second(ledger, clock):
    host = facts(ledger, clock)
    host.look(NOBODY, bind=(), new_ports=True, moves=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        clock.seconds = 1.1
        assert port in host.look(NOBODY, bind=(), new_ports=True, moves=False).listening_ports


def test_a_family_that_the_kernel_lacks_is_no_error(ledger, clock, tmp_path):
    host = facts(ledger, clock, tables=(tmp_path / "tcp6",))

    assert host.look(NOBODY, bind=(), new_ports=True, moves=False).listening_ports == frozenset()


def test_a_table_that_cannot_be_read_is_told(ledger, clock, tmp_path):
    with pytest.raises(UnavailableError, match=f"cannot read {tmp_path}: is a directory"):
        facts(ledger, clock, tables=(tmp_path,)).look(NOBODY, bind=(), new_ports=True, moves=False)


def test_addresses_of_other_machines_are_foreign(ledger, clock):
    wanted = ("127.0.0.1", "203.0.113.9", "0.0.0.0", "2001:db8::9", "fe80::1")

    seen = facts(ledger, clock).look(NOBODY, bind=wanted, new_ports=True, moves=False)

    assert seen.foreign_addresses == ("203.0.113.9", "2001:db8::9", "fe80::1")


def test_an_address_whose_port_is_in_use_is_still_ours():
    with socket.create_server(("127.0.0.1", 0)):
        assert not is_foreign("127.0.0.1")


def test_ledger_and_authority_are_passed_on(ledger, clock):
    ledger.reserve(
        TenantName("acme"),
        Reservation(tls_port=7300, plain_port=None, uid=200_000, bridge=1),
        now=NOON,
    )
    authority = SeenAuthority(exists=True, fingerprint="f")

    seen = facts(ledger, clock).look(authority, bind=(), new_ports=True, moves=False)

    assert seen.authority == authority
    assert seen.owned_ports == ((7300, "acme"),)
    assert seen.owned_uids == ((200_000, "acme"),)
    assert seen.bridges == ((1, 1),)


def test_listeners_are_not_asked_for_where_no_port_has_to_be_found(ledger, clock, tmp_path):
    absent = facts(ledger, clock, tables=(tmp_path,))

    assert (
        absent.look(NOBODY, bind=(), new_ports=False, moves=False).listening_ports == frozenset()
    )
