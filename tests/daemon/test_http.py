from __future__ import annotations

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from cachepilot.daemon.http import HttpServer
from tests.scenarios.waiting import eventually


class Pages:
    """A server whose answers the test decides."""

    def __init__(self, metrics=b"cachepilot_up 1\n"):
        self.live, self.ready = {}, {}
        self.server = HttpServer(
            "127.0.0.1",
            0,
            metrics=lambda: metrics,
            live=lambda: self.live,
            ready=lambda: self.ready,
        )

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()


@pytest.fixture
def pages():
    made = Pages()
    yield made
    made.server.close()


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz", "/livez?verbose"])
def test_health_is_ok_while_nothing_is_wrong(pages, path):
    status, body, _ = pages.get(path)

    assert status == 200
    assert body == ("{}\n" if "verbose" in path else "ok\n")


def test_what_is_wrong_is_named_and_readiness_is_not_liveness(pages):
    pages.ready = {"docker": "cannot reach Docker"}

    status, body, _ = pages.get("/readyz")

    assert status == 503
    assert json.loads(body) == {"docker": "cannot reach Docker"}
    assert pages.get("/livez")[0] == 200


def test_a_stuck_worker_is_not_alive(pages):
    pages.live = {"worker-1": "no sign of life for 99 s"}

    assert pages.get("/livez")[0] == 503
    assert pages.get("/readyz")[0] == 200


def test_metrics_are_served_as_their_format_demands(pages):
    status, body, headers = pages.get("/metrics")

    assert (status, body) == (200, "cachepilot_up 1\n")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_the_landing_page_names_the_others_and_nothing_else_is_there(pages):
    status, body, headers = pages.get("/")

    assert status == 200
    assert all(path in body for path in ("/metrics", "/livez", "/readyz"))
    assert pages.get("/secrets")[0] == 404
    assert "Python" not in headers["Server"]


def test_several_are_served_at_once(pages):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: pages.get("/livez")[0], range(16)))

    assert answers == [200] * 16


def test_a_closed_server_answers_nobody():
    pages = Pages()
    pages.server.close()

    with pytest.raises(ConnectionRefusedError):
        pages.get("/livez")


# Clients that only hold a connection -----------------------------------------------------------


@pytest.fixture
def connect(pages):
    """Return a maker of connections that have sent *words* and then say nothing more."""
    with ExitStack() as stack:

        def make(words=b""):
            plain = socket.create_connection(("127.0.0.1", pages.server.port), timeout=30)
            stack.enter_context(plain)
            plain.sendall(words)
            return plain

        yield make


HESITANT = {
    "silent": b"",
    "within the first line": b"GET /metr",
    "within the headers": b"GET /metrics HTTP/1.1\r\nHost: here\r\n",
}


@pytest.mark.parametrize("words", HESITANT.values(), ids=HESITANT)
def test_many_who_never_finish_asking_do_not_keep_others_out(pages, connect, words):
    for _ in range(100):
        connect(words)

    assert pages.get("/metrics")[0] == 200


def test_whoever_never_finishes_asking_is_dropped_a_byte_now_and_then_or_not(connect):
    """A trickle never lets the timeout of a single read run out."""
    waiting = [connect(words) for words in HESITANT.values()]
    slow, ended = connect(b"GET /metrics"), threading.Event()

    def trickle():
        with suppress(OSError):
            while not ended.wait(0.2):
                slow.sendall(b"x")

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    try:
        for each in (*waiting, slow):
            assert read_all(each) == b""
    finally:
        ended.set()
        thread.join()


def test_many_who_do_not_read_the_answer_are_dropped():
    pages = Pages(metrics=b"x" * 16_000_000)
    with ExitStack() as stack:
        stack.callback(pages.server.close)
        for _ in range(20):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", pages.server.port))
            deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")

        assert eventually(lambda: pages.get("/livez")[0] == 200)


def read_all(connection):
    """Return what comes until the other side hangs up; fail if it never does."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            received += piece
    return bytes(received)
