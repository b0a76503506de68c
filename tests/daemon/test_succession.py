"""The daemon takes the steps of a rotation, tells each, and asks whom it waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from cachepilot import clock
from cachepilot.daemon.succession import Succession
from cachepilot.errors import UnavailableError
from cachepilot.observe.snapshot import RotationPhase, SeenAuthority, SeenRoot, SeenRotation
from cachepilot.plan.succession import SuccessionTerms

FAR = clock.utc_now() + timedelta(days=3000)
OLD, NEW = (SeenRoot(fingerprint=name, not_after=FAR) for name in ("old", "new"))
STEADY = SeenAuthority(exists=True, fingerprint="old", not_after=FAR, roots=(OLD,))
TERMS = SuccessionTerms(
    rotated_at="2026-03-01T00:00:00Z",
    notice=timedelta(days=1),
    overlap=timedelta(0),
    rotate_before=timedelta(days=365),
)


class Roots:
    """A writer whose verbs only move the phase."""

    def __init__(self):
        self.seen, self.error, self.calls = STEADY, None, []

    def __getattr__(self, verb):
        phases = {"begin": "making", "join": "joining", "announce": "announced"}

        def call(**_):
            if self.error:
                raise self.error
            self.calls.append(verb)
            self.go(RotationPhase(phases[verb]))

        return call

    def go(self, phase, **more):
        rotation = SeenRotation(phase=phase, since=clock.utc_now(), by_wish=True, **more)
        roots = (OLD,) if phase is RotationPhase.MAKING else (OLD, NEW)
        self.seen = replace(self.seen, rotation=rotation, roots=roots)


@pytest.fixture
def roots():
    return Roots()


@pytest.fixture
def told():
    return []


def succession(roots, told, *, names=(), visits=None):
    silent = SimpleNamespace(info=lambda *_, **__: None, error=lambda *_, **__: None)
    return Succession(
        look=lambda: roots.seen,
        writer=roots,
        names=lambda: names,
        status=lambda _: None,
        visit=(visits if visits is not None else []).append,
        events=SimpleNamespace(record=lambda **event: told.append(event)),
        log=silent,
    )


def test_without_tenants_a_wish_leads_to_the_announcement_in_one_turn(roots, told):
    work = succession(roots, told)

    pause = work.turn(TERMS)

    assert roots.calls == ["begin", "join", "announce"]
    assert [event["reason"] for event in told] == ["BeginRotation", "JoinRoot", "AnnounceRoot"]
    assert work.progress.until is not None
    assert 2.0 < pause <= 60.0


def test_whoever_is_waited_for_is_visited_once_in_a_phase(roots, told):
    visits = []
    work = succession(roots, told, names=("acme",), visits=visits)

    for _ in range(3):
        work.turn(TERMS)

    assert roots.calls == ["begin", "join"]
    assert work.progress.waits_for == ("acme",)
    assert visits == ["acme"]


def test_a_step_that_fails_is_told_once_and_tried_again(roots, told):
    roots.error = UnavailableError("cannot write rotation.json: no space left on device")
    work = succession(roots, told)
    for _ in range(3):
        work.turn(TERMS)
    assert "no space left" in work.problem
    assert [event["reason"] for event in told] == ["AuthorityRotationBroken"]

    roots.error = None
    work.turn(TERMS)
    assert work.problem == ""
    assert roots.calls == ["begin", "join", "announce"]


def test_a_lost_root_is_told_once(roots, told):
    roots.go(RotationPhase.ANNOUNCED, problem="cannot use the root in /ca/2")
    work = succession(roots, told)
    for _ in range(3):
        work.turn(TERMS)
    assert roots.calls == []
    assert work.problem == "cannot use the root in /ca/2"
    assert [event["reason"] for event in told] == ["AuthorityRotationBroken"]


def test_nothing_happens_without_a_reason(roots, told):
    work = succession(roots, told)
    assert work.turn(replace(TERMS, rotated_at=None)) == 60.0
    assert (roots.calls, told) == ([], [])
