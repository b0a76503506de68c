"""Defaults are filled in, layer over layer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cachepilot.spec.document import AccessMode, MemoryPolicy, PersistenceMode, State
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from tests.builders import document, rules

MIB = 2**20


def spec(under: Rules | None = None, **fields) -> TenantSpec:
    found = resolve(document("acme", **fields), under or Rules())
    assert isinstance(found, TenantSpec), found
    return found


def test_silent_tenant_is_a_small_encrypted_cache():
    found = spec()

    assert found.state is State.RUNNING
    assert not found.paused
    assert found.memory_max == 256 * MIB
    assert found.memory_limit > found.memory_max
    assert found.memory_policy is MemoryPolicy.ALLKEYS_LRU
    assert found.persistence is PersistenceMode.NONE
    assert found.access is AccessMode.TLS_ONLY
    assert found.bind == ("127.0.0.1",)
    assert found.names == ("127.0.0.1", "localhost")
    assert (found.tls_port, found.plain_port, found.cpus) == (None, None, None)
    assert found.certificate_lifetime == timedelta(days=90)
    assert found.renew_before == timedelta(days=30)


def test_settings_fill_in_what_the_document_leaves_out():
    host = rules(
        defaults={
            "engine": {"image": "valkey:8.1", "config": {"maxclients": 50}},
            "memory": {"max": "64MiB", "policy": "volatile-ttl"},
            "cpus": 0.5,
            "persistence": {"mode": "rdb"},
            "access": {"mode": "dual-mode", "bind": ["192.0.2.1"]},
            "tls": {"lifetime": "30d"},
        },
        hostNames=["cache.example.net"],
        scripting=False,
    )

    found = spec(host)

    assert found.image == "valkey:8.1"
    assert found.config == (("hz", "2"), ("maxclients", "50"))
    assert found.memory_max == 64 * MIB
    assert found.memory_policy is MemoryPolicy.VOLATILE_TTL
    assert found.cpus == 0.5
    assert found.persistence is PersistenceMode.RDB
    assert found.access is AccessMode.DUAL_MODE
    assert found.names == ("192.0.2.1", "cache.example.net")
    assert found.renew_before == timedelta(days=10)
    assert not found.scripting


def test_document_wins_over_settings():
    host = rules(
        defaults={"engine": {"image": "valkey:8.1"}, "memory": {"max": "64MiB"}, "cpus": 4}
    )

    found = spec(host, engine={"image": "redis:7"}, memory={"max": "1GiB"}, cpus=1)

    assert (found.image, found.memory_max, found.cpus) == ("redis:7", 1024 * MIB, 1)


@pytest.mark.parametrize(
    ("mode", "policy"), [("none", "allkeys-lru"), ("rdb", "noeviction"), ("aof", "noeviction")]
)
def test_what_survives_is_never_evicted_unless_asked_for(mode, policy):
    assert spec(persistence={"mode": mode}).memory_policy == policy


def test_directives_are_in_the_words_of_the_server():
    found = spec(
        engine={
            "config": {
                "activedefrag": True,
                "lazyfree-lazy-expire": False,
                "maxclients": 50,
                "notify-keyspace-events": "",
            }
        }
    )

    assert dict(found.config) == {
        "activedefrag": "yes",
        "hz": "2",
        "lazyfree-lazy-expire": "no",
        "maxclients": "50",
        "notify-keyspace-events": "",
    }


def test_directives_are_overridden_one_by_one():
    host = rules(
        defaults={
            "engine": {
                "config": {
                    "hz": 5,
                    "timeout": 60,
                    "client-output-buffer-limit": {
                        "normal": {"hard": "1MiB"},
                        "pubsub": {"hard": "2MiB"},
                    },
                }
            }
        }
    )

    found = spec(
        host,
        engine={
            "config": {
                "timeout": 0,
                "client-output-buffer-limit": {"pubsub": {"soft": "1MiB", "seconds": 9}},
            }
        },
    )

    assert dict(found.config) == {
        "hz": "5",
        "timeout": "0",
        "client-output-buffer-limit": f"normal {MIB} 0 0 pubsub 0 {MIB} 9",
    }


def test_default_of_appendfsync_waits_for_an_append_only_file():
    host = rules(defaults={"engine": {"config": {"appendfsync": "always"}}})

    assert "appendfsync" not in dict(spec(host).config)
    assert dict(spec(host, persistence={"mode": "aof"}).config)["appendfsync"] == "always"


def test_limit_of_processor_time_is_also_what_the_silent_get():
    host = rules(limits={"cpus": 2})

    assert spec(host).cpus == 2
    assert spec(host, cpus=0.5).cpus == 0.5


def test_names_are_every_address_and_name_a_client_may_dial():
    host = rules(hostNames=["b.example", "192.0.2.9"])

    found = spec(host, access={"bind": ["::1", "192.0.2.1"]}, tls={"extraNames": ["A.example"]})

    assert found.names == ("192.0.2.1", "192.0.2.9", "::1", "a.example", "b.example", "localhost")


def test_a_wildcard_stands_for_loopback_where_the_daemon_itself_looks():
    host = rules(hostNames=["b.example"], network={"allowWildcardBind": True})

    names = spec(host, access={"bind": ["0.0.0.0", "::"]}).names

    assert names == ("127.0.0.1", "::1", "b.example", "localhost")


def test_addresses_have_one_spelling():
    found = spec(access={"bind": ["2001:DB8:0::1", "::ffff:192.0.2.1"]})

    assert found.bind == ("2001:db8::1", "192.0.2.1")


def test_everything_said_arrives():
    found = spec(
        state="stopped",
        paused=True,
        persistence={"mode": "aof"},
        memory={"max": "100MiB", "limit": "1GiB", "policy": "volatile-lru"},
        access={"mode": "dual-mode", "ports": {"tls": 7000, "plain": 9000}},
        tls={"lifetime": "2h", "renewBefore": "30m"},
        auth={"passwordFile": "/etc/cachepilot/passwords/acme"},
        restartedAt="2026-01-31T12:00:00Z",
        engine={"config": {"appendfsync": "no", "notify-keyspace-events": ""}},
    )

    assert found.state is State.STOPPED
    assert found.paused
    assert found.memory_limit == 1024 * MIB
    assert found.memory_policy is MemoryPolicy.VOLATILE_LRU
    assert (found.tls_port, found.plain_port) == (7000, 9000)
    assert found.certificate_lifetime == timedelta(hours=2)
    assert found.renew_before == timedelta(minutes=30)
    assert found.password_file == "/etc/cachepilot/passwords/acme"
    assert found.restarted_at == "2026-01-31T12:00:00Z"
    assert dict(found.config) == {"appendfsync": "no", "hz": "2", "notify-keyspace-events": ""}
