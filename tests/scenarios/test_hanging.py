"""A server that cannot be asked to save, and what its owner's words do to it."""

import os
import signal
import threading
from contextlib import ExitStack, contextmanager, suppress

import pytest
import redis

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually, throughout

READS = "while true do end"
WRITES = "redis.call('set', KEYS[1], '1') while true do end"
FUNCTION = "#!lua name=l\nredis.register_function('f', function() while true do end end)"
LONG = 90


@pytest.fixture(scope="module")
def impatient(make_host):
    """A host that gives data up after a moment, where its owner said stop."""
    host = make_host({"stopPatience": "25s"})
    try:
        yield host.start()
    finally:
        host.close()


@pytest.fixture(params=[REDIS_7, REDIS_8, VALKEY_8], ids=["redis7", "redis8", "valkey8"])
def tenant(impatient, request):
    made = impatient.tenant(f"hang{len(impatient.tenants)}")
    made.write({"engine": {"image": request.param}}).settle()
    return made.put(kept="yes")


def hang(tenant, *command):
    """Let a client run what does not end, and return once the server says that it is busy."""

    def run():
        with tenant.client() as client, pytest.raises(redis.RedisError):
            client.connection_pool.connection_kwargs["socket_timeout"] = 2 * LONG
            client.execute_command(*command)

    threading.Thread(target=run, daemon=True).start()

    def is_busy():
        with tenant.admin() as admin:
            try:
                admin.ping()
            except redis.ResponseError as error:
                return str(error).startswith("BUSY")
        return False

    eventually(is_busy)


@pytest.mark.parametrize("kind", ["script", "function"])
def test_a_stop_ends_what_only_reads_and_saves_the_data(tenant, kind):
    if kind == "script":
        hang(tenant, "EVAL", READS, "0")
    else:
        with tenant.client() as client:
            client.execute_command("FUNCTION LOAD", FUNCTION)
        hang(tenant, "FCALL", "f", "0")

    tenant.edit({"state": "stopped"}).settle("Stopped", timeout=LONG)
    tenant.edit({"state": "running"}).settle(timeout=LONG)

    assert tenant.get("kept") == "yes"
    tenant.edit({"state": "deleted"})


def test_what_has_written_is_stopped_when_patience_ends_and_not_before(impatient, tenant):
    hang(tenant, "EVAL", WRITES, "1", "k")
    run_id = tenant.container().attrs["State"]["StartedAt"]

    tenant.edit({"state": "deleted"})

    told = tenant.stalled("CannotStopSafely", timeout=LONG)
    assert "what is only in memory is lost" in told["message"]
    assert tenant.container().attrs["State"]["StartedAt"] == run_id
    tenant.settle("Deleted", timeout=LONG)
    deeds = [deed.split()[0] for deed in impatient.deeds(tenant)]
    assert deeds.index("RememberWait") < deeds.index("StopUnsaved")


def test_a_restart_waits_as_long_as_it_takes(tenant):
    hang(tenant, "EVAL", WRITES, "1", "k")
    started = tenant.container().attrs["State"]["StartedAt"]

    tenant.edit({"restartedAt": "2026-01-01T00:00:00Z"})

    tenant.stalled("CannotStopSafely", timeout=LONG)
    throughout(lambda: tenant.container().attrs["State"]["StartedAt"] == started, seconds=30)
    tenant.edit({"state": "deleted"}).settle("Deleted", timeout=LONG)


def test_a_full_server_is_stopped_when_patience_ends(impatient, tenant):
    """Its clients took the daemon's place while the daemon was away."""
    tenant.edit({"engine": {"config": {"maxclients": 20}}}).settle()
    impatient.stop()
    with ExitStack() as crowd:
        for _ in range(20):
            crowd.enter_context(tenant.client(single_connection_client=True)).ping()
        impatient.start()

        tenant.edit({"state": "stopped"})

        told = tenant.stalled("CannotStopSafely", timeout=LONG)
        assert "what is only in memory is lost" in told["message"]
        tenant.settle("Stopped", timeout=LONG)
    tenant.edit({"state": "deleted"}).settle("Deleted", timeout=LONG)


@pytest.fixture
def snapshots(impatient):
    made = impatient.tenant(f"hang{len(impatient.tenants)}")
    made.write({"persistence": {"mode": "rdb"}}).settle()
    return made.put(kept="yes")


@contextmanager
def halted(tenant):
    """Let the server's process do nothing, as on a disk that is stuck; no signal is heard then."""
    pid = tenant.inspect()["State"]["Pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_server_with_snapshots_that_hangs_for_a_while_loses_nothing_when_it_is_stopped(
    snapshots,
):
    started = snapshots.inspect()["State"]["StartedAt"]

    with halted(snapshots):
        snapshots.edit({"state": "stopped"})
        told = snapshots.stalled("CannotStopSafely", timeout=LONG)
        assert "what is only in memory is lost" in told["message"]
        assert snapshots.inspect()["State"]["StartedAt"] == started
        assert snapshots.inspect()["State"]["Running"]
    snapshots.settle("Stopped", timeout=LONG)
    snapshots.edit({"state": "running"}).settle(timeout=LONG)

    assert snapshots.get("kept") == "yes"
    snapshots.edit({"state": "deleted"}).settle("Deleted", timeout=LONG)


def test_a_server_with_snapshots_that_hangs_on_is_stopped_when_patience_ends(impatient, snapshots):
    with halted(snapshots):
        snapshots.edit({"state": "stopped"}).settle("Stopped", timeout=LONG)

    deeds = [deed.split()[0] for deed in impatient.deeds(snapshots)]
    assert deeds.index("RememberWait") < deeds.index("StopUnsaved")
    assert "StopContainer" not in deeds
    snapshots.edit({"state": "deleted"}).settle("Deleted", timeout=LONG)
