"""Whoever listens on a socket is told from what only lies there."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachepilot.adapters.lost_server import is_answering, is_served
from cachepilot.errors import UnavailableError


@pytest.fixture
def listener(tmp_path, monkeypatch):
    # Below a path that is short enough for a socket.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("redis.sock")
        yield made


def test_a_living_server_is_found_even_if_it_never_answers(listener, tmp_path):
    listener.listen()

    assert is_served(tmp_path)


def test_one_that_never_answers_is_told_from_one_that_does(listener, tmp_path):
    listener.listen()
    assert not is_answering(tmp_path)

    def refuse():
        first, _ = listener.accept()
        first.close()  # of the question that was given up
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100) == b"PING\r\n"
            connection.sendall(b"-NOAUTH Authentication required.\r\n")

    with ThreadPoolExecutor() as threads:
        server = threads.submit(refuse)
        assert is_answering(tmp_path)
        server.result()


def test_what_a_dead_server_left_behind_is_nobody(listener, tmp_path):
    listener.listen()
    listener.close()

    assert (tmp_path / "redis.sock").is_socket()
    assert not is_served(tmp_path)


@pytest.mark.parametrize("content", [None, "a file"])
def test_without_a_socket_nobody_serves(tmp_path, content):
    if content:
        (tmp_path / "redis.sock").write_text(content)

    assert not is_served(tmp_path)
    assert not is_served(tmp_path / "absent")


def test_a_link_leads_nowhere(listener, tmp_path):
    listener.listen()
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "redis.sock").symlink_to(tmp_path / "redis.sock")
    (tmp_path / "folder").symlink_to(tmp_path)

    assert not is_served(planted)
    assert not is_served(tmp_path / "folder")


def test_what_cannot_be_opened_is_no_all_clear(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)

    with pytest.raises(UnavailableError, match="cannot open"):
        is_served(tmp_path)
