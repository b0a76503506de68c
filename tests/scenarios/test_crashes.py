"""The daemon may die between any two effects: the next one finishes what was begun."""

import os
import sys
from itertools import count
from pathlib import Path

import pytest

from tests.scenarios.host import REDIS_8
from tests.scenarios.waiting import eventually

# Every second effect of an edit, to save time; CRASH_SWEEP=1 takes each.
STEP = int(os.environ.get("CRASH_SWEEP", "2"))
FAULTY = Path(__file__).with_name("faulty_daemon.py")
RDB, AOF = {"persistence": {"mode": "rdb"}}, {"persistence": {"mode": "aof"}}

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
    "another way in": ({}, {"access": {"mode": "dual-mode"}}),
    "another image": (AOF, {"engine": {"image": REDIS_8}}),
    "a restart": ({}, {"restartedAt": "2026-03-01T12:00:00Z"}),
    "none to aof": ({}, AOF),
    "aof to rdb": (AOF, RDB),
    "rdb to none": (RDB, {"persistence": {"mode": "none"}}),
    "deleted": ({}, {"state": "deleted"}),
}


def start(host):
    return host.start(program=[sys.executable, str(FAULTY), str(host.root / "kill-before")])


def sweep(host, prepare, act, word="Ready", step=1, orphaned=lambda tenant: None):
    """Let the daemon die before each effect of *act*; yield each tenant as the next left it.

    Meanwhile nobody looks after the tenant: then *orphaned* is called.
    """
    start(host)
    for number in count(1, step=step):
        tenant = prepare(host.tenant(f"crash{number}"))
        host.put(host.root / "kill-before", str(number))
        act(tenant)
        eventually(lambda tenant=tenant: host.daemon.poll() is not None or is_done(tenant, word))
        survived = host.daemon.poll() is None
        (host.root / "kill-before").unlink()
        if not survived:
            orphaned(tenant)
            start(host)
        tenant.settle(word)
        yield number, tenant
        if survived:
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


def test_a_tenant_is_made_whole_wherever_its_making_was_cut_off(host):
    for number, tenant in sweep(host, lambda tenant: tenant, lambda tenant: tenant.write()):
        assert len(tenant.containers()) == 1, number
        assert tenant.put(kept="yes").get("kept") == "yes"
    passwords = [tenant.password() for tenant in host.tenants]
    assert len(set(passwords)) == len(passwords)


def test_the_documented_password_works_wherever_its_rotation_was_cut_off(host):
    def prepare(tenant):
        return tenant.write({"auth": {"grace": "0s"}}).settle().put(kept="yes")

    def rotate(tenant):
        tenant.edit({"auth": {"rotatedAt": "2026-03-01T12:00:00Z"}})

    def is_kept(tenant):
        assert tenant.get("kept") == "yes"

    for number, tenant in sweep(host, prepare, rotate, orphaned=is_kept):
        is_kept(tenant)
        kept = [each for each in tenant.record()["credentials"] if each["user"] == "default"]
        assert [each["revision"] for each in kept] == [2], number


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_is_finished_wherever_it_was_cut_off(host, kind):
    before, changes = EDITS[kind]
    word = "Deleted" if "state" in changes else "Ready"
    run_ids = {}

    def prepare(tenant):
        tenant.write(before).settle().put(kept="yes")
        run_ids[tenant.name] = tenant.run_id()
        return tenant

    for number, tenant in sweep(host, prepare, lambda tenant: tenant.edit(changes), word, STEP):
        if word == "Deleted":
            assert tenant.containers() == []
            tenant.edit({"state": None}).settle()
        assert len(tenant.containers()) == 1, number
        assert tenant.get("kept") == "yes", number
        is_same = tenant.run_id() == run_ids[tenant.name]
        assert is_same == (kind == "live" or " to " in kind), number
