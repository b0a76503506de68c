"""Users of a server come, change and go while others work, each with no more than it needs."""

import json

import pytest
import redis

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.waiting import eventually

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
NEWER = ("cachepilot-metrics", "cachepilot-backup")


def forget_newer_users(tenant):
    """Leave record, file and server as a daemon left them that did not know of these users."""
    path = tenant.folder / "record.json"
    record = tenant.record()
    record["credentials"] = [each for each in record["credentials"] if each["user"] not in NEWER]
    path.write_text(json.dumps(record))
    file = tenant.folder / "conf/1/users.acl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not any(name in line for name in NEWER)))
    with tenant.admin() as admin:
        admin.acl_deluser(*NEWER, *(f"cachepilot-twin-{name}" for name in NEWER))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tenant_of_an_older_daemon_gets_our_new_users_without_anybody_noticing(host, engine):
    host.start()
    tenant = host.tenant("older").write({"engine": {"image": ENGINES[engine]}}).settle()
    with host.unbroken(tenant), Load(tenant, None, None) as load:
        host.stop()
        forget_newer_users(tenant)
        host.start()

        for name in NEWER:
            eventually(lambda name=name: logs_in(tenant, name))
        tenant.settle()
        load.go_on()
    assert load.errors == []
    assert load.lost() == []


def logs_in(tenant, user):
    """Return whether *user* gets in with the password that is kept for it."""
    kept = [each for each in tenant.record()["credentials"] if each["user"] == user]
    if not kept:
        return False
    try:
        with tenant.client(username=user, password=kept[0]["password"]) as client:
            return bool(client.ping())
    except redis.AuthenticationError:
        return False
