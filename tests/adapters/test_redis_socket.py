from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest
import redis.exceptions

from cachepilot.adapters.redis_socket import GuardedConnection, GuardedSocket


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def flood(theirs, size):
    def send():
        with contextlib.suppress(OSError):
            theirs.sendall(b"x" * size)

    threading.Thread(target=send, daemon=True).start()


def test_a_flood_ends_the_conversation(pair):
    ours, theirs = pair
    flood(theirs, 4 << 20)
    guarded, received = GuardedSocket(ours, Clock()), 0

    with pytest.raises(redis.exceptions.ConnectionError, match="more than anybody asked"):
        while received < 4 << 20:
            received += len(guarded.recv(65_536))

    assert received <= 1 << 20


def test_a_trickle_ends_the_conversation(pair):
    ours, theirs = pair
    clock = Clock()
    guarded = GuardedSocket(ours, clock)
    theirs.sendall(b"ab")
    assert guarded.recv(1) == b"a"

    clock.now = 16.0

    with pytest.raises(redis.exceptions.TimeoutError, match="too slowly"):
        guarded.recv(1)


def test_each_conversation_has_an_allowance_of_its_own(pair):
    ours, theirs = pair
    clock = Clock()
    guarded = GuardedSocket(ours, clock)
    clock.now = 16.0
    guarded.begin()
    theirs.sendall(b"a")

    assert guarded.recv(1) == b"a"


@pytest.mark.parametrize("stranger", [False, True])
def test_no_password_goes_to_a_process_of_another_user(tmp_path, stranger):
    path = tmp_path / "redis.sock"
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def answer():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                heard.append(connection.recv(4096))
                connection.sendall(b"+OK\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        connection = GuardedConnection(
            uid=os.getuid() + (1 if stranger else 0),
            monotonic=Clock(),
            path=str(path),
            username="cachepilot",
            password="canary-password",
            driver_info=None,
            protocol=2,
        )
        if stranger:
            with pytest.raises(redis.exceptions.ConnectionError, match="stranger"):
                connection.connect()
        else:
            connection.connect()
            connection.disconnect()
        thread.join(5)

    assert (b"canary-password" in b"".join(heard)) is not stranger
