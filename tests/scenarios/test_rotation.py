"""A password follows another on real servers: nobody is cut off, and the old one ends in time."""

import socket
from contextlib import ExitStack

import pytest
import redis

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import TWO_RESYNCS, eventually, throughout

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}


def works(tenant, password):
    try:
        with tenant.client(password=password) as client:
            return bool(client.ping())
    except redis.AuthenticationError:
        return False


def rotate(fleet, tenant, *options):
    tenant.forget_writes()
    fleet.ctl("rotate", tenant.name, "--wait", *options)
    return tenant.password()


@pytest.mark.parametrize("engine", ENGINES)
def test_both_passwords_work_until_the_grace_is_ended_and_no_connection_breaks(fleet, engine):
    tenant = fleet.tenant(f"rot{engine}").write({"engine": {"image": ENGINES[engine]}}).settle()
    old = tenant.put(kept="yes").password()

    with fleet.unbroken(tenant), tenant.client(client_name="app-one") as client:
        client.ping()
        new = rotate(fleet, tenant)
        assert new != old
        assert works(tenant, old)
        assert works(tenant, new)
        told = tenant.condition("CredentialsApplied")
        assert told["reason"] == "GracePeriod"
        assert "app-one" in told["message"]
        assert tenant.word == "Ready"

        fleet.ctl("set", tenant.name, "spec.auth.grace=0s", "--wait")
        assert not works(tenant, old)
        assert works(tenant, new)
        assert client.get("kept") == "yes"
        eventually(lambda: tenant.condition("CredentialsApplied")["reason"] == "ReadBack")
    kept = [each for each in tenant.record()["credentials"] if each["user"] == "default"]
    assert [each["password"] for each in kept] == [new]


def fail_to_log_in(tenant, password, name):
    with tenant.client(client_name=name) as client:
        for _ in range(3):
            with pytest.raises(redis.AuthenticationError):
                client.execute_command("AUTH", password)


def test_failed_logins_after_the_grace_are_told_once(host):
    host.start()
    tenants = [host.tenant(f"log{engine}") for engine in ENGINES]
    for each, image in zip(tenants, ENGINES.values(), strict=True):
        each.write({"engine": {"image": image}}).settle()
    old = {each.name: each.password() for each in tenants}
    for each in tenants:
        rotate(host, each, "--grace", "0s")

    def all_fail(program):
        for each in tenants:
            fail_to_log_in(each, old[each.name], program)

    def told():
        """Return what was told of each, in the order of the tenants."""
        events = [event for event in host.events() if event["reason"] == "FailedLogins"]
        return [
            [event["message"] for event in events if event["tenant"] == each.name]
            for each in tenants
        ]

    all_fail("app=web")
    eventually(lambda: all(told()))
    first = told()
    for messages in first:
        (message,) = messages
        assert "the bridge's own address" in message
        assert "app=web" in message
    assert {each.word for each in tenants} == {"Ready"}

    # Neither another look, nor a daemon that starts anew, nor one more try is news.
    host.restart()
    all_fail("app=web")
    throughout(lambda: told() == first, seconds=TWO_RESYNCS)

    # A program that nobody heard of yet is.
    host.kill()
    all_fail("app=cron")
    host.start()
    eventually(lambda: all(len(messages) == 2 for messages in told()))
    second = told()
    assert all("app=cron" in messages[1] for messages in second)
    throughout(lambda: told() == second, seconds=TWO_RESYNCS)


def test_a_rotation_in_a_born_document_is_already_served(fleet):
    tenant = fleet.tenant("rotborn").write({"auth": {"rotatedAt": "2026-01-01T00:00:00Z"}})
    tenant.settle()
    assert [c["revision"] for c in tenant.record()["credentials"] if c["user"] == "default"] == [1]


def test_a_crowd_of_clients_hides_nothing_but_itself(fleet):
    tenant = fleet.tenant("rotcrowd").write({"access": {"mode": "plain-only"}}).settle()
    old, port = tenant.password(), tenant.port("plain")
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        rotate(fleet, tenant)
        assert "is not known" in tenant.condition("CredentialsApplied")["message"]
        fleet.ctl("set", tenant.name, "spec.auth.grace=0s", "--wait")
        with (
            tenant.client("plain", password=old) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
