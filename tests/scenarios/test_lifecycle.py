"""From a file to a server that answers, and back."""

import socket
import ssl

import pytest
import redis

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}


def is_open(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("mode", ["tls-only", "dual-mode", "plain-only"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_becomes_a_server_with_exactly_the_listeners_it_asks_for(fleet, engine, mode):
    tenant = fleet.tenant(f"{engine}-{mode}")
    tenant.write({"engine": {"image": ENGINES[engine]}, "access": {"mode": mode}}).settle()

    held = tenant.record()["memory"]["reservation"]
    wanted = (
        {"tls"} if mode == "tls-only" else {"plain"} if mode == "plain-only" else {"tls", "plain"}
    )
    for listener in wanted:
        with tenant.client(listener) as client:
            assert client.ping()
            assert client.set("greeting", listener)
    told = fleet.ctl("credentials", tenant.name, "--reveal", "-o", "json")

    assert {each["listener"] for each in tenant.status()["status"]["endpoints"]} == wanted
    assert {name for name in ("tls", "plain") if is_open(held[f"{name}_port"] or 1)} == wanted
    assert tenant.password() in told


@pytest.mark.parametrize("mode", ["none", "rdb", "aof"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stopped_tenant_keeps_its_data_and_serves_it_again(fleet, engine, mode):
    tenant = fleet.tenant(f"stop-{engine}-{mode}")
    tenant.write({"engine": {"image": ENGINES[engine]}, "persistence": {"mode": mode}}).settle()
    tenant.put(kept="yes")
    port = tenant.port()

    tenant.edit({"state": "stopped"}).settle("Stopped")
    assert not tenant.is_running()
    assert not is_open(port)
    tenant.edit({"state": "running"}).settle()

    assert tenant.get("kept") == "yes"
    assert tenant.port() == port


@pytest.mark.parametrize("mode", ["none", "rdb", "aof"])
def test_a_deleted_tenant_comes_back_with_its_data_password_port_and_certificate(fleet, mode):
    tenant = fleet.tenant(f"undelete-{mode}").write({"persistence": {"mode": mode}}).settle()
    tenant.put(kept="yes")
    before = tenant.port(), tenant.password(), tenant.record()["memory"]["certificate"]

    tenant.edit({"state": "deleted"}).settle("Deleted")
    assert tenant.containers() == []
    tenant.edit({"state": None}).settle()

    assert (tenant.port(), tenant.password(), tenant.record()["memory"]["certificate"]) == before
    assert tenant.get("kept") == "yes"


def test_the_last_tenant_of_a_host_can_be_deleted(host):
    tenant = host.start().tenant("only").write({"persistence": {"mode": "aof"}}).settle()
    tenant.put(kept="yes")

    host.ctl("delete", tenant.name, "--yes")
    eventually(lambda: tenant.containers() == [])
    eventually(lambda: tenant.word == "Deleted")

    tenant.edit({"state": "running"}).settle()
    assert tenant.get("kept") == "yes"


def test_a_tenant_written_while_the_daemon_was_down_is_served_when_it_starts(host):
    tenant = host.tenant("early").write()

    host.start()

    tenant.settle()
    assert host.ctl("get", "tenants").count("Ready") == 1


def test_each_tenant_has_a_password_a_port_and_a_certificate_of_its_own(fleet):
    one, other = (fleet.tenant(f"own-{n}").write() for n in (1, 2))
    one.settle(), other.settle()

    assert one.password() != other.password()
    assert one.port() != other.port()
    with (
        one.client(password=other.password()) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_a_client_is_kept_from_what_belongs_to_the_host(fleet):
    tenant = fleet.tenant("rights").write().settle()

    with tenant.client() as client:
        assert client.info("server")
        assert client.flushall()
        for forbidden in (
            "CONFIG GET *",
            "ACL LIST",
            "SHUTDOWN",
            "REPLICAOF NO ONE",
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*forbidden.split())


def test_a_client_that_trusts_another_authority_or_dials_another_name_is_turned_away(fleet):
    tenant = fleet.tenant("verify").write().settle()
    ordinary = ssl.create_default_context()

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tenant.port(), ordinary, "127.0.0.1")
    ours = ssl.create_default_context(cafile=str(fleet.public_ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tenant.port(), ours, "elsewhere.example")
    assert shake_hands(tenant.port(), ours, "localhost") in {"TLSv1.2", "TLSv1.3"}


def shake_hands(port, context, name):
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as channel,
        context.wrap_socket(channel, server_hostname=name) as secure,
    ):
        return secure.version()
