"""A new server serves only with all the data of the one before; else that one serves again."""

import io
import json
import socket
import tarfile

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.waiting import eventually

# redis-py forgets the socket of a handshake that a stopping server cuts off.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

MODES = ("none", "rdb", "aof")
ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
LISTENERS = {"tls-only": {"tls"}, "dual-mode": {"tls", "plain"}, "plain-only": {"plain"}}
INSIDE = {"6379/tcp": "plain", "6380/tcp": "tls"}
ROOMY = {"memory": {"max": "32MiB", "policy": "noeviction"}}
# A server with this starts nowhere; what it says of its version is true all the same.
BROKEN_TLS = "openssl_conf = i\n[i]\nproviders = p\n[p]\nbase = b\n[b]\nactivate = 1\n"


def with_image(image, mode="none"):
    return {**ROOMY, "engine": {"image": image}, "persistence": {"mode": mode}}


@pytest.fixture
def broken_image(fleet):
    """An image like Redis 8.0 whose server ends as soon as it is to encrypt."""
    name = f"cachepilot-lab/broken-{fleet.slot.mark}:redis8"
    made = fleet.engine.containers.create(REDIS_8, entrypoint=["redis-server"])
    try:
        made.put_archive("/etc", archive("broken.cnf", BROKEN_TLS))
        repository, tag = name.split(":")
        made.commit(repository, tag=tag, changes="ENV OPENSSL_CONF=/etc/broken.cnf")
    finally:
        made.remove()
    yield name
    fleet.engine.images.remove(name, force=True)


def archive(name, text):
    content, file = text.encode(), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o644
        tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def engine_of(tenant):
    with tenant.admin() as admin:
        info = admin.info("server")
    return info.get("server_name", "redis"), info.get("valkey_version", info["redis_version"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("image", [REDIS_8, VALKEY_8], ids=["redis8", "valkey8"])
def test_a_newer_server_takes_over_with_every_acknowledged_write(
    fleet, image, mode, record_property
):
    tenant = fleet.tenant(f"up-{mode}-{image.split('/')[1][:5]}")
    tenant.write(with_image(REDIS_7, mode)).settle()

    with Load(tenant, None, None) as load:
        tenant.edit({"engine": {"image": image}}).settle()
        load.go_on()

    assert load.lost() == []
    assert engine_of(tenant)[1].startswith(image.split(":")[1])
    record_property("longest blink", f"{load.longest_blink:.2f} s")
    folders = {path.name for path in (tenant.folder / "data").iterdir()}
    assert folders == {str(tenant.record()["memory"]["instance"])}


@pytest.mark.parametrize("before", [REDIS_8, VALKEY_8], ids=["redis8", "valkey8"])
def test_a_server_that_cannot_load_the_data_is_refused_before_anything_stops(fleet, before):
    tenant = fleet.tenant(f"down-{before.split('/')[1][:5]}")
    tenant.write(with_image(before, "rdb")).settle()
    run_id = tenant.run_id()

    tenant.edit({"engine": {"image": REDIS_7}})

    message = tenant.stalled("DataTooNew")["message"]
    assert "7.0" in message
    assert "format" in message
    assert tenant.run_id() == run_id
    # Everything else goes on.
    tenant.edit({"memory": {"max": "24MiB"}}).settle("Stalled")
    assert tenant.config("maxmemory") == str(24 * 2**20)
    tenant.edit({"engine": {"image": before}}).settle()
    assert tenant.run_id() == run_id


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_does_not_start_is_taken_back_with_every_acknowledged_write(
    fleet, mode, broken_image, record_property
):
    tenant = fleet.tenant(f"back-{mode}").write(with_image(REDIS_7, mode)).settle()

    with Load(tenant, None, None) as load:
        tenant.edit({"engine": {"image": broken_image}})
        message = tenant.stalled("UpgradeFailed")["message"]
        load.go_on()
        run_id = tenant.run_id()
        tenant.edit({"memory": {"max": "24MiB"}}).settle("Stalled")
        load.go_on()
    assert load.lost() == []
    assert "last words" in message
    assert engine_of(tenant)[1].startswith("7.0")
    assert tenant.run_id() == run_id
    assert len(tenant.containers()) == 1
    record_property("longest blink", f"{load.longest_blink:.2f} s")

    tenant.edit({"engine": {"image": REDIS_8}}).settle()
    assert engine_of(tenant)[1].startswith("8.0")
    assert load.lost() == []


@pytest.mark.parametrize("image", [REDIS_7, VALKEY_8], ids=["redis7", "valkey8"])
def test_a_server_whose_last_save_fails_serves_on_until_it_can_save(fleet, image):
    tenant = fleet.tenant(f"full-{image.split('/')[1][:5]}")
    tenant.write(with_image(image, "rdb")).settle()
    # A save beside the server works, but not the one that it makes as it ends.
    obstacle = tenant.data / "temp-1.rdb"
    obstacle.mkdir()

    tenant.edit({"state": "stopped"})
    assert "last words" in tenant.stalled("SaveFailed")["message"]
    tenant.put(late="yes")
    obstacle.rmdir()
    tenant.settle("Stopped")
    tenant.edit({"state": "running"}).settle()

    assert tenant.get("late") == "yes"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("mode", "reason"),
    [("none", "RewriteFailed"), ("rdb", "RewriteFailed"), ("none", "DirectiveRefused")],
)
def test_a_server_that_cannot_log_its_writes_serves_on_until_it_can(fleet, engine, mode, reason):
    tenant = fleet.tenant(f"nolog-{engine}-{mode}-{reason[:3].lower()}")
    tenant.write(with_image(ENGINES[engine], mode)).settle()
    run_id = tenant.run_id()
    # Either its folder cannot be made, or the process beside the server cannot write.
    if reason == "DirectiveRefused":
        obstacles = [tenant.data / "appendonlydir"]
        obstacles[0].write_text("in its way")
    else:
        obstacles = [tenant.data / f"temp-rewriteaof-{process}.aof" for process in range(2, 400)]
        for each in obstacles:
            each.mkdir()

    with Load(tenant, None, None) as load:
        tenant.edit({"restartedAt": "2026-03-01T12:00:00Z"})
        tenant.stalled(reason)
        eventually(lambda: tenant.config("appendonly") == "no")
        load.go_on()
        assert tenant.run_id() == run_id
        for each in obstacles:
            each.rmdir() if each.is_dir() else each.unlink()
        tenant.settle()
        load.go_on()

    assert tenant.run_id() != run_id
    assert load.lost() == []


def test_fewer_databases_than_hold_data_are_taken_back(fleet):
    tenant = fleet.tenant("databases").write(with_image(REDIS_8, "aof")).settle()
    with tenant.client(tenant.listener, db=12) as client:
        client.set("far", "away")

    tenant.edit({"engine": {"config": {"databases": 8}}})

    message = tenant.stalled("RestartFailed")["message"]
    with tenant.client(tenant.listener, db=12) as client:
        assert client.get("far") == "away"
    assert "databases" in message
    assert tenant.config("databases") == "16"


def test_an_image_without_a_server_is_refused_before_anything_stops(fleet):
    tenant = fleet.tenant("noserver").write(with_image(REDIS_8)).settle()
    run_id, name = tenant.run_id(), f"cachepilot-lab/empty-{fleet.slot.mark}:redis"
    repository, tag = name.split(":")
    fleet.engine.api.import_image_from_data(archive("x", "y"), repository=repository, tag=tag)
    try:
        tenant.edit({"engine": {"image": name}})
        tenant.stalled("EngineMismatch")
        assert tenant.run_id() == run_id
    finally:
        fleet.engine.images.remove(name, force=True)


@pytest.mark.parametrize(("engine", "mode"), [*zip(ENGINES, MODES, strict=True)])
def test_exactly_the_wanted_ports_are_open_after_each_step(fleet, engine, mode):
    tenant = fleet.tenant(f"ports-{engine}").write(with_image(ENGINES[engine], mode)).settle()
    born = tenant.put(kept="yes").port("tls")
    seen = {("127.0.0.1", born)}
    number = 23 + 2 * MODES.index(mode)
    pinned = [fleet.slot.free_port(number), fleet.slot.free_port(number + 1)]
    steps = [
        {"access": {"mode": "dual-mode"}},
        {"access": {"mode": "plain-only"}},
        {"access": {"mode": "tls-only"}},
        {"access": {"mode": "dual-mode", "ports": {"tls": pinned[0]}}},
        {"access": {"bind": ["127.0.0.1", "127.0.0.2"]}},
        {"access": {"mode": "plain-only", "ports": None}},
        {"access": {"ports": {"plain": pinned[1]}, "bind": ["127.0.0.2"]}},
        {"access": {"mode": "tls-only", "bind": ["127.0.0.1"], "ports": None}},
    ]
    for changes in steps:
        before = tenant.spec
        tenant.edit(changes).settle()
        access = tenant.spec["access"]
        endpoints = tenant.status()["status"]["endpoints"]
        wanted = {
            (address, endpoint["port"])
            for endpoint in endpoints
            for address in access.get("bind", ["127.0.0.1"])
        }
        published = tenant.inspect()["HostConfig"]["PortBindings"]
        assert {each["listener"] for each in endpoints} == LISTENERS[access["mode"]]
        assert {INSIDE[port] for port, at in published.items() if at} == LISTENERS[access["mode"]]
        for listener, port in (access.get("ports") or {}).items():
            assert tenant.port(listener) == port
        seen |= wanted | {("127.0.0.2", port) for _, port in seen | wanted}
        assert {at for at in seen if is_open(*at)} == wanted, (before, changes)
        for address, _ in wanted:
            with tenant.client(tenant.listener, host=address) as client:
                assert client.get("kept") == "yes"
        if changes == {"access": {"mode": "tls-only"}}:
            assert tenant.port("tls") == born


def is_open(address, port):
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex((address, port)) == 0


def test_the_record_holds_no_names_of_keys_once_a_server_is_replaced(fleet):
    tenant = fleet.tenant("names").write(with_image(REDIS_8)).settle().put(secretkeyname="yes")

    tenant.edit({"restartedAt": "2026-03-01T12:00:00Z"}).settle()

    assert tenant.record()["memory"]["replacement"] is None
    assert "secretkeyname" not in json.dumps(tenant.status())
