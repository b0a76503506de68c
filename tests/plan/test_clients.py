"""When certificates of clients are made, and what holds until they can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.observe.snapshot import SeenClients
from cachepilot.plan.actions import (
    CreateClientAuthority,
    IssueCertificate,
    IssueClientCertificate,
    RemoveClientCertificate,
    SetDirectives,
)
from cachepilot.plan.planner import plan_tenant
from cachepilot.spec.document import AccessMode, ClientCertificates
from cachepilot.spec.rules import DriftMode, Rules
from tests.builders import tenant
from tests.fakes.scenes import look, plan, settle, settled

OBSERVE = Rules(drift=DriftMode.OBSERVE)
NAMED = tenant(clients=("app",))
ASKS = replace(NAMED, client_certificates=ClientCertificates.OPTIONAL)
DEMANDS = replace(NAMED, client_certificates=ClientCertificates.REQUIRED)
BROKEN = SeenClients(problem="cannot use the authority for clients", names=("app",))


def kinds(found):
    return [type(action) for action in found.actions]


def directives(found):
    (told,) = (each for each in found.actions if isinstance(each, SetDirectives))
    return dict(told.directives)


def test_a_named_client_gets_a_certificate_before_anybody_is_asked_for_one():
    world = settled(tenant())
    assert kinds(plan(world, NAMED)) == [CreateClientAuthority, IssueClientCertificate]


def test_whoever_is_only_asked_needs_an_authority_but_no_client():
    asks = tenant(client_certificates=ClientCertificates.OPTIONAL)
    found = plan(settled(tenant()), asks)
    assert CreateClientAuthority in kinds(found)
    assert IssueClientCertificate not in kinds(found)


def test_a_tenant_without_an_encrypted_port_hands_out_certificates_all_the_same():
    plain = replace(NAMED, access=AccessMode.PLAIN_ONLY)
    world = settled(replace(plain, clients=()))
    assert kinds(plan(world, plain)) == [CreateClientAuthority, IssueClientCertificate]


def test_mode_and_files_are_told_in_one_call():
    told = directives(plan(settled(NAMED), DEMANDS))
    assert told["tls-auth-clients"] == "yes"
    assert told["tls-cert-file"] == "/tls/2/cert.pem"
    assert told["tls-client-cert-file"] == "/tls/2/client.pem"


def test_whoever_asks_for_more_than_before_makes_tickets_void():
    found = plan(settled(ASKS), DEMANDS)
    (issued,) = (each for each in found.actions if isinstance(each, IssueCertificate))
    assert "tickets" in issued.cause
    assert directives(found)["tls-cert-file"] == f"/tls/{issued.revision}/cert.pem"


def test_whoever_opened_the_door_by_hand_left_tickets_too():
    world = settled(DEMANDS)
    world.servers["acme"].directives["tls-auth-clients"] = "no"
    assert kinds(plan(world, DEMANDS))[0] is IssueCertificate


def test_where_drift_is_observed_an_opened_door_is_left_alone():
    world = settled(DEMANDS, rules=OBSERVE)
    world.servers["acme"].directives["tls-auth-clients"] = "no"
    assert kinds(plan(world, DEMANDS, rules=OBSERVE)) == []


def test_nothing_is_issued_twice():
    assert kinds(plan(settled(DEMANDS), DEMANDS)) == []


@pytest.mark.parametrize(("later", "is_due"), [(59, False), (61, True)])
def test_a_client_gets_another_when_a_third_is_left(later, is_due):
    seen = look(settled(NAMED), NAMED)
    found = plan_tenant(NAMED, seen, Rules(), seen.at + timedelta(days=later))
    # The visit's own time counts for clients, so let the snapshot be as late.
    found = plan_tenant(NAMED, replace(seen, at=seen.at + timedelta(days=later)), Rules(), seen.at)
    assert (IssueClientCertificate in kinds(found)) is is_due


def test_a_client_that_is_no_longer_named_loses_its_files():
    found = plan(settled(replace(NAMED, clients=("app", "web"))), NAMED)
    assert [(type(each), each.client) for each in found.actions] == [
        (RemoveClientCertificate, "web")
    ]


def test_a_wish_replaces_the_authority_and_everything_it_signed_once():
    wishes = replace(DEMANDS, clients_rotated_at="2026-03-01T00:00:00Z")
    world = settled(DEMANDS)
    found = kinds(plan(world, wishes))
    assert found[:2] == [CreateClientAuthority, IssueCertificate]
    assert IssueClientCertificate in found
    assert kinds(plan(settle(world, wishes), wishes)) == []


def test_a_wish_that_the_authority_is_born_with_is_served():
    wishes = replace(DEMANDS, clients_rotated_at="2026-03-01T00:00:00Z")
    assert settled(wishes).memory("acme").clients_rotated_at == "2026-03-01T00:00:00Z"


def test_a_lost_client_authority_blocks_only_what_needs_it():
    world = settled(DEMANDS)
    world.clients["acme"] = BROKEN
    found = plan(world, replace(DEMANDS, memory_max=DEMANDS.memory_max * 2))
    assert found.blocked.reason == "ClientAuthorityBroken"
    assert "maxmemory" in directives(found)
    assert IssueCertificate not in kinds(found)
    # Whoever asks nobody needs none.
    assert plan(world, tenant()).blocked is None


def test_without_a_client_authority_nobody_is_asked_rather_than_nobody_served():
    world = settled(NAMED)
    world.clients["acme"] = BROKEN
    found = plan(world, DEMANDS)
    assert found.blocked.reason == "ClientAuthorityBroken"
    assert kinds(found) == []


def test_a_dead_server_is_not_started_with_files_that_are_not_there():
    world = settled(NAMED)
    world.kill("acme")
    found = kinds(plan(world, DEMANDS))
    assert found[0] is IssueCertificate
    settle(world, DEMANDS)
    assert world.servers["acme"].directives["tls-auth-clients"] == "yes"
