"""A server that somebody took over and that lies: said so, and nobody else notices."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tests.scenarios.waiting import eventually

# A program in the place of a server's management socket, run as the server's own user, which can
# enter no folder above its own.
LIAR = """
import os, socket, sys, time
folder, uid, answer, manner = sys.argv[1:]
answer = bytes.fromhex(answer)
os.fchdir(int(folder))
os.setgroups([]), os.setgid(int(uid)), os.setuid(int(uid))
server = socket.socket(socket.AF_UNIX)
server.bind("redis.sock")
server.listen(64)
print("ready", flush=True)
kept = []
while True:
    connection, _ = server.accept()
    if os.fork():
        connection.close()
        continue
    try:
        while connection.recv(65536):
            if manner == "silent":
                continue
            connection.sendall(answer)
            while manner == "endless":
                connection.sendall(b"x" * 65536)
            while manner == "trickle":
                connection.sendall(b"x")
                time.sleep(0.2)
    except OSError:
        pass
    os._exit(0)
"""
LIES = {
    "silence": (b"", "silent"),
    "garbage": (b"\0\xff not what servers say\r\n", "once"),
    "yes to everything": (b"+OK\r\n", "once"),
    "a refusal with a canary": (b"-ERR hunter2canary \x1b[31m\r\n", "once"),
    "an endless answer": (b"$1000000000\r\n", "endless"),
    "a trickle": (b"+", "trickle"),
    "nested answers": (b"*1\r\n" * 5000, "once"),
    "a number": (b":1\r\n", "once"),
    "nothing at all": (b"$-1\r\n", "once"),
}


@pytest.fixture
def neighbour(fleet):
    """Somebody whom nothing of this concerns."""
    tenant = fleet.tenant(f"calm{len(fleet.tenants)}").write().settle()
    with fleet.undisturbed(tenant):
        yield tenant


@contextlib.contextmanager
def lying(tenant, answer, manner):
    """Put a liar where the server's socket is, and the honest one back in the end."""
    uid = tenant.record()["memory"]["reservation"]["uid"]
    path = tenant.folder / f"run/{tenant.record()['memory']['instance']}/redis.sock"
    aside = path.with_name("aside.sock")
    folder = os.open(path.parent, os.O_RDONLY)
    with tenant.admin() as admin:
        admin.ping()
        path.rename(aside)
        with subprocess.Popen(
            [sys.executable, "-c", LIAR, str(folder), str(uid), answer.hex(), manner],
            pass_fds=[folder],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as liar:
            try:
                os.close(folder)
                assert liar.stdout.readline() == "ready\n"
                # The daemon keeps a connection, which still leads to the honest one.
                admin.client_kill_filter(user="cachepilot", skipme=True)
                yield
            finally:
                os.killpg(liar.pid, signal.SIGKILL)
                path.unlink(missing_ok=True)
                aside.rename(path)


@pytest.mark.parametrize("lie", LIES)
def test_a_liar_on_the_management_socket_is_told_and_ends_by_itself(fleet, neighbour, lie):
    tenant = fleet.tenant(f"liar{len(fleet.tenants)}").write().settle()
    tenant.put(kept="yes")
    before = tenant.run_id(), tenant.container().id

    with lying(tenant, *LIES[lie]):
        told = eventually(lambda: doubt_about(tenant), timeout=60)
        assert told.isprintable()
        # Others are served and changed as ever.
        neighbour.put(meanwhile="yes")
        late = fleet.tenant(f"late{len(fleet.tenants)}").write().settle()
        late.edit({"memory": {"max": "20MiB"}}).settle()
        assert fleet.page("livez")[0] == fleet.page("readyz")[0] == 200

    eventually(lambda: tenant.condition("ServerReachable")["status"] == "True", timeout=60)
    tenant.settle(timeout=60)
    assert (tenant.run_id(), tenant.container().id) == before
    assert tenant.get("kept") == "yes"


def doubt_about(tenant):
    assert tenant.word != "Ready"
    found = tenant.condition("ServerReachable")
    return found["status"] != "True" and found["message"]
