"""The CLI plans with the daemon's planner over a snapshot that went through the real store."""

from dataclasses import replace

import pytest

from cachepilot.adapters.status_files import StatusFiles
from cachepilot.observe.collect import Questions, collect
from cachepilot.plan.planner import plan_tenant
from cachepilot.plan.server_config import managed_directives
from cachepilot.reconcile import Terms, World, reconcile
from cachepilot.settings import Settings
from cachepilot.spec.document import TenantName
from tests.cli.hosts import document


@pytest.fixture
def acme(host):
    host.write("acme.yaml", document(body="spec:\n  memory: {max: 64MiB}\n"))
    return host


def test_a_new_tenant_has_everything_before_it(acme):
    ended = acme.run("plan", "acme")
    lines = ended.out.splitlines()
    assert lines[0] == "tenant/acme: is new"
    assert any("CreateContainer acme" in line for line in lines)
    (item,) = acme.run("plan", "-o", "json").items
    assert item["plan"]["new"]
    assert item["plan"]["actions"][0]["action"] == "Reserve"


def test_a_paused_tenant_has_nothing_to_do(acme):
    acme.run("pause", "acme")
    assert acme.run("plan").out == "tenant/acme: nothing to do\n"


def test_an_invalid_document_has_no_plan(acme):
    acme.write("acme.yaml", document(body="spec: {cpus: many}\n"))
    assert acme.run("plan", "acme").code == 3
