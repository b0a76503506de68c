import json
import os
import stat
import threading
from datetime import UTC, datetime

import pytest

from cachepilot.adapters.event_file import EventFile
from cachepilot.adapters.event_reader import EventReader
from cachepilot.spec.document import TenantName

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def log(paths):
    return EventFile(paths.events, owner=None)


def tell(log, message="it starts", **more):
    told = {"at": NOON, "tenant_name": TenantName("acme"), "warning": False, "reason": "Started"}
    log.record(**(told | {"message": message} | more))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_one_line_of_json(paths, log):
    tell(log)
    tell(log, "two\nlines \ud800", tenant_name=None, warning=True)

    assert lines(paths.events) == [
        {
            "time": "2026-03-01T12:00:00.250Z",
            "tenant": "acme",
            "type": "Normal",
            "reason": "Started",
            "message": "it starts",
        },
        {
            "time": "2026-03-01T12:00:00.250Z",
            "tenant": None,
            "type": "Warning",
            "reason": "Started",
            "message": "two\nlines ?",
        },
    ]
    assert stat.S_IMODE(paths.events.stat().st_mode) == 0o640


def test_a_line_that_somebody_died_within_does_not_spoil_the_next(paths, log):
    tell(log, "first")
    with paths.events.open("a") as file:
        file.write('{"time": "2026')
    tell(log, "second")

    seen = [event["message"] for event in EventReader(paths.events).newest_first()]
    assert seen == ["second", "first"]


def test_a_full_file_becomes_the_older_one_and_no_event_is_lost(paths):
    log = EventFile(paths.events, owner=None, largest=400)
    older = paths.events.with_name("events.jsonl.1")
    told = []
    for number in range(6):
        tell(log, f"event {number}")
        told.append(f"event {number}")
        kept = [*(lines(older) if older.exists() else []), *lines(paths.events)]
        assert [event["message"] for event in kept] == told[-len(kept) :]
        assert paths.events.stat().st_size <= 400

    assert older.exists()
    assert sorted(p.name for p in paths.log.iterdir()) == ["events.jsonl", "events.jsonl.1"]


def test_a_file_that_was_rotated_away_is_begun_again(paths, log):
    tell(log, "old")
    paths.events.rename(paths.log / "elsewhere")
    tell(log, "new")

    assert [event["message"] for event in lines(paths.events)] == ["new"]


def test_a_disk_that_is_full_stops_nobody_and_is_told_later(paths, log, monkeypatch):
    tell(log, "before")
    real = os.write

    def write_half(file, line):
        return real(file, line[: len(line) // 2])

    def fail(*_args):
        raise OSError(28, "No space left on device")

    for trouble in (write_half, fail):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", trouble)
            tell(log, "lost")
    tell(log, "after")

    seen = lines(paths.events)
    assert [event["reason"] for event in seen] == ["Started", "EventsLost", "Started"]
    assert seen[1]["message"] == "2 events could not be written"
    tell(log, "and nothing more was lost")
    assert len(lines(paths.events)) == 4


def test_a_link_in_the_files_place_is_not_written_through(tmp_path, paths, log):
    paths.log.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    paths.events.symlink_to(victim)

    tell(log)

    assert victim.read_text() == "precious"
    paths.events.unlink()
    tell(log)
    assert [event["reason"] for event in lines(paths.events)] == ["EventsLost", "Started"]


def test_threads_never_mix_their_lines(paths, log):
    def tell_many(number):
        for turn in range(50):
            tell(log, f"{number}-{turn} " + "x" * 500)

    threads = [threading.Thread(target=tell_many, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = [event["message"].split()[0] for event in lines(paths.events)]
    assert len(seen) == len(set(seen)) == 400
