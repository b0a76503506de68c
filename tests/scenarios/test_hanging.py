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
    # Whoever looks at a server that hangs is held up; three hang at once.
    host = make_host({"stopPatience": "25s", "daemon": {"resync": "5s", "workers": 6}})
    try:
        yield host.start()
    finally:
        host.close()


ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}


def make(host, engine, **spec):
    made = host.tenant(f"hang{len(host.tenants)}")
    made.write({"engine": {"image": ENGINES[engine]}, **spec}).settle()
    return made.put(kept="yes")


@pytest.fixture(params=ENGINES)
def tenant(impatient, request):
    return make(impatient, request.param)


@pytest.fixture
def tenants(impatient):
    """One of each engine: waiting for patience to end takes long, and is done for all at once."""
    # What never ends shall not take the processors from everybody else meanwhile.
    return [make(impatient, engine, cpus=0.5) for engine in ENGINES]


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


def started_at(tenant):
    return tenant.inspect()["State"]["StartedAt"]


def test_what_has_written_outlasts_a_restart_and_is_stopped_when_patience_with_an_end_is_over(
    impatient, tenants
):
    for each in tenants:
        hang(each, "EVAL", WRITES, "1", "k")
    started = {each.name: started_at(each) for each in tenants}

    def all_go_on():
        return all(started_at(each) == started[each.name] for each in tenants)

    # A restart waits as long as it takes.
    for each in tenants:
        each.edit({"restartedAt": "2026-01-01T00:00:00Z"})
    for each in tenants:
        each.stalled("CannotStopSafely", timeout=LONG)
    throughout(all_go_on, seconds=30)

    for each in tenants:
        each.edit({"state": "deleted"})
    for each in tenants:
        await_warning(each)
        assert started_at(each) == started[each.name]
    for each in tenants:
        each.settle("Deleted", timeout=LONG)
        deeds = [deed.split()[0] for deed in impatient.deeds(each)]
        assert deeds.index("RememberWait") < deeds.index("StopUnsaved")


def await_warning(tenant):
    """Return once it is told what the end of patience will cost."""

    def is_told():
        found = tenant.condition("Stalled")
        is_blocked = found["reason"] == "CannotStopSafely"
        return is_blocked and "what is only in memory is lost" in found["message"]

    eventually(is_told, timeout=LONG)


def test_a_full_server_is_stopped_when_patience_ends(impatient, tenants):
    """Its clients took the daemon's place while the daemon was away."""
    for each in tenants:
        each.edit({"engine": {"config": {"maxclients": 20}}}).settle()
    impatient.stop()
    with ExitStack() as crowd:
        for each in tenants:
            for _ in range(20):
                crowd.enter_context(each.client(single_connection_client=True)).ping()
        impatient.start()

        for each in tenants:
            each.edit({"state": "stopped"})

        for each in tenants:
            await_warning(each)
        for each in tenants:
            each.settle("Stopped", timeout=LONG)
    for each in tenants:
        each.edit({"state": "deleted"}).settle("Deleted", timeout=LONG)


@contextmanager
def halted(tenant):
    """Let the server's process do nothing, as on a disk that is stuck; no signal is heard then."""
    os.kill(tenant.inspect()["State"]["Pid"], signal.SIGSTOP)
    try:
        yield
    finally:
        let_go_on(tenant)


def let_go_on(tenant):
    if pid := tenant.inspect()["State"]["Pid"]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_server_with_snapshots_that_hangs_is_stopped_unsaved_only_when_patience_ends(impatient):
    snapshots = {"persistence": {"mode": "rdb"}}
    hangs_on, comes_back = (make(impatient, "redis7", **snapshots) for _ in range(2))
    started = started_at(comes_back)

    with halted(hangs_on), halted(comes_back):
        for each in (hangs_on, comes_back):
            each.edit({"state": "stopped"})
        await_warning(comes_back)
        assert started_at(comes_back) == started
        assert comes_back.inspect()["State"]["Running"]
        let_go_on(comes_back)
        hangs_on.settle("Stopped", timeout=LONG)
    deeds = [deed.split()[0] for deed in impatient.deeds(hangs_on)]
    assert deeds.index("RememberWait") < deeds.index("StopUnsaved")
    assert "StopContainer" not in deeds

    comes_back.settle("Stopped", timeout=LONG)
    comes_back.edit({"state": "running"}).settle(timeout=LONG)
    assert comes_back.get("kept") == "yes"
    assert "StopUnsaved" not in str(impatient.deeds(comes_back))
    for each in (hangs_on, comes_back):
        each.edit({"state": "deleted"}).settle("Deleted", timeout=LONG)
