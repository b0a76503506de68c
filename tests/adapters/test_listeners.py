import socket

import pytest

from cachepilot.adapters import listeners
from cachepilot.adapters.listeners import KERNEL_TABLES, list_listening, read_tables
from cachepilot.errors import UnavailableError

EVERYWHERE = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))


def listen(family, address):
    try:
        return socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip("no such family here")


@pytest.mark.parametrize(("family", "address"), EVERYWHERE)
def test_both_ways_of_asking_find_a_listener_and_miss_a_closed_one(family, address):
    with listen(family, address) as listener:
        port = listener.getsockname()[1]
        assert port in list_listening()
        assert port in read_tables(KERNEL_TABLES)

    assert port not in list_listening()


def test_more_listeners_are_found_than_fit_into_one_answer():
    opened = [listen(socket.AF_INET, "127.0.0.1") for _ in range(400)]
    try:
        assert {each.getsockname()[1] for each in opened} <= list_listening()
    finally:
        for each in opened:
            each.close()


def test_a_connection_is_not_a_listener():
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        assert client.getsockname()[1] not in list_listening()


@pytest.mark.parametrize("question", [0, 99])
def test_a_kernel_that_refuses_the_question_has_its_tables_read(monkeypatch, question):
    monkeypatch.setattr(listeners, "_SOCK_DIAG_BY_FAMILY", question)
    with listen(socket.AF_INET, "127.0.0.1") as listener:
        assert listener.getsockname()[1] in list_listening()


def test_who_may_not_ask_the_kernel_reads_its_tables(monkeypatch):
    monkeypatch.setattr(socket, "AF_NETLINK", 12345)
    with listen(socket.AF_INET, "127.0.0.1") as listener:
        assert listener.getsockname()[1] in list_listening()


def test_a_family_that_the_kernel_lacks_is_no_error(tmp_path):
    assert read_tables((tmp_path / "tcp6",)) == frozenset()


def test_a_table_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UnavailableError, match=f"cannot read {tmp_path}: is a directory"):
        read_tables((tmp_path,))
