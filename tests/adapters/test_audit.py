import json
from datetime import UTC, datetime

import pytest

from cachepilot.adapters.audit import person, record_deed
from cachepilot.errors import UnavailableError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def deed(path):
    record_deed(path, at=NOON, tenant_name="acme", reason="R", message="m", details={"by": "me"})


def test_deeds_are_appended_as_whole_lines_even_behind_a_torn_one(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"time": "torn')
    deed(path)
    deed(path)
    torn, *whole = path.read_text().splitlines()
    assert torn == '{"time": "torn'
    assert [json.loads(line)["details"] for line in whole] == [{"by": "me"}] * 2


def test_a_deed_that_cannot_be_recorded_is_an_error(tmp_path):
    with pytest.raises(UnavailableError, match="no such file"):
        deed(tmp_path / "nowhere/events.jsonl")


def test_a_link_planted_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "events.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError):
        deed(tmp_path / "events.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]


def test_the_person_behind_sudo_is_named():
    alone = person({})
    assert person({"SUDO_USER": alone}) == alone
    assert person({"SUDO_USER": "alice"}) == f"alice (as {alone})"
