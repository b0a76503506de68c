"""The host's root is replaced under load; nobody who takes up the bundle in time notices."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
import redis

from cachepilot.adapters.authority import Authority
from cachepilot.adapters.paths import RootPaths
from tests.scenarios.faults import faults, start
from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
WISH = "2026-03-01T12:00:00Z"
FOREVER = "3650d"


def wish(host, **authority):
    """Change the settings as an editor and a reload do."""
    host.write_settings(authority={"rotateBefore": "1825d", **authority} if authority else {})
    host.hang_up()


def rotation(host):
    return (host.facts()["authority"] or {}).get("rotation") or {}


def reached(host, phase):
    def check():
        found = rotation(host)
        assert found.get("phase", "none") == phase, found
        return True

    eventually(check, timeout=60)


def trusting(tenant, bundle):
    """Whether a client that verifies chain and name with *bundle* gets in."""
    try:
        with tenant.client(ssl_ca_certs=str(bundle)) as client:
            return bool(client.ping())
    except redis.ConnectionError as error:
        assert "CERTIFICATE_VERIFY_FAILED" in str(error), error
        return False


def test_a_rotation_under_load_breaks_nobody_who_takes_the_bundle_up_in_time(host, tmp_path):
    host.start()
    tenants = [
        host.tenant(engine).write({"engine": {"image": image}})
        for engine, image in ENGINES.items()
    ]
    for tenant in tenants:
        tenant.settle()
    old, both, new = (tmp_path / name for name in ("old.pem", "both.pem", "new.pem"))
    shutil.copy(host.public_ca, old)

    loads = [Load(tenant, "tls", "tls") for tenant in tenants]
    with host.unbroken(*tenants), loads[0], loads[1], loads[2]:
        wish(host, rotatedAt=WISH, notice=FOREVER, overlap="0s")
        reached(host, "announced")
        shutil.copy(host.public_ca, both)
        assert both.read_text().count("BEGIN CERTIFICATE") == 2
        for tenant in tenants:
            assert trusting(tenant, old)
            assert trusting(tenant, both)
            leaf = tenant.folder / f"tls/{tenant.record()['memory']['certificate']}/ca.pem"
            assert sorted(leaf.read_text().split("-----END")) == sorted(
                both.read_text().split("-----END")
            )

        wish(host, rotatedAt=WISH, notice="0s", overlap=FOREVER)
        reached(host, "leaving")
        for tenant in tenants:
            tenant.settle()
            assert trusting(tenant, both)
            assert not trusting(tenant, old)

        wish(host, rotatedAt=WISH, notice="0s", overlap="0s")
        reached(host, "none")
        shutil.copy(host.public_ca, new)
        assert new.read_text().count("BEGIN CERTIFICATE") == 1
        for tenant in tenants:
            tenant.settle()
            assert trusting(tenant, both)
            assert trusting(tenant, new)
            assert not trusting(tenant, old)
        for load in loads:
            load.go_on()
    for load in loads:
        assert load.errors == []
        assert load.lost() == []
    assert not (host.state / "ca/key.pem").exists()
    # The wish is served, so nothing begins again.
    host.restart()
    host.hang_up()
    born = host.tenant("born").write().settle()
    assert trusting(born, new)
    assert rotation(host) == {}


def test_a_withdrawn_wish_leaves_everything_as_it_was(host):
    host.start()
    tenant = host.tenant("back").write().settle()
    before = host.public_ca.read_bytes()

    wish(host, rotatedAt=WISH, notice=FOREVER)
    reached(host, "announced")
    assert host.public_ca.read_bytes() != before
    wish(host)
    reached(host, "none")

    assert host.public_ca.read_bytes() == before
    assert not (host.state / "ca/2").exists()
    tenant.settle()
    with host.unbroken(tenant):
        assert trusting(tenant, host.public_ca)


def test_whoever_is_paused_holds_the_new_root_up_and_who_is_stopped_does_not(host):
    host.start()
    paused, stopped = host.tenant("paused").write().settle(), host.tenant("stopped").write()
    stopped.settle().edit({"state": "stopped"}).settle("Stopped")
    paused.edit({"paused": True}).settle("Paused")

    wish(host, rotatedAt=WISH, notice="0s", overlap="0s")
    reached(host, "joining")
    eventually(lambda: rotation(host)["waitsFor"] == [paused.name])
    shown = host.ctl("get", "certs")
    assert "joining" in shown
    assert trusting(paused, host.public_ca)

    paused.edit({"paused": None}).settle()
    reached(host, "none")
    stopped.edit({"state": None}).settle()
    assert trusting(stopped, host.public_ca)
    assert trusting(paused, host.public_ca)


def test_a_root_that_nears_its_end_is_replaced_by_itself(host):
    long_ago = datetime.now(UTC) - timedelta(days=3600)
    paths = RootPaths(host.root)
    Authority(paths, utc_now=lambda: long_ago, owners=True).create()
    old = host.public_ca.read_text()
    host.write_settings(authority={"notice": "10d", "rotateBefore": "365d", "overlap": "1d"})
    host.start()
    tenant = host.tenant("aged").write({"tls": {"lifetime": "30d"}}).settle()

    reached(host, "announced")

    assert old in host.public_ca.read_text()
    assert trusting(tenant, host.public_ca)
    assert any(event["reason"] == "BeginRotation" for event in host.events())
    assert 'cachepilot_authority_rotation{phase="announced"} 1.0' in host.page("metrics")[1]


def test_a_lost_new_root_is_told_and_the_old_one_goes_on_signing(host):
    host.start()
    host.tenant("lost").write().settle()
    wish(host, rotatedAt=WISH, notice=FOREVER)
    reached(host, "announced")
    aside = (host.state / "ca/2").rename(host.state / "aside")

    late = host.tenant("late").write().settle()
    assert trusting(late, host.public_ca)
    eventually(lambda: "cannot use the root" in rotation(host)["problem"])
    aside.rename(host.state / "ca/2")
    eventually(lambda: not rotation(host)["problem"])


def test_a_rotation_is_finished_whatever_goes_wrong_with_any_of_its_effects(host):
    """The daemon dies, or an effect seems to fail, at another effect of each rotation."""
    start(host)
    tenant = host.tenant("steps").write().settle()
    tenant.put(kept="yes")
    run_id = tenant.run_id()
    file = host.root / "fault"

    for number, fault in faults(0, 1):
        wanted = f"2026-03-01T12:00:{number:02}Z"
        host.put(file, f"{number} {fault}")
        wish(host, rotatedAt=wanted, notice="0s", overlap="0s")

        def is_over(wanted=wanted):
            if host.daemon.poll() is not None:
                start(host)
            remembered = json.loads((host.state / "ca/rotation.json").read_text())
            assert (remembered["served"], remembered["phase"]) == (wanted, None), remembered
            return True

        eventually(is_over, timeout=60)
        is_beyond_the_last = file.exists()
        file.unlink(missing_ok=True)
        assert host.public_ca.read_text().count("BEGIN CERTIFICATE") == 1
        eventually(lambda: trusting(tenant, host.public_ca), timeout=60)
        if is_beyond_the_last:
            break
    assert number > 12, "too few effects for a sweep"
    tenant.forget_writes()
    tenant.settle()
    assert (tenant.run_id(), tenant.get("kept")) == (run_id, "yes")
    assert not list(host.root.rglob(".cachepilot-new-*"))
