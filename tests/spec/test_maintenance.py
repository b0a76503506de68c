"""When a window is open, by calendars that somebody else wrote down."""

from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.spec.maintenance import Window
from cachepilot.spec.parse import parse
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.tree import Tree
from tests.builders import document, rules, written

HOUR = timedelta(hours=1)
SUNDAY = Window(cron="0 3 * * 0", duration=2 * HOUR, time_zone="UTC")
BERLIN = Window(cron="30 2 * * *", duration=HOUR, time_zone="Europe/Berlin")
ALWAYS = Window(cron="* * * * *", duration=timedelta(minutes=1), time_zone="UTC")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-29T02:59:59", False),
        ("2026-11-29T03:00:00", True),
        ("2026-11-29T04:59:59", True),
        ("2026-11-29T05:00:00", False),
        ("2026-11-28T03:30:00", False),
    ],
)
def test_a_window_opens_with_its_cron_and_closes_after_its_duration(moment, is_open):
    assert SUNDAY.has_room(at(moment), timedelta()) is is_open


def test_what_needs_longer_than_what_remains_has_no_room():
    assert SUNDAY.has_room(at("2026-11-29T04:00:00"), HOUR)
    assert not SUNDAY.has_room(at("2026-11-29T04:00:01"), HOUR)


def test_the_next_opening_is_told_in_utc_and_as_local_clocks_show_it():
    assert SUNDAY.next_opening(at("2026-11-29T03:00:00")) == at("2026-12-06T03:00:00")
    opening = BERLIN.next_opening(at("2026-07-01T12:00:00"))
    assert opening == at("2026-07-02T00:30:00")
    assert f"{BERLIN.local(opening):%H:%M}" == "02:30"


def test_an_hour_that_clocks_skip_opens_the_window_right_behind_it():
    assert BERLIN.next_opening(at("2026-03-28T12:00:00")) == at("2026-03-29T01:00:00")
    assert BERLIN.has_room(at("2026-03-29T01:59:00"), timedelta())
    assert not BERLIN.has_room(at("2026-03-29T02:00:00"), timedelta())


def test_an_hour_that_clocks_repeat_opens_the_window_once_and_not_longer():
    assert BERLIN.next_opening(at("2026-10-24T12:00:00")) == at("2026-10-25T00:30:00")
    assert BERLIN.has_room(at("2026-10-25T01:29:59"), timedelta())
    assert not BERLIN.has_room(at("2026-10-25T01:30:00"), timedelta())
    assert BERLIN.next_opening(at("2026-10-25T00:30:00")) == at("2026-10-26T01:30:00")


def test_windows_that_touch_are_one():
    assert ALWAYS.has_room(at("2026-11-29T04:00:30"), timedelta(hours=3))
    daily = Window(cron="0 0 * * *", duration=timedelta(days=3), time_zone="UTC")
    assert daily.has_room(at("2026-11-29T12:00:00"), timedelta(days=6))


def test_a_window_of_days_is_found_however_long_ago_it_opened():
    week = Window(cron="0 0 * * 1", duration=timedelta(days=6), time_zone="UTC")
    assert week.has_room(at("2026-11-28T23:00:00"), HOUR)
    assert not week.has_room(at("2026-11-29T00:00:00"), timedelta())


def test_a_window_prints_itself():
    assert str(SUNDAY) == "0 3 * * 0 UTC, for 2h"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("cron", "0 3 * *", "expected five fields"),
        ("cron", "0 0 3 * * 0", "expected five fields"),
        ("cron", "@weekly", "expected five fields"),
        ("cron", "0 25 * * *", "expected a cron expression such as 0 3 * * 0 (Bad hour)"),
        ("cron", "0 3 30 2 *", "(Bad day-of-month)"),
        ("cron", "0 3 31 4,6 *", "(Bad day-of-month)"),
        ("timeZone", "Europe/Atlantis", "expected a time zone that this host knows"),
        ("timeZone", "../../etc/passwd", "expected a time zone that this host knows"),
        ("timeZone", "", "expected a time zone that this host knows"),
        ("duration", "59s", "expected 1m to 7d"),
        ("duration", "8d", "expected 1m to 7d"),
    ],
)
def test_a_window_that_cannot_be_kept_is_refused(field, value, told):
    window = {"cron": "0 3 * * 0", "duration": "2h", field: value}
    tree = Tree(file="acme.yaml", value=written(maintenance={"window": window}))
    (problem,) = parse(tree, Rules())
    assert problem.where == f"spec.maintenance.window.{field}"
    assert told in problem.message


def test_spaces_in_a_cron_expression_mean_nothing():
    window = {"cron": " 0  3 * * 0 ", "duration": "2h"}
    spec = resolve(document(maintenance={"window": window}), Rules())
    assert isinstance(spec, TenantSpec)
    assert spec.window == SUNDAY


def test_the_window_of_the_host_holds_for_whoever_names_none():
    window = {"cron": "0 3 * * 0", "duration": "2h"}
    host = rules(defaults={"maintenance": {"window": window}})
    assert resolve(document(), host).window == SUNDAY
    own = {"window": {**window, "timeZone": "Asia/Tokyo"}}
    assert resolve(document(maintenance=own), host).window.time_zone == "Asia/Tokyo"
    only = {"openUntil": "2026-11-29T00:00:00Z"}
    assert resolve(document(maintenance=only), host).window == SUNDAY
    assert resolve(document(), Rules()).window is None
