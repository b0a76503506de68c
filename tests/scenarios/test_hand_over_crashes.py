"""A hand-over is interrupted: one server is in charge, and no acknowledged write is lost.

The daemon dies, effects fail or seem to, and the whole host starts again; meanwhile clients go on
with the connections they have, and with new ones where they get in.
"""

import signal
import threading
from contextlib import suppress

import pytest
import redis

from tests.scenarios.boots import go_down
from tests.scenarios.faults import ALL, die_behind, faults, start, sweep
from tests.scenarios.faulty_daemon import HOLD_UP
from tests.scenarios.host import REDIS_8
from tests.scenarios.waiting import eventually

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.timeout(3600),
]

BOXED = {"upgrade": {"strategy": "handover"}}
AOF = {"persistence": {"mode": "aof"}}
CASES = {
    "memory only": (BOXED, {"engine": {"config": {"databases": 8}}}),
    "another image": (BOXED | AOF, {"engine": {"image": REDIS_8}}),
    "moving in": (AOF, BOXED),
    "moving out": (BOXED | AOF, {"upgrade": None}),
}
# Around the decision, where a wrong order would lose something.
REBOOTS = range(1, 40) if ALL else (9, 14, 16, 17, 18, 19, 20, 22, 24)
_LOST = (redis.RedisError, OSError)


class Clients:
    """Of one tenant: one that was there before, and one that comes now."""

    def __init__(self, tenant):
        self.tenant = tenant
        self.acknowledged = {}
        self._number = 0
        self._context = tenant.client(tenant.listener, single_connection_client=True)
        self._early = self._context.__enter__()
        self._early.set("early", "0")

    def write(self):
        """Write with both; remember what is said yes to."""
        self._number += 1
        for name, write in (("early", self._early.set), ("late", self._write_anew)):
            with suppress(*_LOST):
                if write(name, str(self._number)):
                    self.acknowledged[name] = self._number

    def lost(self):
        """Return what was acknowledged and is gone."""
        return {
            name: (number, held)
            for name, number in self.acknowledged.items()
            # A write without an answer may have been carried out all the same.
            if int(held := self.tenant.get(name) or 0) < number
        }

    def close(self):
        with suppress(*_LOST):
            self._context.__exit__(None, None, None)

    def _write_anew(self, name, value):
        with self.tenant.client(self.tenant.listener, socket_timeout=1) as client:
            return client.set(name, value)


@pytest.mark.parametrize("kind", CASES)
def test_whatever_goes_wrong_with_an_effect_nothing_acknowledged_is_lost(host, kind):
    before, changes = CASES[kind]
    clients = {}

    def prepare(tenant):
        tenant.write(before).settle().put(kept="yes")
        clients[tenant.name] = Clients(tenant)
        return tenant

    def orphaned(tenant):
        clients[tenant.name].write()

    wrong = faults(list(CASES).index(kind), 2)
    for case, tenant in sweep(
        host, prepare, lambda tenant: tenant.edit(changes), wrong, orphaned=orphaned
    ):
        assert len(tenant.containers()) == (1 if kind == "moving out" else 2), case
        assert tenant.get("kept") == "yes", case
        assert clients[tenant.name].lost() == {}, case
        assert tenant.record()["memory"]["hand_over"] is None, case
        assert len(list((tenant.folder / "data").iterdir())) == 1, case
        clients[tenant.name].close()


def test_what_a_pause_that_was_over_too_soon_let_through_is_kept(host):
    start(host)
    tenant = host.tenant("held").write(BOXED | AOF).settle()
    acknowledged = [0]

    def write_on(client):
        with suppress(*_LOST):
            while client.set("early", str(acknowledged[0] + 1)):
                acknowledged[0] += 1

    with tenant.client(
        tenant.listener, single_connection_client=True, socket_timeout=30
    ) as client:
        writing = threading.Thread(target=write_on, args=(client,))
        writing.start()
        host.put(host.root / "fault", f"promote {HOLD_UP}")
        tenant.edit({"engine": {"image": REDIS_8}})
        eventually(lambda: acknowledged[0] and not (host.root / "fault").exists())
        paused = acknowledged[0]
        eventually(lambda: acknowledged[0] > paused + 1)
        host.daemon.send_signal(signal.SIGCONT)
        writing.join(60)
    assert not writing.is_alive()
    eventually(
        lambda: (
            tenant.inspect()["Config"]["Image"] == REDIS_8
            and tenant.record()["memory"]["hand_over"] is None
        ),
        timeout=90,
    )
    tenant.settle()
    assert int(tenant.get("early")) >= acknowledged[0]


@pytest.mark.parametrize("abruptly", [False, True], ids=["shut down", "without power"])
def test_a_boot_of_the_host_at_any_point_leaves_one_server_with_everything(
    booting_engine, make_host, abruptly
):
    host = make_host(socket=booting_engine.socket)
    try:
        for number in REBOOTS:
            start(host)
            tenant = host.tenant(f"boot{number}").write(BOXED | AOF)
            tenant.settle(timeout=60).put(kept="yes")
            clients = Clients(tenant)
            died = die_behind(tenant, number, {"engine": {"image": REDIS_8}})
            clients.write()

            go_down(booting_engine, abruptly=abruptly)
            booting_engine.start()
            # Nobody looks after it: whoever gets in and is told yes must be right.
            clients.write()

            start(host)
            tenant.settle(timeout=60)
            assert tenant.get("kept") == "yes", number
            assert clients.lost() == {}, number
            assert len(tenant.containers()) == 2, number
            with tenant.client() as client:
                assert client.info("server")["redis_version"].startswith("8."), number
            clients.close()
            tenant.edit({"state": "deleted"}).settle("Deleted", timeout=60)
            host.stop()
            if not died:
                break
    finally:
        host.close()
