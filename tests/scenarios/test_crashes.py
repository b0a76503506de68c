"""The daemon may die between any two effects, and any effect may fail or seem to have failed.

The next visit finishes what was begun, whichever daemon makes it.
"""

import pytest

from tests.scenarios.faults import ALL, faults, sweep
from tests.scenarios.host import REDIS_8

pytestmark = [pytest.mark.timeout(3600)] if ALL else []
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
