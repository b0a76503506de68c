"""What one tenant's network can reach of another's: nothing, tried by really dialling."""

import subprocess
import sys

import pytest

DIAL = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3) as server:
    server.sendall(b"PING\\r\\n")
    print(server.recv(64))
"""
INSIDE = {"tls": 6380, "plain": 6379}


@pytest.fixture(scope="module")
def three(make_host):
    """Two tenants on one bridge and one on another, each with both listeners."""
    host = make_host()
    first, second = (f"{host.slot.subnet.rsplit('.', 2)[0]}.{n}.0/26" for n in third_bytes(host))
    host.write_settings(network={"subnets": [first, second], "tenantsPerBridge": 2})
    try:
        host.start()
        # One after the other, so that the first two share the first bridge.
        tenants = [
            host.tenant(f"apart{n}").write({"access": {"mode": "dual-mode"}}).settle()
            for n in range(3)
        ]
        a = tenants[0]
        beside = next(one for one in tenants[1:] if network(one) == network(a))
        away = next(one for one in tenants[1:] if network(one) != network(a))
        yield a, beside, away
    finally:
        host.close()


def third_bytes(host):
    third = int(host.slot.subnet.split(".")[2])
    return third, third + 1


def network(tenant):
    (found,) = tenant.inspect()["NetworkSettings"]["Networks"].values()
    return found["NetworkID"]


def address(tenant, what="IPAddress"):
    (found,) = tenant.inspect()["NetworkSettings"]["Networks"].values()
    return found[what]


def dial(tenant, host, port):
    """Return what answers *tenant*'s own network at an address, or empty if nothing does."""
    inside = ["nsenter", "--target", str(tenant.inspect()["State"]["Pid"]), "--net", "--"]
    return dial_from(inside, host, port)


def dial_from(inside, host, port):
    ran = subprocess.run(
        [*inside, sys.executable, "-c", DIAL, host, str(port)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    silent = (
        "TimeoutError",
        "ConnectionRefusedError",
        "OSError: [Errno 113]",
        "OSError: [Errno 101]",
    )
    assert ran.returncode == 0 or any(words in ran.stderr for words in silent), ran.stderr
    return ran.stdout


def test_the_dialling_itself_works(three):
    """Whoever cannot dial at all proves nothing."""
    for tenant in three:
        assert dial(tenant, "127.0.0.1", INSIDE["plain"])
        assert dial(tenant, address(tenant), INSIDE["plain"])
        assert dial_from([], address(tenant), INSIDE["plain"])
        assert dial_from([], "127.0.0.1", tenant.port("plain"))


@pytest.mark.parametrize("listener", INSIDE)
def test_no_tenant_reaches_another_ones_container(three, listener):
    for one in three:
        for other in three:
            if other is not one:
                assert not dial(one, address(other), INSIDE[listener])


@pytest.mark.parametrize("listener", INSIDE)
def test_no_tenant_reaches_a_published_port_through_any_gateway(three, listener):
    gateways = {address(each, "Gateway") for each in three}
    assert len(gateways) == 2
    for gateway in gateways:
        for other in three:
            assert not dial(three[0], gateway, other.port(listener))


def test_no_tenant_reaches_the_pages_of_the_daemon(three):
    a = three[0]
    port = a.host.slot.metrics_port
    assert a.host.page("livez")[0] == 200

    assert not dial(a, address(a, "Gateway"), port)
    assert not dial(a, "127.0.0.1", port)


def test_no_tenant_sees_the_files_of_another(three):
    a, beside, away = three
    inside = a.inspect()
    seen = {mount["Source"] for mount in inside["Mounts"]}

    assert all(str(source).startswith(str(a.folder)) for source in seen)
    for other in (beside, away):
        ids = {one.record()["memory"]["reservation"]["uid"] for one in (a, other)}
        assert len(ids) == 2
