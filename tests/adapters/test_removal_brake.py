from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters.removal_brake import RemovalBrake, is_mass_removal
from cachepilot.observe.memory import Memory
from cachepilot.spec.digest import canonical_json
from cachepilot.spec.reading import Presence, Reading
from tests.builders import written

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Folder:
    """A folder that lists some tenants completely, or cannot be listed at all."""

    def __init__(self, names):
        self.there, self.is_readable = set(names), True

    def read(self, tenant_name):
        if not self.is_readable:
            return Reading(tenant_name=tenant_name, presence=Presence.UNKNOWN)
        if tenant_name in self.there:
            return Reading(tenant_name=tenant_name, presence=Presence.PRESENT)
        return Reading(tenant_name=tenant_name, presence=Presence.ABSENT, absent_since=NOON)

    def refresh(self, now):
        return frozenset({"changed"})

    def names(self):
        return frozenset(self.there)


class Bench:
    def __init__(self, number, *, states=None, retired=()):
        self.names = [f"t{index}" for index in range(number)]
        self.folder = Folder(self.names)
        states = states or {}
        self.memories = {
            name: Memory(
                document=canonical_json(written(name, **states.get(name, {}))),
                retired=name in retired,
            )
            for name in self.names
        }
        self.brake = RemovalBrake(
            self.folder,
            known=lambda besides: tuple(name for name in self.memories if name not in besides),
            recall=self.memories.__getitem__,
        )

    def lose(self, number):
        self.folder.there -= set(self.names[:number])
        return self.brake.refresh(NOON)

    def presence(self, name):
        return self.brake.read(name).presence


@pytest.mark.parametrize(
    ("vanished", "known", "is_too_much"),
    [
        (0, 0, False),
        (3, 3, False),
        (3, 100, False),
        (4, 20, False),
        (4, 19, True),
        (5, 20, True),
        (20, 100, False),
        (21, 100, True),
    ],
)
def test_more_than_three_and_more_than_a_fifth_is_a_mistake(vanished, known, is_too_much):
    assert is_mass_removal(vanished, known) is is_too_much


@given(st.integers(0, 500), st.integers(0, 500))
def test_losing_more_never_looks_more_like_a_wish(vanished, known):
    assert is_mass_removal(vanished, known) <= is_mass_removal(vanished + 1, known)


def test_a_few_that_vanish_are_a_wish():
    bench = Bench(10)

    bench.lose(3)

    assert bench.brake.engaged == ""
    assert bench.presence("t0") is Presence.ABSENT
    assert bench.brake.read("t0").absent_since == NOON


def test_many_that_vanish_at_once_are_unknown_and_not_absent():
    bench = Bench(10)

    changed = bench.lose(4)

    assert "4 of 10" in bench.brake.engaged
    assert {bench.presence(name) for name in bench.names[:4]} == {Presence.UNKNOWN}
    assert bench.brake.read("t0").absent_since is None
    assert bench.presence("t9") is Presence.PRESENT
    assert changed == {"changed", "t0", "t1", "t2", "t3"}, "their status must say so at once"


def test_whoever_reads_while_the_folder_is_listed_again_still_meets_the_brake():
    bench = Bench(10)
    bench.lose(5)
    met, recall = [], bench.memories.__getitem__

    def recall_beside_a_worker(name):
        met.append(bench.presence("t0"))
        return recall(name)

    bench.brake._recall = recall_beside_a_worker
    bench.brake.refresh(NOON)

    assert set(met) == {Presence.UNKNOWN}


def test_the_brake_lets_go_when_files_come_back():
    bench = Bench(10)
    bench.lose(5)
    bench.folder.there |= {"t0", "t1"}

    changed = bench.brake.refresh(NOON)

    assert bench.brake.engaged == ""
    assert bench.presence("t2") is Presence.ABSENT
    assert changed == {"changed", "t2", "t3", "t4"}


def test_a_folder_that_is_empty_stops_nobody():
    for number in (1, 2, 3, 10):
        bench = Bench(number)

        bench.lose(number)

        assert bench.brake.engaged, number
        assert {bench.presence(name) for name in bench.names} == {Presence.UNKNOWN}


def test_a_folder_that_cannot_be_listed_is_no_removal():
    bench = Bench(10)
    bench.folder.is_readable = False

    bench.brake.refresh(NOON)

    assert bench.brake.engaged == ""
    assert {bench.presence(name) for name in bench.names} == {Presence.UNKNOWN}


def test_who_serves_no_more_is_no_loss():
    gone = {f"t{index}": {"state": "deleted"} for index in range(5)}
    bench = Bench(20, states=gone, retired=("t5", "t6"))

    bench.lose(9)

    assert bench.brake.engaged == "", "only two of thirteen that serve are gone"


def test_a_record_without_a_document_is_no_loss():
    bench = Bench(10)
    for name in bench.names[:4]:
        bench.memories[name] = Memory()

    bench.lose(4)

    assert bench.brake.engaged == ""


def test_while_nothing_turns_only_what_changed_is_told():
    bench = Bench(10)
    assert bench.lose(1) == {"changed"}
    bench.lose(6)

    assert bench.brake.refresh(NOON) == {"changed"}


def test_names_are_those_of_the_folder():
    assert Bench(2).brake.names() == {"t0", "t1"}
