"""What is published of a client's certificate is whether anybody gets in with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.adapters.status_format import parse_tenant, render_tenant
from cachepilot.plan.actions import Plan
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.rules import Rules
from cachepilot.status.summarize import Visit, summarize
from tests.builders import tenant
from tests.fakes.scenes import look, settled

NAMED = tenant(clients=("app",))
SEEN = look(settled(NAMED), NAMED)
(GOOD,) = SEEN.clients.certificates
DAY = timedelta(days=1)
BROKEN = "cannot use the authority for clients"


def status_of(clients):
    seen = replace(SEEN, clients=clients)
    visit = Visit(
        tenant_name=NAMED.name,
        reading=Reading(tenant_name=NAMED.name, presence=Presence.PRESENT, spec=NAMED),
        spec=NAMED,
        memory=seen.memory,
        seen=seen,
        plan=Plan(),
        outcomes=(),
    )
    return summarize(visit, None, rules=Rules(), settings_digest="s", now=seen.at)


def problem(*, authority=GOOD.authority, broken="", **changes):
    found = replace(SEEN.clients, certificates=(replace(GOOD, **changes),))
    status = status_of(replace(found, authority=authority, problem=broken))
    (client,) = status.clients
    (published,) = render_tenant(status)["status"]["clientCertificates"]
    assert published["problem"] == client.problem
    return client.problem


def test_a_good_one_has_no_problem_until_its_very_end():
    assert problem() == ""
    # It is replaced long before that, but lets its holder in for as long.
    assert problem(not_after=SEEN.at + timedelta(seconds=1)) == ""


def test_what_is_published_is_what_the_visit_saw_however_late_it_is_written():
    """A program that only formats has no say, so what is published reads back the same."""
    status = status_of(replace(SEEN.clients, certificates=(replace(GOOD, authority="another"),)))
    again = parse_tenant(render_tenant(status))

    assert again.clients == status.clients
    assert render_tenant(again) == render_tenant(status)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem": "its key belongs to another certificate"}, "its key belongs to another"),
        ({"authority": "another"}, "another authority signed it"),
        ({"authority": "", "broken": BROKEN}, BROKEN),
        ({"not_after": SEEN.at}, "it ended on 2026-01-01"),
        ({"not_after": SEEN.at - DAY}, "it ended on 2025-12-31"),
        ({"not_before": SEEN.at + DAY}, "not valid before 2026-01-02"),
    ],
)
def test_one_with_which_nobody_gets_in_says_why(changes, words):
    assert problem(**changes).startswith(words)


def test_an_authority_whose_key_was_exposed_still_lets_in_whom_it_signed():
    assert problem(broken="its owner or mode was changed") == ""
