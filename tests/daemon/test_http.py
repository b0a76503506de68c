from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachepilot.daemon.http import HttpServer


class Pages:
    """A server whose answers the test decides."""

    def __init__(self):
        self.live, self.ready = {}, {}
        self.server = HttpServer(
            "127.0.0.1",
            0,
            metrics=lambda: b"cachepilot_up 1\n",
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
