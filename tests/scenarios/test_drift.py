"""Whatever somebody breaks by hand is repaired, and nobody else notices."""

import os
import shutil

import docker.errors
import pytest
import redis

from tests.scenarios.host import REDIS_7, REDIS_8, ROOT_LABEL, TENANT_LABEL, VALKEY_8
from tests.scenarios.waiting import TWO_RESYNCS, eventually, throughout


@pytest.fixture(scope="module")
def neighbour(shared_host):
    """Somebody who must never notice anything."""
    return shared_host.tenant("neighbour").write({"persistence": {"mode": "aof"}}).settle()


@pytest.fixture
def calm(fleet, neighbour):
    """Fail if a scenario disturbs the neighbour."""
    with fleet.undisturbed(neighbour):
        yield


@pytest.fixture
def tenant(fleet, calm):
    """A tenant to break, with something to lose."""
    made = fleet.tenant(f"drift{len(fleet.tenants)}")
    made.write({"persistence": {"mode": "aof"}, "access": {"mode": "dual-mode"}}).settle()
    return made.put(kept="yes")


def rename(container):
    container.rename(f"{container.name}-by-hand")


def disconnect(container):
    (network,) = container.attrs["NetworkSettings"]["Networks"]
    container.client.networks.get(network).disconnect(container)


HANDS_ON_CONTAINERS = {
    "removed": lambda container: container.remove(force=True),
    "killed": lambda container: container.kill(),
    "stopped": lambda container: container.stop(),
    "paused": lambda container: container.pause(),
    "renamed": rename,
    "disconnected": disconnect,
    "restarted": lambda container: container.restart(),
}


@pytest.mark.parametrize("harm", HANDS_ON_CONTAINERS)
def test_a_container_that_somebody_touched_serves_again_with_its_data(tenant, harm):
    container = tenant.container()

    HANDS_ON_CONTAINERS[harm](container)

    def serves():
        assert tenant.container().name == f"cachepilot-{tenant.name}"
        assert len(tenant.inspect()["NetworkSettings"]["Networks"]) == 1
        return tenant.is_running() and tenant.get("kept") == "yes"

    eventually(serves)
    tenant.settle()


def test_a_container_that_somebody_took_off_its_network_is_put_back_without_a_restart(tenant):
    run_id, container = tenant.run_id(), tenant.container()

    disconnect(container)

    eventually(lambda: len(tenant.inspect()["NetworkSettings"]["Networks"]) == 1)
    tenant.settle()
    assert tenant.get("kept") == "yes"
    assert tenant.run_id() == run_id


def test_limits_that_somebody_changed_are_given_back_without_a_restart(tenant):
    run_id, limit = tenant.run_id(), tenant.inspect()["HostConfig"]["Memory"]

    tenant.container().update(
        mem_limit=2**28, memswap_limit=2**29, cpu_quota=50_000, restart_policy={"Name": "no"}
    )

    def is_back():
        host = tenant.inspect()["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (limit, limit)
        assert host["CpuQuota"] == -1
        return host["RestartPolicy"]["Name"] == "unless-stopped"

    eventually(is_back)
    assert tenant.run_id() == run_id


def test_a_period_of_processor_time_that_somebody_chose_is_given_back(tenant):
    run_id, limited = tenant.run_id(), tenant.edit({"cpus": 0.5}).settle()

    limited.container().update(cpu_period=25_000)

    def is_back():
        host = tenant.inspect()["HostConfig"]
        return (host["CpuPeriod"], host["CpuQuota"]) == (100_000, 50_000)

    eventually(is_back)
    assert tenant.run_id() == run_id


HANDS_ON_DIRECTIVES = {
    "maxmemory": "5000000",
    "maxmemory-policy": "allkeys-random",
    "appendonly": "no",
    "maxclients": "17",
    "save": "10 1",
    "hz": "100",
    "client-output-buffer-limit": "pubsub 1mb 1mb 1",
    "notify-keyspace-events": "KEx",
    "tls-protocols": "TLSv1.2",
}


def test_directives_that_somebody_set_are_set_back_live(tenant):
    run_id = tenant.run_id()
    wanted = {name: tenant.config(name) for name in HANDS_ON_DIRECTIVES}

    with tenant.admin() as admin:
        for name, value in HANDS_ON_DIRECTIVES.items():
            admin.config_set(name, value)
    assert all(tenant.config(name) != value for name, value in wanted.items())

    eventually(
        lambda: {name: tenant.config(name) for name in wanted} == wanted, timeout=TWO_RESYNCS
    )
    assert tenant.run_id() == run_id
    tenant.settle()
    told = "\n".join(each for each in tenant.host.deeds(tenant) if "SetDirectives" in each)
    for name in ("maxmemory", "maxmemory-policy", "maxclients", "hz", "save"):
        assert f"{name}={wanted[name]}" in told, told
        assert f"{name} is {HANDS_ON_DIRECTIVES[name]}" in told, told


def test_an_append_only_file_that_somebody_switched_off_keeps_every_key(tenant):
    with tenant.admin() as admin:
        admin.config_set("appendonly", "no")
    tenant.put(written="meanwhile")

    eventually(lambda: tenant.config("appendonly") == "yes", timeout=TWO_RESYNCS)
    eventually(lambda: not persistence_of(tenant)["aof_rewrite_in_progress"])
    tenant.container().kill()

    eventually(lambda: tenant.get("written") == "meanwhile")
    assert tenant.get("kept") == "yes"


def persistence_of(tenant):
    with tenant.admin() as admin:
        return admin.info("persistence")


HANDS_ON_USERS = (
    "default >intruder",
    "default resetpass >intruder",
    "default nopass",
    "default +config",
    "default -get",
    "default resetkeys ~only:*",
    "default resetchannels",
    "default off",
    "mallory on nopass ~* +@all",
    "cachepilot-twin-default on >intruder ~* +@all",
)


@pytest.mark.parametrize("image", [REDIS_7, REDIS_8, VALKEY_8])
def test_users_that_somebody_changed_are_put_back_live(fleet, calm, image):
    tenants = crowd(fleet, "acl", len(HANDS_ON_USERS), {"engine": {"image": image}})
    before = [(each.run_id(), users_of(each)) for each in tenants]

    for each, harm, (_, users) in zip(tenants, HANDS_ON_USERS, before, strict=True):
        with each.admin() as admin, admin.pipeline(transaction=False) as at_once:
            at_once.execute_command("ACL", "SETUSER", *harm.split())
            at_once.execute_command("ACL", "LIST")
            assert without_flag(at_once.execute()[1]) != users

    for each, (run_id, users) in zip(tenants, before, strict=True):
        eventually(lambda each=each, users=users: users_of(each) == users, timeout=TWO_RESYNCS)
        with (
            each.client(password="intruder") as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        assert each.run_id() == run_id


def crowd(fleet, short, number, spec):
    """Return *number* equal tenants, made at once, because each repair waits for a resync."""
    made = [fleet.tenant(f"{short}{len(fleet.tenants)}").write(spec) for _ in range(number)]
    return [each.settle() for each in made]


def users_of(tenant):
    with tenant.admin() as admin:
        return without_flag(admin.execute_command("ACL", "LIST"))


def without_flag(lines):
    """Return users as lines; those loaded from a file lack one flag that means nothing here."""
    return sorted(line.replace(" sanitize-payload", "") for line in lines)


DELETED = (
    "conf/1/redis.conf",
    "conf/1/users.acl",
    "tls/1/key.pem",
    "tls/1/cert.pem",
    "tls/1/ca.pem",
    "tls/1",
    "conf/1",
)


def test_deleted_files_and_folders_are_made_again_while_the_server_goes_on(fleet, calm):
    tenants = crowd(fleet, "file", len(DELETED), {"persistence": {"mode": "aof"}})
    run_ids = [each.put(kept="yes").run_id() for each in tenants]

    for each, path in zip(tenants, DELETED, strict=True):
        remove(each.folder / path)

    for each, run_id in zip(tenants, run_ids, strict=True):
        eventually(lambda each=each: is_whole(each), timeout=TWO_RESYNCS)
        assert each.settle().run_id() == run_id
        # What a server reads only when it starts must be right, too.
        each.container().restart()
    for each in tenants:
        eventually(lambda each=each: each.get("kept") == "yes")
        each.settle()


def test_a_deleted_folder_of_certificates_is_mended(tenant):
    remove(tenant.folder / "tls")
    eventually(lambda: is_whole(tenant), timeout=TWO_RESYNCS)

    # Whatever the server still holds in memory, a new certificate has to get through to it.
    tenant.edit({"tls": {"extraNames": ["cache.example.org"]}}).settle(timeout=TWO_RESYNCS)


def is_whole(tenant):
    leaf = tenant.folder / f"tls/{tenant.record()['memory']['certificate']}"
    files = {
        entry.name for folder in (leaf, tenant.folder / "conf/1") for entry in folder.iterdir()
    }
    return files == {"cert.pem", "key.pem", "ca.pem", "redis.conf", "users.acl"}


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_key_that_everybody_may_read_is_closed_again(tenant):
    key = tenant.folder / "tls/1/key.pem"
    key.chmod(0o644)

    def is_closed():
        current = tenant.folder / f"tls/{tenant.record()['memory']['certificate']}/key.pem"
        return current.stat().st_mode & 0o777 == 0o640

    eventually(is_closed, timeout=TWO_RESYNCS)


def test_files_given_to_another_owner_are_taken_back(tenant):
    uid = tenant.record()["memory"]["reservation"]["uid"]
    os.chown(tenant.data, 0, 0)

    eventually(lambda: tenant.data.stat().st_uid == uid, timeout=TWO_RESYNCS)


def test_a_container_of_no_tenant_is_reported_and_left_alone(fleet, calm):
    labels = {TENANT_LABEL: "nobody", ROOT_LABEL: str(fleet.root), "io.cachepilot.role": "server"}
    name = f"{fleet.slot.mark}-orphan"
    stranger = fleet.engine.containers.create(
        REDIS_7, ["redis-server"], name=name, labels=labels, network_mode="none"
    )
    stranger.start()

    eventually(lambda: [o["tenant"] for o in fleet.facts()["orphans"]] == ["nobody"])
    throughout(lambda: fleet.engine.containers.get(name).status == "running", seconds=6)

    stranger.remove(force=True)
    eventually(lambda: fleet.facts()["orphans"] == [])


def test_a_container_of_a_role_that_nobody_knows_is_reported_and_disturbs_nobody(fleet, tenant):
    """Not even when the tenant's own container is away, so that all of its are searched."""
    labels = {
        TENANT_LABEL: tenant.name,
        ROOT_LABEL: str(fleet.root),
        "io.cachepilot.role": "guest",
    }
    name = f"{fleet.slot.mark}-guest"
    guest = fleet.engine.containers.create(
        REDIS_7, ["redis-server"], name=name, labels=labels, network_mode="none"
    )
    guest.start()
    reported = {"container": name, "tenant": tenant.name}
    try:
        eventually(lambda: reported in fleet.facts()["orphans"])
        fleet.engine.containers.get(f"cachepilot-{tenant.name}").remove(force=True)
        eventually(lambda: len(fleet.containers(tenant.name)) == 2)
        eventually(lambda: tenant.get("kept") == "yes")
        tenant.settle()
        assert fleet.engine.containers.get(name).id == guest.id
    finally:
        guest.remove(force=True)
    eventually(lambda: fleet.facts()["orphans"] == [])


def test_a_container_of_another_root_is_no_business_of_ours(fleet, calm):
    labels = {TENANT_LABEL: "elsewhere", ROOT_LABEL: "/elsewhere"}
    stranger = fleet.engine.containers.create(
        REDIS_7, ["redis-server"], labels=labels, network_mode="none"
    )
    try:
        throughout(lambda: fleet.facts()["orphans"] == [], seconds=6)
    finally:
        stranger.remove(force=True)
    with pytest.raises(docker.errors.NotFound):
        fleet.engine.containers.get(stranger.id)
