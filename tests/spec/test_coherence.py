"""What only several fields together can get wrong."""

from __future__ import annotations

import pytest

from cachepilot.spec.headroom import container_limit
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.tree import field_path
from tests.builders import document, rules


def faults(under: Rules | None = None, **fields) -> dict[str, str]:
    found = resolve(document("acme", **fields), under or Rules())
    if isinstance(found, TenantSpec):
        return {}
    return {field_path(fault.path): fault.message for fault in found}


def test_limit_below_the_head_room_shows_the_rule_with_its_numbers():
    found = faults(memory={"max": "100MiB", "limit": "190MiB"}, persistence={"mode": "rdb"})

    assert found == {
        "spec.memory.limit": "expected at least 206MiB, or the kernel may kill the server: "
        "16MiB + 100MiB x (1 + 0.1 for buffers + 0.8 for copy-on-write while rdb saves) = 206MiB; "
        "got 190MiB"
    }


def test_the_smallest_safe_limit_is_accepted():
    assert not faults(memory={"max": "100MiB", "limit": "206MiB"}, persistence={"mode": "rdb"})
    assert not faults(memory={"max": "100MiB", "limit": "126MiB"})


@pytest.mark.parametrize(
    ("size", "is_fine"), [("1MiB", False), ("2MiB", True), ("8MiB", True), ("9MiB", False)]
)
def test_memory_stays_within_the_limits(size, is_fine):
    host = rules(limits={"memory": "8MiB", "minimumMemory": "2MiB"})

    assert (faults(host, memory={"max": size}) == {}) is is_fine


def test_default_beyond_the_limits_is_said_to_be_the_default():
    found = faults(rules(limits={"memory": "8MiB"}))

    assert found["spec.memory.max"].endswith("got 256MiB (the default of this host)")


def test_container_memory_is_bounded_where_the_host_says_so():
    host = rules(limits={"containerMemory": "100MiB"})

    assert not faults(host, memory={"max": "50MiB"})
    assert "spec.memory.limit" in faults(host, memory={"max": "50MiB", "limit": "101MiB"})
    # What the rule adds by itself counts too, and the rule is shown.
    assert "x (1 + 0.1" in faults(host, memory={"max": "90MiB"})["spec.memory.limit"]


def test_cpus_are_bounded_where_the_host_says_so():
    host = rules(limits={"cpus": 2})

    assert faults(host, cpus=2.5) == {
        "spec.cpus": "expected at most 2 as this host's limits say; got 2.5"
    }


@pytest.mark.parametrize(
    ("image", "is_fine"),
    [("redis:8.0", True), ("redis", False), ("valkey/valkey:8", True), ("evil/redis:8.0", False)],
)
def test_images_are_those_that_the_host_allows(image, is_fine):
    host = rules(limits={"images": ["redis:*", "valkey/*"]})

    assert (faults(host, engine={"image": image}) == {}) is is_fine


@pytest.mark.parametrize(
    ("mode", "ports", "wrong"),
    [
        ("tls-only", {"tls": 7000}, set()),
        ("tls-only", {"plain": 7000}, {"plain"}),
        ("plain-only", {"plain": 7000}, set()),
        ("plain-only", {"tls": 7000}, {"tls"}),
        ("dual-mode", {"tls": 7000, "plain": 7001}, set()),
        ("dual-mode", {"tls": 7000, "plain": 7000}, {"plain"}),
        ("dual-mode", {"tls": 65535, "plain": 1024}, set()),
    ],
)
def test_pinned_ports_are_ports_that_are_opened(mode, ports, wrong):
    found = faults(access={"mode": mode, "ports": ports})

    assert set(found) == {f"spec.access.ports.{kind}" for kind in wrong}


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::ffff:0.0.0.0", "0:0:0:0:0:0:0:0"])
def test_wildcard_needs_the_hosts_consent_in_every_spelling(address):
    allowed = rules(network={"allowWildcardBind": True}, hostNames=["cache.example"])

    assert set(faults(access={"bind": [address]})) == {
        "spec.access.bind[0]",
        "spec.tls.extraNames",
    }
    assert not faults(allowed, access={"bind": [address]})


def test_addresses_are_told_once():
    allowed = rules(network={"allowWildcardBind": True}, hostNames=["cache.example"])

    twice = faults(access={"bind": ["127.0.0.1", "::1", "::ffff:127.0.0.1"]})
    contained = faults(allowed, access={"bind": ["192.0.2.1", "::1", "0.0.0.0"]})

    assert set(twice) == {"spec.access.bind[2]"}
    assert set(contained) == {"spec.access.bind[0]"}


def test_encrypted_wildcard_needs_a_name_for_its_certificate():
    allowed = rules(network={"allowWildcardBind": True})

    assert set(faults(allowed, access={"bind": ["0.0.0.0"]})) == {"spec.tls.extraNames"}
    assert not faults(allowed, access={"bind": ["0.0.0.0"], "mode": "plain-only"})
    assert not faults(allowed, access={"bind": ["0.0.0.0"]}, tls={"extraNames": ["a.example"]})


@pytest.mark.parametrize(
    ("tls", "wrong"),
    [
        ({"lifetime": "59m"}, {"lifetime"}),
        ({"lifetime": "1h"}, set()),
        ({"lifetime": "3650d"}, set()),
        ({"lifetime": "3651d"}, {"lifetime"}),
        ({"lifetime": "10d", "renewBefore": "10d"}, {"renewBefore"}),
        ({"lifetime": "10d", "renewBefore": "9d23h59m59s"}, set()),
        ({"renewBefore": "0s"}, {"renewBefore"}),
        ({"renewBefore": "91d"}, {"renewBefore"}),
    ],
)
def test_certificates_live_long_enough_to_be_renewed(tls, wrong):
    assert set(faults(tls=tls)) == {f"spec.tls.{key}" for key in wrong}


@pytest.mark.parametrize("mode", ["none", "rdb"])
def test_appendfsync_without_an_append_only_file_is_an_error(mode):
    config = {"config": {"appendfsync": "always"}}

    assert set(faults(engine=config, persistence={"mode": mode})) == {
        "spec.engine.config.appendfsync"
    }
    assert not faults(engine=config, persistence={"mode": "aof"})


def test_a_fallback_of_a_hand_over_that_never_happens_is_an_error():
    found = faults(upgrade={"fallback": "restart"})

    assert set(found) == {"spec.upgrade.fallback"}
    assert not faults(upgrade={"fallback": "restart", "strategy": "handover"})


def test_derived_limit_always_satisfies_the_rule():
    for mode in ("none", "rdb", "aof"):
        found = resolve(document(persistence={"mode": mode}, memory={"max": "77MiB"}), Rules())

        assert isinstance(found, TenantSpec)
        assert found.memory_limit == container_limit(
            found.memory_max, found.persistence, Rules().headRoom
        )


def test_an_address_on_a_bridge_is_refused_because_neighbours_could_dial_it():
    assert "spec.access.bind[0]" in faults(access={"bind": ["10.213.0.1"]})


# What a host lets authors ask of the daemon ------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "name", "is_allowed"),
    [
        (["*"], "cache.example.com", True),
        (["*"], "*.example.com", True),
        (["*"], "192.0.2.1", True),
        ([], "cache.example.com", False),
        (["*.Example.com"], "CACHE.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "cache.example.com.evil.org", False),
        (["*.example.com"], "*.example.com", True),
        (["?.example.com", "[*].example.com"], "*.example.com", False),
        (["192.0.2.*"], "192.0.2.7", True),
        (["2001:DB8::*"], "2001:db8::7", True),
        (["192.0.2.*"], "192.0.3.7", False),
    ],
)
def test_a_tenant_claims_only_names_that_the_settings_allow(patterns, name, is_allowed):
    found = faults(rules(limits={"extraNames": patterns}), tls={"extraNames": [name]})

    assert set(found) == (set() if is_allowed else {"spec.tls.extraNames[0]"})
    assert all("limits.extraNames" in message for message in found.values())


@pytest.mark.parametrize(
    ("folders", "path", "is_allowed"),
    [
        (None, "/etc/cachepilot/passwords/acme", True),
        (None, "/etc/cachepilot/passwords/shop/./acme", True),
        (None, "/etc/cachepilot/passwords", False),
        (None, "/etc/cachepilot/passwords-of-others/acme", False),
        (None, "/etc/cachepilot/passwords/../cachepilot.yaml", False),
        (None, "/etc/shadow", False),
        (["/run/secrets/", "/srv//keys"], "/srv/keys/acme", True),
        (["/"], "/anything", True),
        ([], "/etc/cachepilot/passwords/acme", False),
    ],
)
def test_a_password_file_lies_where_the_settings_allow(folders, path, is_allowed):
    host = rules() if folders is None else rules(limits={"passwordFiles": folders})

    found = faults(host, auth={"passwordFile": path})

    assert set(found) == (set() if is_allowed else {"spec.auth.passwordFile"})
    assert all("limits.passwordFiles" in message for message in found.values())


def test_a_password_in_the_place_of_its_file_is_not_repeated():
    assert "hunter" not in str(faults(auth={"passwordFile": "/hunter2hunter2hunter2"}))


@pytest.mark.parametrize(
    ("auth", "where", "words"),
    [
        ({"rotatedAt": "2026-01-01T00:00:00Z"}, "spec.auth.rotatedAt", "auth.passwordFile says"),
        ({"rotateEvery": "30d"}, "spec.auth.rotateEvery", "auth.passwordFile says"),
    ],
)
def test_a_password_from_a_file_cannot_be_drawn_as_well(auth, where, words):
    file = {"passwordFile": "/etc/cachepilot/passwords/acme"}

    found = faults(auth=file | auth)

    assert found.keys() == {where}
    assert words in found[where]
    assert faults(auth=auth) == {}


@pytest.mark.parametrize(
    ("auth", "where", "words"),
    [
        ({"grace": "366d"}, "spec.auth.grace", "at most 365d"),
        ({"rotateEvery": "30m", "grace": "0s"}, "spec.auth.rotateEvery", "1h to 3650d; got 30m"),
        ({"rotateEvery": "3651d"}, "spec.auth.rotateEvery", "1h to 3650d"),
        ({"rotateEvery": "24h"}, "spec.auth.rotateEvery", "more than auth.grace (1d)"),
    ],
)
def test_passwords_are_replaced_slower_than_their_grace_ends(auth, where, words):
    found = faults(auth=auth)

    assert found.keys() == {where}
    assert words in found[where]


def test_a_default_age_of_passwords_does_not_concern_passwords_from_files():
    under = rules(defaults={"auth": {"rotateEvery": "30d"}})

    assert faults(under, auth={"passwordFile": "/etc/cachepilot/passwords/acme"}) == {}


def test_client_certificates_need_an_encrypted_port_and_somebody_who_has_one():
    asks = {"clientCertificates": "required"}
    named = {"clients": ["app", "web"]}

    assert not faults(access=asks, tls=named)
    assert not faults(access={"clientCertificates": "optional"})
    assert "names no client" in faults(access=asks)["spec.access.clientCertificates"]
    plain = faults(access={**asks, "mode": "plain-only"}, tls=named)
    assert "access.mode is plain-only" in plain["spec.access.clientCertificates"]


def test_a_client_is_named_once():
    found = faults(tls={"clients": ["app", "web", "app"]})

    assert found == {"spec.tls.clients[1]": 'the client "app" is listed twice'}
