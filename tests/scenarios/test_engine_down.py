"""Docker may be down, go down and come back; the daemon needs no restart for it."""

import pytest

from tests.scenarios.conftest import SHARED_ENGINE
from tests.scenarios.host import REDIS_7, ROOT_LABEL
from tests.scenarios.private_engine import PrivateEngine
from tests.scenarios.waiting import eventually


@pytest.fixture
def engine(tmp_path):
    engine = PrivateEngine(tmp_path)
    try:
        yield engine
    finally:
        engine.remove()


def test_an_engine_that_is_down_is_waited_for_each_time(engine, make_host):
    # Once up, to be given its image.
    engine.start()
    engine.copy_image(REDIS_7, SHARED_ENGINE)
    engine.stop()
    host = make_host(socket=engine.socket)
    try:
        host.start()
        tenants = [
            host.tenant(mode).write({"persistence": {"mode": mode}})
            for mode in ("none", "rdb", "aof")
        ]
        is_told_to_be_down(host)
        for each in tenants:
            each.stalled("EngineUnavailable")

        engine.start()
        for each in tenants:
            each.settle(timeout=60).put(kept="yes")
        eventually(lambda: host.page("readyz")[0] == 200)

        engine.stop()
        is_told_to_be_down(host)
        for each in tenants:
            eventually(lambda each=each: each.word != "Ready")
            each.edit({"memory": {"max": "20MiB"}})

        engine.start()
        for each in tenants:
            each.settle(timeout=60)
            assert each.config("maxmemory") == str(20 * 2**20)
        # What needs no disk to survive is gone with its server; everything else is there.
        assert [each.get("kept") for each in tenants[1:]] == ["yes", "yes"]
        assert eventually(lambda: host.facts()["docker"]["up"])
    finally:
        host.close()


def is_told_to_be_down(host):
    eventually(lambda: not host.facts()["docker"]["up"] and host.facts()["docker"]["message"])
    assert eventually(lambda: host.page("readyz")[0] == 503)
    assert host.page("livez")[0] == 200


# An engine that dies ---------------------------------------------------------------------------

AOF = {"persistence": {"mode": "aof"}}


@pytest.fixture
def serving(engine, make_host):
    """A host on an engine of its own, with one tenant of each mode that keeps its data."""
    engine.start()
    engine.copy_image(REDIS_7, SHARED_ENGINE)
    host = make_host(socket=engine.socket)
    try:
        host.start()
        tenants = [host.tenant(mode).write({"persistence": {"mode": mode}}) for mode in MODES]
        for each in tenants:
            each.settle(timeout=60).put(kept="yes")
            with each.admin() as admin:
                admin.save()
        yield host, tenants
    finally:
        engine.start()
        host.close()


MODES = ("rdb", "aof")


def comes_back_whole(host, tenants):
    """Wait until everybody serves as before, with one container each and the data there."""
    for each in tenants:
        eventually(lambda each=each: each.get("kept") == "yes", timeout=60)
        each.settle(timeout=60)
        assert len(each.containers()) == 1
    names = [container.name for container in host.containers()]
    assert len(names) == len(set(names)) == len(tenants)
    networks = host.engine.networks.list(filters={"label": f"{ROOT_LABEL}={host.root}"})
    assert len(networks) == 1
    eventually(lambda: host.page("readyz")[0] == 200)


def test_a_quiet_fleet_outlives_an_engine_that_was_killed(engine, serving):
    host, tenants = serving
    before = [each.container().id for each in tenants]

    engine.crash()
    is_told_to_be_down(host)
    for each in tenants:
        each.stalled("EngineUnavailable")
        assert each.word != "Ready"
        # Servers live without it; only Docker's own forwarders of ports end with the engine.
        with each.admin() as admin:
            assert admin.info("keyspace")["db0"]["keys"] == 1

    engine.start()
    comes_back_whole(host, tenants)
    assert [each.container().id for each in tenants] == before


def serves_or_is_told_why_not(tenant):
    """Return whether it serves; if not, its status says that only Docker can mend it."""

    def is_decided():
        told = tenant.condition("Stalled")
        assert tenant.word == "Ready" or "restart Docker" in told["message"], tenant.summary()
        return True

    eventually(is_decided, timeout=60)
    return tenant.word == "Ready"


def test_births_under_way_when_the_engine_is_killed_are_finished(engine, serving):
    host, tenants = serving
    born = [host.tenant(f"born{number}").write(AOF) for number in range(4)]
    # In the midst of it: some have a container, and not all of them serve.
    eventually(lambda: any(each.containers() for each in born))

    engine.crash()
    is_told_to_be_down(host)

    engine.start()
    if sum(map(serves_or_is_told_why_not, born)) < len(born):
        engine.stop()
        engine.start()
    for each in born:
        eventually(lambda each=each: each.put(kept="yes"), timeout=60)
    comes_back_whole(host, tenants + born)
    passwords = {each.password() for each in born}
    assert len(passwords) == len(born)


def test_a_restart_under_way_when_the_engine_is_killed_is_finished_once(engine, serving):
    host, tenants = serving
    before = [each.run_id() for each in tenants]
    for each in tenants:
        each.edit({"restartedAt": "2026-03-01T12:00:00Z"})
    eventually(lambda: any("Replacement" in deed for each in tenants for deed in host.deeds(each)))

    engine.crash()
    is_told_to_be_down(host)

    engine.start()
    comes_back_whole(host, tenants)
    assert all(each.run_id() != old for each, old in zip(tenants, before, strict=True))
    served = [each.run_id() for each in tenants]
    host.restart()
    comes_back_whole(host, tenants)
    assert [each.run_id() for each in tenants] == served
