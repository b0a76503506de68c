from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

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


SPEAKER = r"""
import sys
from cachepilot.daemon.logging import configure
if sys.argv[1:]:
    sys.stdout.isatty = lambda: True
configure("info", sys.stdout).info("told", detail="cut off\u2026", word="\u00e4", name="\udcff")
"""


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "iso-8859-1"},
        {"PYTHONIOENCODING": "utf-8"},
    ],
)
def test_no_word_is_too_foreign_for_the_locale_of_the_daemon(locale, terminal):
    ran = subprocess.run(
        [sys.executable, "-c", SPEAKER, *(["terminal"] if terminal else [])],
        env={**os.environ, **locale},
        capture_output=True,
        text=True,
        encoding="ascii",
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    if not terminal:
        told = json.loads(ran.stdout)
        assert (told["detail"], told["word"], told["name"]) == ("cut off…", "ä", "\udcff")
