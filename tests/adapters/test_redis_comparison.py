"""When the keys of a new server count as those of the one before."""

from datetime import UTC, datetime

import pytest

from cachepilot.adapters.redis_comparison import counts_differ
from cachepilot.observe.replacement import Note, NotedDatabase

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


def note(*databases, evicts=False):
    return Note(until=UNTIL, databases=databases, sample=(), evicts=evicts)


def info(*keys, **more):
    """Return an answer to INFO with (keys, expires) of database 0, 1 and so on."""
    found = {
        f"db{number}": {"keys": each[0], "expires": each[1], "avg_ttl": 0}
        for number, each in enumerate(keys)
        if each[0]
    }
    return found | more


LASTING = NotedDatabase(number=0, keys=10)
MIXED = NotedDatabase(number=0, keys=10, expiring=4)
FIELDS = NotedDatabase(number=0, keys=10, with_fields=2)
OTHER = NotedDatabase(number=1, keys=1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (note(LASTING), info((10, 0))),
        (note(), info()),
        (note(LASTING, OTHER), info((10, 0), (1, 0))),
        (note(MIXED), info((10, 4))),
        (note(MIXED), info((7, 1), rdb_last_load_keys_expired=2, expired_keys=1)),
        (note(MIXED), info((6, 0), expired_keys=4)),
        (note(FIELDS), info((8, 0))),
        (note(LASTING, evicts=True), info((7, 0), evicted_keys=3)),
        (note(MIXED, evicts=True), info((5, 2), evicted_keys=3, expired_keys=2)),
    ],
)
def test_what_expired_or_was_evicted_is_not_missed(before, after):
    assert counts_differ(before, after) == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (note(LASTING), info((9, 0))),
        (note(LASTING), info((9, 0), expired_keys=5)),
        (note(LASTING), info((11, 0))),
        (note(LASTING), info()),
        (note(LASTING), info((9, 0), evicted_keys=1)),
        (note(LASTING, OTHER), info((10, 0))),
        (note(LASTING), info((10, 0), (1, 0))),
        (note(MIXED), info((9, 3))),
        (note(MIXED), info((9, 4), expired_keys=1)),
        (note(MIXED), info((5, 0), expired_keys=5)),
        (note(FIELDS), info((7, 0))),
        (note(LASTING, evicts=True), info((7, 0), evicted_keys=2)),
    ],
)
def test_every_other_difference_is_one(before, after):
    assert counts_differ(before, after) != ""
