from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cachepilot.daemon.loop import Counters
from cachepilot.daemon.metrics import DaemonCollector, DaemonFacts, registry_of, render
from cachepilot.daemon.tenant_metrics import GAUGES, WORDS
from cachepilot.observe.memory import Memory
from cachepilot.spec.document import State
from tests.status.test_facts import SEEN, SERVER, SPEC, container, reading, status
from tests.status.test_summarize import DEAD, PROBLEM

FACTS = DaemonFacts(
    docker_up=True,
    queue_depth=3,
    active_workers=2,
    spec_problems=1,
    orphans=4,
    heartbeat=1000.0,
    last_resync=900.0,
    reload_ok=False,
    reload_time=800.0,
    authority_ends=5000.0,
    rollout_waiting=2,
    rollout_halted=True,
)


class Scrape:
    """A registry over statuses and facts that a test may change between two scrapes."""

    def __init__(self):
        self.statuses, self.facts, self.counters = [], FACTS, Counters()
        self.registry = registry_of(
            DaemonCollector(counters=self.counters, facts=lambda: self.facts)
        )

    def families(self):
        text = render(self.registry, lambda: self.statuses).decode()
        return {family.name: family for family in text_string_to_metric_families(text)}

    def samples(self):
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in self.families().values()
            for sample in family.samples
        }

    def value(self, name, **labels):
        return self.samples().get((f"cachepilot_{name}", *sorted(labels.items())))


@pytest.fixture
def scrape():
    return Scrape()


def named(name, found=None):
    return replace(found or status(), tenant_name=name)


def test_the_text_is_what_a_parser_of_prometheus_understands(scrape):
    scrape.statuses = [named("a"), named("b", status(seen=DEAD))]

    families = scrape.families()

    assert all(family.documentation for family in families.values())
    assert {family.type for family in families.values()} <= {"gauge", "counter"}
    assert {
        name for name in families if not name.startswith(("cachepilot_", "process_", "python_"))
    } == set()


def test_series_of_a_tenant_live_exactly_as_long_as_the_tenant(scrape):
    def tenants():
        return {dict(key[1:]).get("tenant") for key in scrape.samples()} - {None}

    scrape.statuses = [named("a"), named("b")]
    assert tenants() == {"a", "b"}

    scrape.statuses = [named("b")]
    assert tenants() == {"b"}

    scrape.statuses = []
    assert tenants() == set()


def test_tenants_are_counted_by_word_and_every_word_is_there(scrape):
    scrape.statuses = [named("a"), named("b"), named("c", status(spec=None, seen=None))]

    found = {word: scrape.value("tenants", word=word) for word in WORDS}

    assert found == dict.fromkeys(WORDS, 0) | {"Ready": 2, "Invalid": 1}


def test_no_word_that_a_status_can_have_is_forgotten(scrape):
    stopped = replace(SPEC, state=State.STOPPED)
    states = (status(), status(seen=DEAD), status(spec=stopped), status(spec=None, seen=None))
    for found in states:
        assert found.word in WORDS


def test_conditions_are_one_zero_or_minus_one(scrape):
    scrape.statuses = [named("a", status(seen=DEAD))]

    assert scrape.value("tenant_condition", tenant="a", condition="SpecValid") == 1
    assert scrape.value("tenant_condition", tenant="a", condition="Ready") == 0
    assert scrape.value("tenant_condition", tenant="a", condition="ConfigApplied") == -1
    assert scrape.value("tenant_condition", tenant="a", condition="Stalled") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tenant_ready", 1),
        ("tenant_spec_valid", 1),
        ("tenant_paused", 0),
        ("tenant_observed_timestamp_seconds", SEEN.at.timestamp()),
        ("tenant_memory_max_bytes", SPEC.memory_max),
        ("tenant_memory_limit_bytes", SPEC.memory_limit),
        ("tenant_memory_used_bytes", SERVER.used_memory),
        ("tenant_keys", SERVER.keys),
        ("tenant_clients", SERVER.clients),
        ("tenant_uptime_seconds", SERVER.uptime_seconds),
        ("certificate_not_after_timestamp_seconds", SEEN.certificate.not_after.timestamp()),
    ],
)
def test_numbers_of_a_tenant_come_from_its_newest_status(scrape, name, expected):
    scrape.statuses = [named("a")]

    assert scrape.value(name, tenant="a") == expected


def test_what_was_not_seen_has_no_number(scrape):
    scrape.statuses = [
        named("down", status(seen=DEAD)),
        named("blind", status(seen=None)),
        named(
            "invalid",
            status(spec=None, seen=None, memory=Memory(), reading=reading(problems=(PROBLEM,))),
        ),
        named("bare", status(seen=replace(SEEN, containers=(), server=None, certificate=None))),
    ]

    assert scrape.value("tenant_keys", tenant="down") is None
    assert scrape.value("tenant_memory_limit_bytes", tenant="down") == SPEC.memory_limit
    assert scrape.value("certificate_not_after_timestamp_seconds", tenant="blind") is None
    assert scrape.value("certificate_not_after_timestamp_seconds", tenant="bare") is None
    assert scrape.value("tenant_memory_limit_bytes", tenant="bare") is None
    assert scrape.value("tenant_paused", tenant="invalid") is None
    assert scrape.value("tenant_spec_valid", tenant="invalid") == 0


def test_samples_have_just_the_labels_that_their_family_is_documented_with(scrape):
    scrape.statuses = [named("a")]
    documented = {gauge.name: set(gauge.labels) for gauge in GAUGES}

    found = {key[0]: set(dict(key[1:])) for key in scrape.samples()}

    assert {name: found.get(name) for name in documented} == documented


def test_a_hostile_version_cannot_forge_a_sample(scrape):
    version = '1" } 1\ncachepilot_docker_up 0\n# \\'
    scrape.statuses = [
        named("a", status(seen=replace(SEEN, server=replace(SERVER, version=version))))
    ]

    labels = dict(next(key for key in scrape.samples() if key[0] == "cachepilot_tenant_info")[1:])

    assert labels["version"] == version
    assert scrape.value("docker_up") == 1


def test_the_engine_of_a_tenant_is_what_answered(scrape):
    scrape.statuses = [named("a"), named("b", status(seen=container()))]

    assert (
        scrape.value(
            "tenant_info",
            tenant="a",
            engine="redis",
            version="8.0",
            access="dual-mode",
            persistence="none",
        )
        == 1
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("docker_up", 1),
        ("workqueue_depth", 3),
        ("active_workers", 2),
        ("spec_problems", 1),
        ("orphan_containers", 4),
        ("loop_heartbeat_timestamp_seconds", 1000),
        ("last_resync_timestamp_seconds", 900),
        ("settings_last_reload_successful", 0),
        ("settings_last_reload_success_timestamp_seconds", 800),
        ("authority_not_after_timestamp_seconds", 5000),
        ("reconcile_total", 7),
        ("reconcile_errors_total", 2),
        ("reconcile_panics_total", 1),
    ],
)
def test_the_daemon_tells_about_itself(scrape, name, expected):
    scrape.counters.visits, scrape.counters.failures, scrape.counters.panics = 7, 2, 1

    assert scrape.value(name) == expected


def test_actions_are_counted_by_kind(scrape):
    scrape.counters.effects.update({"StartContainer": 3, "SetUser": 1})

    assert scrape.value("effects_total", action="StartContainer") == 3
    assert scrape.value("effects_total", action="SetUser") == 1


def test_a_host_without_authority_has_no_end_of_one(scrape):
    scrape.facts = replace(FACTS, authority_ends=None)

    assert scrape.value("authority_not_after_timestamp_seconds") is None


def test_the_process_tells_about_itself(scrape):
    assert "process_resident_memory_bytes" in scrape.families()
    assert [key for key in scrape.samples() if key[0] == "cachepilot_build_info"]
