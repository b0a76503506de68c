from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from cachepilot.daemon.report import Reporter
from cachepilot.errors import UnavailableError
from cachepilot.settings import Settings


class FullBoard:
    """A folder for status with no space left."""

    def publish_host(self, status):
        raise UnavailableError("cannot write host.json: no space left on device")


def test_a_status_that_cannot_be_published_is_not_called_an_outage_of_docker(monkeypatch):
    fleet = SimpleNamespace(count_words=lambda: Counter(Ready=2))
    parts = SimpleNamespace(board=FullBoard())
    reporter = Reporter(parts, None, fleet, None, None, Settings())
    monkeypatch.setattr(reporter, "_host_status", lambda: None)
    reporter.note_docker("")

    reporter.publish()

    assert reporter.not_ready() == {}
    assert "no space left" in reporter.headline()
