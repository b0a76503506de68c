"""Every edit takes effect, with no more disruption than it needs and without losing a key."""

import re
import socket
import ssl

import pytest
import redis

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually, throughout

MODES = ("none", "rdb", "aof")


@pytest.fixture
def tenant(fleet):
    """A tenant with something to lose."""
    made = fleet.tenant(f"edit{len(fleet.tenants)}")
    return made.write({"access": {"mode": "dual-mode"}}).settle().put(kept="yes")


# Live: the same server before and after ------------------------------------------------------


def test_memory_grows_and_shrinks_live(fleet, tenant):
    with fleet.unbroken(tenant):
        for size in (48, 12, 16):
            tenant.edit({"memory": {"max": f"{size}MiB"}}).settle()
            limit = tenant.status()["spec"]["memory"]["limit"]
            assert tenant.config("maxmemory") == str(size * 2**20)
            host = tenant.inspect()["HostConfig"]
            assert (host["Memory"], host["MemorySwap"]) == (limit, limit)
    assert tenant.get("kept") == "yes"


def test_memory_does_not_shrink_below_data_that_must_not_be_evicted(fleet, tenant):
    tenant.edit({"memory": {"max": "16MiB", "policy": "noeviction"}}).settle()
    tenant.put(big="x" * 4_000_000)

    with fleet.unbroken(tenant):
        tenant.edit({"memory": {"max": "3MiB"}})
        told = tenant.stalled("MemoryDoesNotFit")["message"]
        used = re.search(r"cannot shrink memory.max to 3MiB: (\d+\.\d)MiB are in use", told)
        assert used, told
        assert 4 < float(used[1]) < 16
        assert tenant.config("maxmemory") == str(16 * 2**20)
        assert len(tenant.get("big")) == 4_000_000
        with tenant.client() as client:
            client.delete("big")
        tenant.settle()
    assert tenant.config("maxmemory") == str(3 * 2**20)


@pytest.mark.parametrize("image", [REDIS_7, REDIS_8, VALKEY_8])
def test_a_limit_that_cannot_shrink_yet_is_told_and_shrinks_as_soon_as_it_can(fleet, image):
    """Evicted keys leave holes in pages, and the engine refuses a limit below what is resident."""
    tenant = fleet.tenant(f"shrink{len(fleet.tenants)}")
    tenant.write({"engine": {"image": image}, "memory": {"max": "160MiB"}}).settle()
    before = tenant.inspect()["HostConfig"]["Memory"]
    with tenant.client() as client:
        for start in range(0, 120_000, 2000):
            client.mset({f"key:{number}": "x" * 1000 for number in range(start, start + 2000)})

    with fleet.unbroken(tenant):
        tenant.edit({"memory": {"max": "32MiB"}}).settle()
        assert tenant.config("maxmemory") == str(32 * 2**20)
        limit = tenant.status()["spec"]["memory"]["limit"]
        found = tenant.condition("ContainerCurrent")
        assert (found["status"], found["reason"]) == ("True", "LimitShrinkDeferred")
        assert "LimitShrinkDeferred" in fleet.ctl("describe", "tenant", tenant.name)
        host = tenant.inspect()["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (before, before)

        with tenant.client() as client:
            client.flushall()
        eventually(lambda: tenant.inspect()["HostConfig"]["Memory"] == limit)
        eventually(lambda: tenant.condition("ContainerCurrent")["reason"] == "Running")


def test_the_policy_and_the_share_of_processors_change_live(fleet, tenant):
    with fleet.unbroken(tenant):
        tenant.edit({"memory": {"policy": "volatile-ttl"}, "cpus": 0.5}).settle()
        assert tenant.config("maxmemory-policy") == "volatile-ttl"
        assert tenant.inspect()["HostConfig"]["CpuQuota"] == 50_000
        tenant.edit({"cpus": None}).settle()
        assert tenant.inspect()["HostConfig"]["CpuQuota"] == -1


def test_directives_change_live_and_go_back_when_they_are_taken_out(fleet, tenant):
    wanted = {
        "maxclients": 50,
        "timeout": 300,
        "tcp-keepalive": 60,
        "notify-keyspace-events": "KEx",
        "slowlog-log-slower-than": 5000,
        "slowlog-max-len": 32,
        "latency-monitor-threshold": 25,
        "hz": 20,
        "lazyfree-lazy-user-del": True,
        "maxmemory-samples": 7,
        "client-output-buffer-limit": {"pubsub": {"hard": "1MiB", "soft": "512KiB", "seconds": 5}},
    }
    before = {name: tenant.config(name) for name in wanted}
    with fleet.unbroken(tenant):
        tenant.edit({"engine": {"config": wanted}}).settle()
        assert tenant.config("maxclients") == "50"
        assert tenant.config("lazyfree-lazy-user-del") == "yes"
        assert "pubsub 1048576 524288 5" in tenant.config("client-output-buffer-limit")
        assert all(tenant.config(name) != value for name, value in before.items())

        tenant.edit({"engine": None}).settle()
        assert {name: tenant.config(name) for name in wanted} == before


def test_a_directive_that_the_build_refuses_is_told_and_holds_nothing_up(fleet, tenant):
    with fleet.unbroken(tenant):
        tenant.edit({"engine": {"config": {"activedefrag": True, "timeout": 77}}})
        tenant.stalled("DirectiveRefused")
        assert tenant.config("timeout") == "77"
        tenant.edit({"engine": None}).settle()


def names_served(tenant, name):
    context = ssl.create_default_context(cafile=str(tenant.host.public_ca))
    with (
        socket.create_connection(("127.0.0.1", tenant.port()), timeout=5) as channel,
        context.wrap_socket(channel, server_hostname=name) as secure,
    ):
        return {value for _, value in secure.getpeercert()["subjectAltName"]}


def test_further_names_are_served_live_and_open_connections_go_on(fleet, tenant):
    with fleet.unbroken(tenant), tenant.client("tls") as client:
        client.ping()
        tenant.edit({"tls": {"extraNames": ["cache.example.org", "10.1.2.3"]}}).settle()

        names = names_served(tenant, "cache.example.org")
        assert {"cache.example.org", "10.1.2.3", "localhost", "127.0.0.1"} <= names
        assert client.get("kept") == "yes"

        tenant.edit({"tls": None}).settle()
        assert "cache.example.org" not in names_served(tenant, "localhost")
    leaves = {entry.name for entry in (tenant.folder / "tls").iterdir()}
    assert leaves == {str(tenant.record()["memory"]["certificate"])}


def test_a_password_from_a_file_is_adopted_and_changed_live(fleet, tenant, tmp_path):
    file = tmp_path / "password"
    file.write_text("first-password-of-the-customer\n")
    file.chmod(0o600)
    old = tenant.password()
    with fleet.unbroken(tenant), tenant.client(password=old) as early:
        early.ping()
        tenant.edit({"auth": {"passwordFile": str(file), "grace": "0s"}}).settle()
        assert accepts(tenant, "first-password-of-the-customer")
        assert not accepts(tenant, old)

        file.write_text("second-password-of-the-customer\n")
        eventually(lambda: accepts(tenant, "second-password-of-the-customer"))
        eventually(lambda: not accepts(tenant, "first-password-of-the-customer"))
        # Whoever was logged in stays so: a new password is for new connections.
        assert early.get("kept") == "yes"

        tenant.edit({"auth": {"passwordFile": None}}).settle()
        assert not accepts(tenant, "second-password-of-the-customer")
        assert accepts(tenant, tenant.password())


def test_a_password_file_that_cannot_be_used_leaves_the_old_password(fleet, tenant, tmp_path):
    old = tenant.password()
    with fleet.unbroken(tenant):
        tenant.edit({"auth": {"passwordFile": str(tmp_path / "missing")}})
        tenant.stalled("PasswordFileUnusable")
        assert accepts(tenant, old)
        (tmp_path / "missing").write_text("a-password-that-came-later\n")
        (tmp_path / "missing").chmod(0o600)
        tenant.settle()
    assert accepts(tenant, "a-password-that-came-later")


def accepts(tenant, password):
    try:
        with tenant.client("plain", password=password) as client:
            return client.ping()
    except redis.AuthenticationError:
        return False


# What survives -------------------------------------------------------------------------------


def test_persistence_changes_live_and_each_mode_keeps_its_promise(fleet, tenant):
    with fleet.unbroken(tenant):
        for mode in ("rdb", "aof", "none", "aof", "rdb", "none"):
            tenant.edit({"persistence": {"mode": mode}}).settle()
            assert tenant.get("kept") == "yes"


@pytest.mark.parametrize("start", MODES)
def test_after_a_change_of_persistence_a_crash_leaves_what_the_new_mode_promises(fleet, start):
    for goal in MODES:
        tenant = fleet.tenant(f"from-{start}-to-{goal}").write({"persistence": {"mode": start}})
        tenant.settle().put(kept="yes", gone="yes")
        with tenant.client() as client:
            client.delete("gone")
        tenant.edit({"persistence": {"mode": goal}}).settle()
        run_id = tenant.run_id()
        if goal == "rdb":
            with tenant.admin() as admin:
                admin.save()

        tenant.container().kill()

        eventually(lambda tenant=tenant, run_id=run_id: tenant.run_id() != run_id)
        tenant.settle()
        assert tenant.get("kept") == (None if goal == "none" else "yes"), (start, goal)
        # A file of an earlier mode must not bring back what was deleted since.
        assert tenant.get("gone") is None


# Restart: everything is kept -----------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_another_image_keeps_the_data(fleet, mode):
    tenant = fleet.tenant(f"upgrade-{mode}").write({"persistence": {"mode": mode}}).settle()
    tenant.put(**{f"key{n}": "yes" for n in range(500)})

    tenant.edit({"engine": {"image": REDIS_8}}).settle()

    with tenant.client() as client:
        assert client.info("server")["redis_version"].startswith("8.")
        assert client.dbsize() == 500
    assert tenant.inspect()["Config"]["Image"] == REDIS_8


def test_an_image_that_cannot_read_the_data_loses_none_of_it(fleet):
    tenants = [fleet.tenant(f"downgrade-{mode}") for mode in ("none", "aof")]
    for each, mode in zip(tenants, ("none", "aof"), strict=True):
        each.write({"engine": {"image": REDIS_8}, "persistence": {"mode": mode}})
    for each in tenants:
        each.settle().put(kept="yes")

    # Redis 7 refuses a file that Redis 8 has written.
    with fleet.unbroken(*tenants):
        for each in tenants:
            each.edit({"engine": {"image": REDIS_7}})
        for each in tenants:
            assert "7.0" in each.stalled("DataTooNew", timeout=90)["message"]
            assert each.get("kept") == "yes"

        for each in tenants:
            each.edit({"engine": {"image": REDIS_8}})
        for each in tenants:
            assert each.settle(timeout=90).get("kept") == "yes"


def test_a_wish_for_a_restart_is_served_exactly_once(host):
    tenants = [host.tenant(f"wish-{mode}") for mode in MODES]
    host.start()
    for each, mode in zip(tenants, MODES, strict=True):
        each.write({"persistence": {"mode": mode}}).settle().put(kept="yes")
    before = [each.run_id() for each in tenants]

    for each in tenants:
        each.edit({"restartedAt": "2026-03-01T12:00:00Z"})
    for each in tenants:
        each.settle()
    after = [each.run_id() for each in tenants]
    assert not set(after) & set(before)
    assert [each.get("kept") for each in tenants] == ["yes"] * len(tenants)

    host.restart()
    throughout(lambda: [each.run_id() for each in tenants] == after, seconds=7)


def test_a_paused_tenant_is_left_alone_and_mended_when_resumed(fleet, tenant):
    tenant.edit({"paused": True}).settle("Paused")
    tenant.container().kill()
    tenant.edit({"memory": {"max": "20MiB"}}).settle("Paused")
    throughout(lambda: not tenant.is_running(), seconds=7)

    tenant.edit({"paused": None}).settle()

    assert tenant.config("maxmemory") == str(20 * 2**20)


def test_the_command_line_edits_what_the_daemon_then_does(fleet, tenant):
    name = tenant.name
    tenant.forget_writes()
    with fleet.unbroken(tenant):
        fleet.ctl("set", name, "spec.memory.max=24MiB")
        fleet.ctl("wait", "--for=condition=Ready", name, "--timeout", "60s")
        assert tenant.config("maxmemory") == str(24 * 2**20)
    run_id = tenant.run_id()
    fleet.ctl("restart", name)
    fleet.ctl("wait", "--for=condition=Ready", name, "--timeout", "60s")
    assert tenant.run_id() != run_id
    fleet.ctl("stop", name)
    eventually(lambda: not tenant.is_running())
    fleet.ctl("start", name)
    fleet.ctl("wait", "--for=condition=Ready", name, "--timeout", "60s")
    assert tenant.get("kept") == "yes"
    assert REDIS_7 in fleet.ctl("describe", "tenant", name)
