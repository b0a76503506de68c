"""The password with which a successor replicates serves once, and can be seen nowhere at any time.

Servers keep it in clear for as long as they hold it, so it must be gone again whatever happens.
"""

import hashlib

import pytest

from tests.scenarios.faults import faulty, start
from tests.scenarios.faulty_daemon import DIE_AFTER, DIE_BEFORE
from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.test_secrets import leaks, places
from tests.scenarios.waiting import eventually

LINK_USER = "cachepilot-successor"
BOXED = {
    "upgrade": {"strategy": "handover"},
    # A server that writes down every command that it is told.
    "engine": {"config": {"slowlog-log-slower-than": 0}},
}
ANEW = {"engine": {"config": {"databases": 8}}}
ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}


def fail_at(host, effect, fault):
    """Let the daemon, whether it runs or not, meet *fault* at *effect* and die of it."""
    host.put(host.root / "fault", f"{effect} {fault}")
    if host.daemon is None or host.daemon.poll() is not None:
        host.spawn(program=faulty(host))
    eventually(lambda: host.daemon.poll() is not None, timeout=60)


def held_by(tenant, instance):
    """Return what a server holds to log in with at another."""
    with tenant.admin(instance) as admin:
        return admin.config_get("masterauth")["masterauth"]


def remembered_by(tenant, instance):
    """Return what a server can tell of what it was told."""
    with tenant.admin(instance) as admin:
        return f"{admin.execute_command('SLOWLOG', 'GET', 128)} {admin.acl_log()}"


def everywhere(host, tenant):
    """Return what is to be seen, and every file that there is."""
    seen = places(host, [tenant])
    files = (file for file in host.root.rglob("*") if file.is_file())
    return seen | {str(file): file.read_bytes().decode(errors="replace") for file in files}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_password_of_the_link_is_seen_nowhere_and_outlives_no_crash(host, engine):
    start(host)
    tenant = host.tenant("link").write(BOXED)
    tenant.edit({"engine": {"image": ENGINES[engine]}}).settle().put(kept="yes")
    old = tenant.record()["memory"]["instance"]
    new = old + 1

    tenant.edit(ANEW)
    fail_at(host, "follow", DIE_AFTER)
    passwords = {held_by(tenant, new)}
    assert all(len(each) >= 32 for each in passwords)
    canaries = passwords | {hashlib.sha256(each.encode()).hexdigest() for each in passwords}
    assert leaks(everywhere(host, tenant), canaries) == set()

    # The next daemon ends what was begun; before clients are handed over it is of no use.
    fail_at(host, "drain", DIE_BEFORE)
    assert held_by(tenant, new) == ""
    with tenant.admin(old) as admin:
        assert admin.acl_getuser(LINK_USER)["passwords"] == []
    assert "masterauth" in remembered_by(tenant, new)
    for instance in (old, new):
        assert not any(each in remembered_by(tenant, instance) for each in passwords)

    start(host)
    tenant.settle()
    assert tenant.record()["memory"]["instance"] == new
    assert held_by(tenant, new) == ""
    with tenant.admin() as admin:
        assert admin.config_get("masteruser")["masteruser"] == ""
        assert LINK_USER not in admin.acl_users()
    assert not any(each in remembered_by(tenant, new) for each in passwords)
    assert leaks(everywhere(host, tenant), canaries) == set()
    assert tenant.get("kept") == "yes"
