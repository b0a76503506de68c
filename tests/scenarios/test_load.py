"""Changes under load: live ones break nobody, restarts lose nothing that was acknowledged."""

import random

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load

# redis-py forgets the socket of a handshake that a stopping server cuts off.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
MODES = ("none", "rdb", "aof")
ROOMY = {"memory": {"max": "32MiB", "policy": "noeviction"}, "access": {"mode": "dual-mode"}}
BOTH = ("tls", "plain", "tls")

LIVE = {
    "more memory": {"memory": {"max": "48MiB"}},
    "less memory": {"memory": {"max": "24MiB"}},
    "processors": {"cpus": 1.5},
    "directives": {"engine": {"config": {"timeout": 900, "slowlog-max-len": 64}}},
    "names": {"tls": {"extraNames": ["cache.example.org"]}},
    "certificates of clients": {
        "access": {"clientCertificates": "optional"},
        "tls": {"clients": ["app"]},
    },
    "other certificates of clients": {"tls": {"clientsRotatedAt": "2026-03-01T12:00:00Z"}},
    "nobody asked any more": {"access": {"clientCertificates": "off"}, "tls": {"clients": []}},
    "a password": {"auth": {"rotatedAt": "2026-03-01T12:00:00Z"}},
    "the end of the old one": {"auth": {"grace": "0s"}},
    "none to rdb": {"persistence": {"mode": "rdb"}},
    "rdb to aof": {"persistence": {"mode": "aof"}},
    "aof to rdb": {"persistence": {"mode": "rdb"}},
    "rdb to none": {"persistence": {"mode": "none"}},
    "none to aof": {"persistence": {"mode": "aof"}},
    "aof to none": {"persistence": {"mode": "none"}},
}
RESTARTS = {
    "a wish": lambda _: {"restartedAt": "2026-03-01T12:00:00Z"},
    "a directive": lambda _: {"engine": {"config": {"databases": 8}}},
    "another address": lambda _: {"access": {"bind": ["127.0.0.1", "127.0.0.2"]}},
    "a pinned port": lambda port: {"access": {"ports": {"tls": port}}},
    "only encrypted": lambda _: {"access": {"mode": "tls-only"}},
}


@pytest.mark.parametrize("engine", ENGINES)
def test_live_changes_break_no_client_and_lose_no_write(fleet, engine):
    tenant = fleet.tenant(f"live-{engine}")
    tenant.write({**ROOMY, "engine": {"image": ENGINES[engine]}}).settle()

    with fleet.unbroken(tenant), Load(tenant, *BOTH) as load:
        for what, changes in LIVE.items():
            tenant.edit(changes).settle()
            load.go_on()
            assert not load.errors, (what, load.errors[:3])
    assert load.lost() == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("engine", ENGINES)
def test_restarts_lose_no_acknowledged_write(fleet, engine, mode, record_property):
    tenant = fleet.tenant(f"down-{mode}-{engine}")
    spec = {"engine": {"image": ENGINES[engine]}, "persistence": {"mode": mode}}
    tenant.write(ROOMY | spec).settle()

    number = 3 * MODES.index(mode) + list(ENGINES).index(engine)
    port = fleet.slot.free_port(10 + number)

    with Load(tenant, None, None, None) as load:
        for what, changes in RESTARTS.items():
            before = tenant.run_id()
            tenant.edit(changes(port)).settle()
            load.go_on()
            assert tenant.run_id() != before, what
    assert load.lost() == []
    record_property("longest blink", f"{load.longest_blink:.2f} s")


def random_edit(dice):
    """Return some change of a tenant that keeps its data."""
    return dice.choice(
        [
            lambda: {"memory": {"max": f"{dice.choice((24, 32, 48))}MiB"}},
            lambda: {"cpus": dice.choice((None, 0.8, 1.5))},
            lambda: {"engine": {"config": {"timeout": dice.choice((0, 600, 900))}}},
            lambda: {"engine": {"config": {"databases": dice.choice((8, 16))}}},
            lambda: {"tls": {"extraNames": dice.choice(([], ["a.example.org"]))}},
            lambda: {"access": {"clientCertificates": dice.choice(("off", "optional"))}},
            lambda: {"auth": {"rotatedAt": f"2026-03-{dice.randint(10, 28)}T12:00:00Z"}},
            lambda: {"auth": {"grace": dice.choice(("0s", "1h"))}},
            lambda: {"persistence": {"mode": dice.choice(("none", "rdb", "aof"))}},
            lambda: {"access": {"mode": dice.choice(("tls-only", "dual-mode"))}},
            lambda: {"restartedAt": f"2026-04-{dice.randint(10, 28)}T12:00:00Z"},
        ]
    )()


def test_fifty_edits_in_any_order_lose_nothing_and_end_as_the_spec_says(fleet):
    """Most edits land while the one before is still being carried out."""
    dice = random.Random(50)
    tenant = fleet.tenant("fifty").write(ROOMY).settle()

    with Load(tenant, None, None) as load:
        for number in range(50):
            tenant.edit(random_edit(dice))
            if number % 5 == 4:
                load.go_on(5)
        tenant.settle(timeout=120)
        load.go_on()
    assert load.lost() == []
    assert tenant.config("maxmemory") == str(tenant.status()["spec"]["memory"]["max"])
    assert len(tenant.containers()) == 1
