"""Docker may be down, go down and come back; the daemon needs no restart for it."""

import pytest

from tests.scenarios.conftest import SHARED_ENGINE
from tests.scenarios.host import REDIS_7
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
