"""The daemon may die between any two effects, and any effect may fail or seem to have failed.

The next visit finishes what was begun, whichever daemon makes it.
"""

import os
import sys
from itertools import count, cycle, islice
from pathlib import Path

import pytest

from tests.scenarios.faulty_daemon import FAULTS
from tests.scenarios.host import REDIS_8
from tests.scenarios.waiting import eventually

# To save time, faults take turns; CRASH_SWEEP=1 lets each happen to each effect.
ALL = os.environ.get("CRASH_SWEEP") == "1"
pytestmark = [pytest.mark.timeout(3600)] if ALL else []
FAULTY = Path(__file__).with_name("faulty_daemon.py")
NONE, RDB, AOF = ({"persistence": {"mode": mode}} for mode in ("none", "rdb", "aof"))

WEB = {"name": "web", "keys": ["*"], "commands": ["+@all"]}
JOB = {"name": "job", "keys": ["*"], "commands": ["+@all"], "rotatedAt": "2026-03-01T00:00:00Z"}

# What a tenant is before, what changes, and what must not be interrupted by it.
EDITS = {
    "live": (
        {},
        {
            "memory": {"max": "24MiB"},
            "cpus": 0.5,
            "engine": {"config": {"timeout": 60}},
            "tls": {"extraNames": ["cache.example.org"]},
        },
    ),
    "nobody asked to certificates": (
        {"tls": {"clients": ["app"]}},
        {
            "access": {"clientCertificates": "optional"},
            "tls": {"clients": ["web"], "clientsRotatedAt": "2026-03-01T12:00:00Z"},
        },
    ),
    "another way in": (RDB, {"access": {"mode": "dual-mode"}}),
    "another image": (AOF, {"engine": {"image": REDIS_8}}),
    "a restart": ({}, {"restartedAt": "2026-03-01T12:00:00Z"}),
    "less memory": (
        {"memory": {"max": "32MiB", "policy": "noeviction"}},
        {"memory": {"max": "16MiB"}},
    ),
    "none to rdb": ({}, RDB),
    "users": (
        {"auth": {"users": [{"name": "app", "commands": ["+@read"]}, WEB]}},
        {"auth": {"users": [{"name": "app", "commands": ["+get"], "keys": ["*"]}, JOB]}},
    ),
    "users and another image": (
        {**AOF, "auth": {"users": [WEB]}},
        {"auth": {"users": [WEB, JOB]}, "engine": {"image": REDIS_8}},
    ),
    "none to aof": ({}, AOF),
    "rdb to aof": (RDB, AOF),
    "aof to rdb": (AOF, RDB),
    "rdb to none": (RDB, NONE),
    "aof to none": (AOF, NONE),
    "deleted": ({}, {"state": "deleted"}),
}
LIVE = ("live", "less memory", "users")


def faulty(host):
    return [sys.executable, str(FAULTY), str(host.root / "fault")]


def start(host):
    return host.start(program=faulty(host))


def faults(begin, step):
    """Yield numbers of effects and what goes wrong with them; each *begin* has its own turns."""
    if ALL:
        return ((number, fault) for number in count(1) for fault in FAULTS)
    return zip(count(1 + begin % step, step), islice(cycle(FAULTS), begin, None), strict=False)


def sweep(host, prepare, act, wrong, word="Ready", orphaned=lambda tenant: None):
    """Let something go wrong with each effect of *act*; yield each tenant as it ended.

    While nobody looks after a tenant, *orphaned* is called.
    """
    start(host)
    file = host.root / "fault"
    for number, fault in wrong:
        tenant = prepare(host.tenant(f"crash{len(host.tenants)}"))
        host.put(file, f"{number} {fault}")
        act(tenant)
        eventually(lambda tenant=tenant: host.daemon.poll() is not None or is_done(tenant, word))
        is_beyond_the_last = file.exists()
        file.unlink(missing_ok=True)
        if host.daemon.poll() is not None:
            orphaned(tenant)
            start(host)
        tenant.settle(word)
        yield f"{number} {fault}", tenant
        if is_beyond_the_last:
            break
    assert number > 3, "too few effects for a sweep"
    assert not list(host.root.rglob(".cachepilot-new-*"))
    everybody = [each for each in host.tenants if each.word == "Ready"]
    host.stop()
    with host.undisturbed(*everybody):
        host.start()


def is_done(tenant, word):
    try:
        tenant.settle(word, timeout=0)
    except AssertionError:
        return False
    return True


def same(tenant):
    return tenant


def test_a_tenant_is_made_whole_whatever_went_wrong_with_its_making(host):
    for case, tenant in sweep(host, same, lambda tenant: tenant.write(), faults(0, 1)):
        assert len(tenant.containers()) == 1, case
        assert tenant.put(kept="yes").get("kept") == "yes"
    passwords = [tenant.password() for tenant in host.tenants]
    assert len(set(passwords)) == len(passwords)


def test_the_documented_password_works_whatever_went_wrong_with_its_rotation(host):
    def prepare(tenant):
        return tenant.write({"auth": {"grace": "0s"}}).settle().put(kept="yes")

    def rotate(tenant):
        tenant.edit({"auth": {"rotatedAt": "2026-03-01T12:00:00Z"}})

    def is_kept(tenant):
        assert tenant.get("kept") == "yes"

    for case, tenant in sweep(host, prepare, rotate, faults(1, 1), orphaned=is_kept):
        is_kept(tenant)
        kept = [each for each in tenant.record()["credentials"] if each["user"] == "default"]
        assert [each["revision"] for each in kept] == [2], case


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_is_finished_whatever_went_wrong_with_it(host, kind):
    before, changes = EDITS[kind]
    word = "Deleted" if "state" in changes else "Ready"
    run_ids = {}

    def prepare(tenant):
        tenant.write(before).settle().put(kept="yes")
        run_ids[tenant.name] = tenant.run_id()
        return tenant

    wrong = faults(list(EDITS).index(kind), 2)
    for case, tenant in sweep(host, prepare, lambda tenant: tenant.edit(changes), wrong, word):
        if word == "Deleted":
            assert tenant.containers() == []
            tenant.edit({"state": None}).settle()
        assert len(tenant.containers()) == 1, case
        assert tenant.get("kept") == "yes", case
        is_same = tenant.run_id() == run_ids[tenant.name]
        assert is_same == (kind in LIVE or " to " in kind), case
        for user in changes.get("auth", {}).get("users", ()):
            with tenant.client(
                username=user["name"], password=tenant.password(user["name"])
            ) as client:
                assert client.get("kept") == "yes", case
        assert not list(tenant.folder.glob("probe")), case
