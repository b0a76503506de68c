"""What disturbs clients waits for its window on a real server; what does not is there at once."""

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.waiting import eventually
from tests.scenarios.wall_clock import WallClock

# A connection that is cut off in its handshake leaves its socket to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
MIB = 2**20
MOVES = {
    "redis7": (REDIS_7, REDIS_8),
    "redis8": (REDIS_8, REDIS_8),
    "valkey8": (VALKEY_8, VALKEY_8),
}


@pytest.fixture
def clock(tmp_path):
    return WallClock(tmp_path)


def in_two_days():
    """Return a window that is closed now, and opens with a clock that is set two days ahead."""
    opening = datetime.now(UTC) + timedelta(days=2) - timedelta(minutes=10)
    return {"cron": f"{opening.minute} {opening.hour} {opening.day} * *", "duration": "1h"}


def waits(tenant):
    def check():
        found = tenant.status()["status"]["waiting"]
        assert found, tenant.summary()
        return found

    return eventually(check)


@pytest.mark.parametrize("engine", MOVES)
def test_an_edit_waits_with_its_disturbing_part_and_survives_a_crash_meanwhile(
    host, clock, engine
):
    before, after = MOVES[engine]
    host.start(env=clock.environment)
    tenant = host.tenant("window")
    tenant.write(
        {
            "engine": {"image": before},
            "persistence": {"mode": "aof"},
            "maintenance": {"window": in_two_days()},
        }
    ).settle()
    port, container = tenant.port(), tenant.container().id

    with Load(tenant, None, None) as load:
        with host.unbroken(tenant):
            tenant.edit(
                {
                    "engine": {"image": after},
                    "access": {"mode": "dual-mode", "ports": {"tls": host.slot.free_port(3)}},
                    "memory": {"max": "24MiB"},
                    "restartedAt": "2026-03-01T12:00:00Z",
                }
            ).settle()
            found = waits(tenant)
            load.go_on()
        assert load.errors == []
        assert tenant.config("maxmemory") == str(24 * MIB)
        assert (tenant.word, tenant.port()) == ("Ready", port)
        assert tenant.condition("Reconciling")["reason"] == "WaitingForWindow"
        assert tenant.condition("ContainerCurrent")["status"] == "True"
        assert found["message"] in host.ctl("describe", "tenant", tenant.name)
        assert found["message"] in host.ctl("get", "tenants", "-o", "wide", tenant.name)
        assert "StopContainer" in host.ctl("plan", tenant.name)

        # A daemon that dies goes on waiting.
        with host.unbroken(tenant):
            host.kill()
            host.start(env=clock.environment)
            tenant.edit({"memory": {"max": "25MiB"}}).settle()
            assert tenant.config("maxmemory") == str(25 * MIB)
            assert waits(tenant) == found
            load.go_on()
        assert load.errors == []

        # A server that crashes comes back as what clients know.
        crashed = tenant.run_id()
        os.kill(tenant.inspect()["State"]["Pid"], signal.SIGKILL)
        eventually(lambda: tenant.run_id() != crashed)
        load.go_on()
        tenant.settle()
        assert (tenant.port(), tenant.container().id) == (port, container)
        assert tenant.config("port") == "0"

        clock.jump("+2d")
        host.hang_up()
        eventually(lambda: tenant.container().id != container)
        tenant.settle()
        load.go_on()
    assert load.lost() == []
    assert tenant.port() == host.slot.free_port(3)
    assert tenant.inspect()["Config"]["Image"] == after
    assert tenant.status()["status"]["waiting"] is None
    assert tenant.record()["memory"]["restarted_at"] == "2026-03-01T12:00:00Z"


def test_a_visit_comes_by_itself_when_the_window_opens(host, clock):
    """The clock runs: nothing but the window's own time makes the daemon look again."""
    host.write_settings(daemon={"resync": "10m", "workers": 2})
    host.start(env=clock.environment)
    opening = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    window = {"cron": f"{opening.minute} {opening.hour} * * *", "duration": "30m"}
    tenant = host.tenant("opens").write({"maintenance": {"window": window}}).settle()
    run_id = tenant.run_id()
    host.ctl("restart", tenant.name)
    assert waits(tenant)["until"].startswith(f"{opening:%Y-%m-%dT%H:%M}")
    # Six seconds to go, by a clock that says so from the next visit on.
    late = opening - timedelta(seconds=6) - datetime.now(UTC)
    clock.jump(f"+{late.total_seconds():.0f}s")
    host.hang_up()
    eventually(lambda: tenant.run_id() != run_id)


def test_a_person_says_now(fleet):
    closed = {"cron": "0 3 1 1 *", "duration": "1m"}
    tenant = fleet.tenant("now").write({"maintenance": {"window": closed}}).settle()
    tenant.put(kept="yes")
    run_id = tenant.run_id()
    tenant.forget_writes()
    assert "waits for the maintenance window" in fleet.ctl("restart", tenant.name, "--wait")
    fleet.ctl("wait", "--for=condition=Ready", tenant.name)
    fleet.ctl(
        "wait", "--for=condition=Reconciling=False", "--timeout", "1s", tenant.name, expect=7
    )
    assert tenant.run_id() == run_id

    fleet.ctl("restart", tenant.name, "--now", "--wait")
    fleet.ctl("wait", "--for=condition=Reconciling=False", tenant.name)
    assert tenant.run_id() != run_id
    assert tenant.get("kept") == "yes"


def test_what_is_down_and_what_ends_does_not_wait(fleet):
    closed = {"cron": "0 3 1 1 *", "duration": "1m"}
    tenant = fleet.tenant("down").write({"maintenance": {"window": closed}}).settle()
    tenant.container().kill()
    eventually(tenant.is_running)
    tenant.edit({"state": "stopped"}).settle("Stopped")
    tenant.edit({"state": "running"}).settle()
