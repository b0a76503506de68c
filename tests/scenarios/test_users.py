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


def users(*given):
    return {"auth": {"users": list(given)}}


def as_user(tenant, name, **options):
    return tenant.client(username=name, password=tenant.password(name), **options)


def new_tenant(fleet, short, engine, **spec):
    return fleet.tenant(short).write({"engine": {"image": ENGINES[engine]}, **spec}).settle()


@pytest.mark.parametrize("engine", ENGINES)
def test_users_come_change_and_go_while_others_work(fleet, engine):
    tenant = new_tenant(fleet, f"usr{engine}", engine)
    app = {"name": "app", "keys": ["app:*"], "commands": ["+@read", "+set"]}
    web = {"name": "web", "keys": ["*"], "commands": ["+@all"]}
    with fleet.unbroken(tenant), Load(tenant, None, None) as load:
        tenant.edit(users(app, web)).settle()
        with as_user(tenant, "app") as mine, as_user(tenant, "web") as theirs:
            assert mine.set("app:1", "a")
            assert theirs.get("app:1") == "a"
            for order in ("GET other", "FLUSHALL", "CONFIG GET *", "DEL app:1", "ACL LIST"):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    mine.execute_command(*order.split())

            tenant.edit(users({**app, "commands": ["+@read", "-get", "+del"]}, web)).settle()
            assert mine.delete("app:1") == 1  # the very connection
            with pytest.raises(redis.exceptions.NoPermissionError):
                mine.get("app:1")

            tenant.edit(users(web)).settle()
            with pytest.raises(redis.ConnectionError):
                mine.ping()
            assert theirs.ping()
        load.go_on()
        with pytest.raises(IndexError):
            tenant.password("app")
    assert load.errors == []
    assert load.lost() == []
    told = [deed for deed in fleet.deeds(tenant) if "(web)" in deed and "SetUser" in deed]
    assert len(told) <= 1, "whoever was not changed is not told again"


def trials_of(fleet, tenant):
    """Return each trial that was made, however it ended."""
    return [line for line in fleet.log().splitlines() if tenant.name in line and "TryRul" in line]


def rules_of(tenant, name):
    with tenant.admin() as admin:
        return admin.execute_command("ACL", "GETUSER", name)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_refused_rule_leaves_the_user_as_it_was_and_everything_else_goes_on(fleet, engine):
    tenant = new_tenant(fleet, f"ref{engine}", engine)
    app = {"name": "app", "keys": ["app:*"], "commands": ["+@read"]}
    tenant.edit(users(app)).settle()
    before, wrong = rules_of(tenant, "app"), {**app, "commands": ["+get", "+nosuchcommand"]}

    with fleet.unbroken(tenant), Load(tenant, None) as load:
        tenant.edit({**users(wrong), "memory": {"max": "24MiB"}})
        told = tenant.stalled("UserRulesRefused")
        for words in ("spec.auth.users[0]", "+nosuchcommand", "Unknown command"):
            assert words in told["message"]
        eventually(lambda: tenant.config("maxmemory") == str(24 * 2**20))
        assert tenant.condition("CredentialsApplied")["reason"] == "UserRulesRefused"
        assert rules_of(tenant, "app") == before
        assert "nosuchcommand" not in (tenant.folder / "conf/1/users.acl").read_text()
        tries = trials_of(fleet, tenant)
        fleet.hang_up()
        tenant.edit({"cpus": 0.5})
        eventually(lambda: tenant.inspect()["HostConfig"]["CpuQuota"] == 50_000)
        assert trials_of(fleet, tenant) == tries

        tenant.edit(users({**app, "commands": ["+get"]})).settle()
        load.go_on()
    assert load.errors == []
    with as_user(tenant, "app") as mine, pytest.raises(redis.exceptions.NoPermissionError):
        mine.exists("app:1")


@pytest.mark.parametrize(
    ("engine", "target", "rule", "loads"),
    [
        ("redis8", REDIS_7, "+hexpire", False),
        ("redis8", VALKEY_8, "+hexpire", False),
        ("valkey8", REDIS_8, "+client|capa", True),
    ],
)
def test_an_image_that_does_not_know_a_rule_stops_nothing(fleet, engine, target, rule, loads):
    name = f"img{engine}{target.partition('/')[2][:3]}"
    tenant = new_tenant(fleet, name, engine)
    app = {"name": "app", "keys": ["*"], "commands": ["+@read", "+@write", rule]}
    tenant.edit(users(app)).settle().put(kept="yes")

    with fleet.unbroken(tenant), Load(tenant, None) as load:
        tenant.edit({"engine": {"image": target}})
        told = tenant.stalled("UserRulesRefused")
        assert "spec.auth.users[0]" in told["message"]
        assert target in told["message"]
        with as_user(tenant, "app") as mine:
            assert mine.get("kept") == "yes"
        load.go_on()
    assert load.errors == []
    assert not list(tenant.folder.glob("probe"))

    # The way out is another rule, or the image that knows it; not every one loads the data.
    ways = users({**app, "commands": ["+@read", "+@write"]})
    tenant.edit(ways if loads else {"engine": {"image": ENGINES[engine]}}).settle()
    assert tenant.inspect()["Config"]["Image"] == (target if loads else ENGINES[engine])
    with as_user(tenant, "app") as mine:
        assert mine.get("kept") == "yes"


HARMS = (
    *(">intruder", "+config", "-get", "resetkeys ~other:*", "allchannels", "off", "nopass"),
    "(+@all ~*)",
)


@pytest.mark.parametrize("engine", ENGINES)
def test_users_that_somebody_edited_are_told_and_mended_within_a_visit(fleet, engine):
    tenant = new_tenant(fleet, f"lie{engine}", engine)
    said = [
        {"name": f"app{number}", "keys": ["app:*"], "commands": ["+@read"]}
        for number in range(len(HARMS))
    ]
    tenant.edit(users(*said)).settle()
    names = [user["name"] for user in said]
    before = [without_flag(rules_of(tenant, name)) for name in names]

    with fleet.unbroken(tenant), tenant.admin() as admin:
        for name, harm in zip(names, HARMS, strict=True):
            harms = [harm] if harm.startswith("(") else harm.split()
            admin.execute_command("ACL", "SETUSER", name, *harms)
        fleet.hang_up()
        eventually(lambda: [without_flag(rules_of(tenant, name)) for name in names] == before)
        deeds = " ".join(fleet.deeds(tenant))
        assert all(f"SetUser {tenant.name} ({name}): " in deeds for name in names)
        tenant.settle()


@pytest.mark.parametrize("engine", ENGINES)
def test_as_many_users_as_a_host_allows_hide_nobody(fleet, engine):
    tenant = new_tenant(fleet, f"many{engine}", engine)
    said = [
        {"name": f"user{number:02}", "keys": ["app:*"], "commands": ["+@read", "+ping"]}
        for number in range(16)
    ]
    tenant.edit(users(*said)).settle()
    with tenant.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "zz", "on", "nopass", "~*", "+@all")

        with as_user(tenant, "user15") as removed:
            assert removed.ping()
            tenant.edit(users(*said[:-1])).settle()
            with pytest.raises(redis.ConnectionError):
                removed.ping()
        names = set(admin.acl_users())
    assert not names & {"zz", "user15", "cachepilot-twin-user15"}
    assert {user["name"] for user in said[:-1]} < names


def without_flag(rules):
    """Leave out what engines report differently for the same rules."""
    return {
        key: sorted(set(value) - {"sanitize-payload"}) if key == "flags" else value
        for key, value in dict(rules).items()
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_the_password_of_a_user_is_replaced_with_grace(fleet, engine):
    tenant = new_tenant(fleet, f"usrrot{engine}", engine)
    app = {"name": "app", "keys": ["*"], "commands": ["+@read", "+@connection"]}
    tenant.edit(users(app)).settle()
    old, customers = tenant.password("app"), tenant.password()

    def works(password):
        try:
            with tenant.client(username="app", password=password) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return False

    with fleet.unbroken(tenant), Load(tenant, None) as load:
        tenant.edit(users({**app, "rotatedAt": "2026-03-01T00:00:00Z"})).settle()
        new = tenant.password("app")
        assert new != old
        assert tenant.password() == customers
        assert works(old)
        assert works(new)
        assert tenant.condition("CredentialsApplied")["reason"] == "GracePeriod"

        tenant.edit({"auth": {"grace": "0s"}}).settle()
        assert works(new)
        assert not works(old)
        load.go_on()
    assert load.errors == []


@pytest.mark.parametrize("engine", ENGINES)
def test_only_subscribers_of_a_channel_that_is_taken_away_are_disconnected(fleet, engine):
    tenant = new_tenant(fleet, f"usrsub{engine}", engine)
    app = {"name": "app", "channels": ["a", "b"], "commands": ["+@pubsub"]}
    tenant.edit(users(app)).settle()
    with as_user(tenant, "app") as first, as_user(tenant, "app") as second:
        stays, goes = first.pubsub(), second.pubsub()
        stays.subscribe("a")
        goes.subscribe("b")
        assert stays.get_message(timeout=5)["type"] == "subscribe"
        assert goes.get_message(timeout=5)["type"] == "subscribe"

        tenant.edit(users({**app, "channels": ["a"]})).settle()

        with pytest.raises(redis.RedisError):  # it comes back by itself, and may not
            for _ in range(3):
                goes.get_message(timeout=5)
        with as_user(tenant, "app") as speaker:
            assert speaker.publish("a", "hello") == 1
        assert stays.get_message(timeout=5)["data"] == "hello"
    assert any("RestrictUser" in deed for deed in fleet.deeds(tenant))
