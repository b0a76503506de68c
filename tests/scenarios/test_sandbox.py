"""A tenant whose server shares the network of a sandbox: in, out, and whatever happens to it."""

import signal
import socket
from pathlib import Path

import pytest

from tests.scenarios.faults import start
from tests.scenarios.faulty_daemon import HOLD_UP
from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.test_isolation import dial, dial_from
from tests.scenarios.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
BOXED = {"upgrade": {"strategy": "handover"}}
KEPT = {"persistence": {"mode": "aof"}}


@pytest.fixture
def boxed(fleet):
    made = fleet.tenant(f"boxed{len(fleet.tenants)}").write(BOXED | KEPT)
    return made.settle().put(kept="yes")


@pytest.mark.parametrize("mode", ["none", "rdb", "aof"])
@pytest.mark.parametrize("engine", ENGINES)
def test_moving_in_and_out_is_one_restart_that_loses_nothing(fleet, engine, mode):
    tenant = fleet.tenant(f"move-{engine}-{mode}")
    spec = {"engine": {"image": ENGINES[engine]}, "persistence": {"mode": mode}}
    tenant.write(spec | {"access": {"mode": "dual-mode"}}).settle()
    ports = tenant.port("tls"), tenant.port("plain")

    with Load(tenant, "tls", "plain") as load:
        for strategy, containers in (("handover", 2), ("restart", 1)):
            before = tenant.run_id()
            tenant.edit({"upgrade": {"strategy": strategy}}).settle()
            load.go_on()
            assert tenant.run_id() != before
            assert len(tenant.containers()) == containers
            assert (tenant.port("tls"), tenant.port("plain")) == ports
    assert load.lost() == []


def test_a_server_in_a_sandbox_publishes_nothing_itself(boxed):
    server, sandbox = boxed.inspect(), dict(boxed.sandbox().attrs)
    assert server["HostConfig"]["PortBindings"] in (None, {})
    assert server["HostConfig"]["NetworkMode"] == f"container:{boxed.sandbox().id}"
    assert set(sandbox["HostConfig"]["PortBindings"]) == {"6380/tcp"}
    assert [mount["Type"] for mount in sandbox["Mounts"]] == ["tmpfs", "tmpfs"]
    for inspected in (server, sandbox):
        host, user = inspected["HostConfig"], inspected["Config"]["User"]
        assert (host["CapDrop"], host["ReadonlyRootfs"]) == (["ALL"], True)
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["Memory"] == host["MemorySwap"] > 0
        assert host["PidsLimit"] > 0
        assert user != "0:0"


def test_no_neighbour_reaches_a_sandbox(fleet, boxed):
    boxed.edit({"access": {"mode": "dual-mode"}}).settle()
    beside = fleet.tenant("beside").write({}).settle()
    (network,) = boxed.sandbox().attrs["NetworkSettings"]["Networks"].values()
    (other,) = beside.inspect()["NetworkSettings"]["Networks"].values()
    assert network["NetworkID"] == other["NetworkID"]

    assert dial_from([], network["IPAddress"], 6379)
    assert not dial(beside, network["IPAddress"], 6379)
    assert not dial(beside, network["IPAddress"], 6380)
    assert not dial(beside, network["Gateway"], boxed.port("plain"))


def test_live_changes_stay_live_in_a_sandbox(fleet, boxed):
    with fleet.unbroken(boxed):
        boxed.edit({"memory": {"max": "24MiB"}, "engine": {"config": {"timeout": 60}}}).settle()
    assert boxed.config("timeout") == "60"


HARMS = {
    "started again": lambda tenant: tenant.sandbox().restart(timeout=1),
    "killed": lambda tenant: tenant.sandbox().kill(),
    "removed": lambda tenant: tenant.sandbox().remove(force=True),
    "frozen": lambda tenant: tenant.sandbox().pause(),
}


@pytest.mark.parametrize("harm", HARMS)
def test_whatever_happens_to_a_sandbox_is_mended_with_the_data(boxed, harm):
    HARMS[harm](boxed)

    eventually(lambda: boxed.get("kept") == "yes")
    boxed.settle()
    assert len(boxed.containers()) == 2


def test_a_sandbox_goes_with_its_tenant(boxed):
    boxed.edit({"state": "stopped"}).settle("Stopped")
    assert not any(each.attrs["State"]["Running"] for each in boxed.containers())
    boxed.edit({"state": None}).settle()
    assert boxed.get("kept") == "yes"

    boxed.edit({"state": "deleted"}).settle("Deleted")
    assert boxed.containers() == []


def test_other_ports_need_another_sandbox_and_lose_nothing(boxed):
    before = boxed.sandbox().id
    boxed.edit({"access": {"mode": "dual-mode"}}).settle()

    assert boxed.sandbox().id != before
    assert boxed.get("kept") == "yes"
    with boxed.client("plain") as client:
        assert client.ping()


@pytest.mark.parametrize("is_boxed", [False, True], ids=["moving in", "moving its port"])
def test_a_tenant_whose_new_sandbox_cannot_start_goes_back_to_where_it_was(host, is_boxed):
    start(host)
    tenant = host.tenant("late").write((BOXED if is_boxed else {}) | KEPT).settle()
    before, wanted = tenant.put(kept="yes").port(), host.slot.free_port(0)
    # Once the old server is gone, somebody else takes the port that was free until then.
    host.put(host.root / "fault", f"remove {HOLD_UP}")

    tenant.edit(BOXED | {"access": {"ports": {"tls": wanted}}})
    eventually(lambda: "T (stopped)" in Path(f"/proc/{host.daemon.pid}/status").read_text())
    with socket.create_server(("127.0.0.1", wanted)):
        host.daemon.send_signal(signal.SIGCONT)
        message = tenant.stalled("RestartFailed")["message"]

    assert "its sandbox cannot be started" in message
    assert tenant.get("kept") == "yes"
    assert tenant.port() == before
    assert len(tenant.containers()) == (2 if is_boxed else 1)
