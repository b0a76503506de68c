from __future__ import annotations

import io
import json
from datetime import UTC, datetime

from cachepilot.daemon.logging import Logger

NOON = datetime(2030, 1, 2, 12, 0, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def written(stream, *, least="info"):
    log = Logger(stream, least=least, utc_now=lambda: NOON)
    log.info("performed", tenant="acm", detail='said "hm"\nand left')
    log.warning("late", seconds=3)
    log.error("broken")
    return stream.getvalue().splitlines()


def test_machines_get_one_object_a_line_and_time_level_and_event_first():
    lines = written(io.StringIO())

    assert [list(json.loads(line)) for line in lines] == [
        ["ts", "level", "event", "tenant", "detail"],
        ["ts", "level", "event", "seconds"],
        ["ts", "level", "event"],
    ]
    assert json.loads(lines[0]) == {
        "ts": "2030-01-02T12:00:00Z",
        "level": "info",
        "event": "performed",
        "tenant": "acm",
        "detail": 'said "hm"\nand left',
    }


def test_a_person_gets_words_and_still_one_line_an_event():
    assert written(Terminal()) == [
        '2030-01-02T12:00:00Z info    performed tenant=acm detail="said \\"hm\\"\\nand left"',
        "2030-01-02T12:00:00Z warning late seconds=3",
        "2030-01-02T12:00:00Z error   broken",
    ]


def test_what_is_less_severe_is_left_out():
    assert [json.loads(line)["level"] for line in written(io.StringIO(), least="warning")] == [
        "warning",
        "error",
    ]
    assert len(written(io.StringIO(), least="error")) == 1
    assert len(written(io.StringIO(), least="debug")) == 3


def test_what_json_does_not_know_becomes_text():
    stream = io.StringIO()
    Logger(stream, least="info").info("seen", at=NOON)

    assert json.loads(stream.getvalue())["at"] == str(NOON)
