"""Another server takes over: no acknowledged write is lost, and no connection breaks twice."""

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
MODES = ("none", "rdb", "aof")
ACCESS = {"tls-only": ("tls",), "dual-mode": ("tls", "plain"), "plain-only": ("plain",)}
BOXED = {"upgrade": {"strategy": "handover"}, "memory": {"max": "32MiB", "policy": "noeviction"}}


def changed(tenant, load, changes, *, errors):
    """Make *changes* and prove that another server is in charge, whom clients lost once."""
    before = tenant.record()["memory"]["instance"]
    tenant.edit(changes).settle()
    load.go_on()
    assert tenant.record()["memory"]["instance"] != before
    assert load.most_errors <= errors, load.errors
    names = sorted(each.name for each in tenant.containers())
    assert names == [f"cachepilot-{tenant.name}", f"cachepilot-{tenant.name}.sandbox"]
    number = str(tenant.record()["memory"]["instance"])
    for folder in ("conf", "run", "data"):
        assert [each.name for each in (tenant.folder / folder).iterdir()] == [number]


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_lost_and_each_connection_breaks_once(
    fleet, engine, mode, access, record_property
):
    tenant = fleet.tenant(f"ho-{engine}-{mode}-{access}")
    spec = {"engine": {"image": ENGINES[engine]}, "persistence": {"mode": mode}}
    tenant.write(BOXED | spec | {"access": {"mode": access}}).settle().put(kept="yes")
    wishes = ({"engine": {"config": {"databases": 8}}}, {"restartedAt": "2026-03-01T12:00:00Z"})

    with Load(tenant, *ACCESS[access]) as load:
        for number, changes in enumerate(wishes, start=1):
            changed(tenant, load, changes, errors=number)
    assert load.lost() == []
    assert tenant.get("kept") == "yes"
    record_property("longest wait for an answer", f"{load.longest_gap * 1000:.0f} ms")


@pytest.mark.parametrize("mode", MODES)
def test_another_image_takes_over(fleet, mode):
    """From Redis 7.0 to 8.0, and to Valkey, whose files the others' are not."""
    for goal in ("redis8", "valkey8"):
        tenant = fleet.tenant(f"ho-{mode}-to-{goal}")
        tenant.write(BOXED | {"engine": {"image": REDIS_7}, "persistence": {"mode": mode}})
        tenant.settle().put(kept="yes")

        with Load(tenant, "tls", "tls") as load:
            changed(tenant, load, {"engine": {"image": ENGINES[goal]}}, errors=1)
        assert load.lost() == []
        assert tenant.get("kept") == "yes"


@pytest.mark.parametrize("demand", ["optional", "required"])
def test_a_server_that_asks_for_certificates_is_replicated_too(fleet, demand):
    tenant = fleet.tenant(f"ho-mtls-{demand}")
    access = {"mode": "dual-mode", "clientCertificates": demand}
    tenant.write(BOXED | {"access": access, "tls": {"clients": ["app"]}}).settle()

    with Load(tenant, "plain", "plain") as load:
        changed(tenant, load, {"engine": {"config": {"databases": 8}}}, errors=1)
    with tenant.client("plain") as client:
        lost = [each for worker in load.workers for each in worker.check(client)]
    assert lost == []


@pytest.mark.parametrize("mode", MODES)
def test_a_new_server_keeps_what_its_mode_promises(fleet, mode):
    tenant = fleet.tenant(f"ho-kept-{mode}").write(BOXED | {"persistence": {"mode": mode}})
    tenant.settle().put(kept="yes", gone="yes")
    with tenant.client() as client:
        client.delete("gone")
    tenant.edit({"restartedAt": "2026-03-01T12:00:00Z"}).settle()

    before = tenant.run_id()
    tenant.container().kill()

    eventually(lambda: tenant.run_id() != before)
    tenant.settle()
    assert tenant.get("kept") == (None if mode == "none" else "yes")
    assert tenant.get("gone") is None


def test_an_image_that_cannot_read_the_data_never_wins(fleet):
    tenant = fleet.tenant("ho-downgrade").write(BOXED | {"engine": {"image": REDIS_8}})
    tenant.settle().put(kept="yes")
    before = tenant.run_id()

    # Redis 7 refuses what Redis 8 sends it.
    tenant.edit({"engine": {"image": REDIS_7}})
    tenant.stalled("DataTooNew")
    assert len(tenant.containers()) == 2
    assert tenant.run_id() == before

    tenant.edit({"engine": {"image": REDIS_8}}).settle()
    assert (tenant.run_id(), tenant.get("kept")) == (before, "yes")


def test_functions_survive_and_nobody_keeps_the_password_of_the_link(fleet):
    tenant = fleet.tenant("ho-secret").write(BOXED).settle()
    library = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)"
    with tenant.client() as client:
        client.function_load(library)

    tenant.edit({"engine": {"config": {"databases": 8}}}).settle()

    with tenant.client() as client:
        assert client.fcall("answer", 0) == 42
    with tenant.admin() as admin:
        assert admin.config_get("masterauth")["masterauth"] == ""
        assert admin.config_get("masteruser")["masteruser"] == ""
        assert "cachepilot-successor" not in admin.acl_users()
        assert admin.info("replication")["role"] == "master"
