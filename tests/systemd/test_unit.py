"""The unit says what the daemon does, and the daemon works under everything that it says."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.host import Host
from tests.scenarios.waiting import eventually
from tests.systemd.confined import WRITABLE, allowed_calls, read_unit

FOLDER = Path("systemd")
UNIT = FOLDER / "cachepilotd.service"
CONFINED = Path(__file__).with_name("confined.py")
MANAGED = (("run", 0o755), ("var/lib", 0o711), ("var/log", 0o755))
PROGRAM = str(Path(sys.executable).with_name("cachepilotd"))

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="restrictions can only be laid by root")


def setting(name):
    values = read_unit(UNIT)[name]
    assert len(values) == 1, values
    return values[0]


def test_stopping_the_unit_ends_the_daemon_and_nothing_else():
    assert setting("KillMode") == "mixed"
    # The daemon itself gives its visits 25 seconds.
    assert int(setting("TimeoutStopSec").rstrip("s")) > 25


def test_the_manager_hears_the_daemon_and_its_watchdog():
    assert setting("Type") == "notify"
    assert setting("NotifyAccess") == "main"
    assert setting("ExecReload") == "/bin/kill -HUP $MAINPID"
    assert int(setting("WatchdogSec").rstrip("s")) >= 10


def test_published_status_outlives_the_daemon_and_tenant_files_are_out_of_its_reach():
    assert setting("RuntimeDirectory") == "cachepilot"
    assert setting("RuntimeDirectoryPreserve") == "yes"
    assert setting("ProtectSystem") == "strict"
    assert setting("ReadOnlyPaths") == "-/etc/cachepilot"
    assert "ReadWritePaths" not in read_unit(UNIT)
    for name, (_, mode) in zip(WRITABLE, MANAGED, strict=True):
        assert int(setting(f"{name}Mode"), 8) == mode


def test_the_daemon_gets_three_capabilities_and_no_more():
    assert setting("CapabilityBoundingSet").split() == [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
    ]
    assert setting("AmbientCapabilities") == ""


@needs_systemd
def test_dangerous_system_calls_are_refused():
    allowed = allowed_calls(read_unit(UNIT)["SystemCallFilter"])

    assert {"openat", "fchown", "fsync", "connect"} <= allowed
    assert not {"mount", "ptrace", "setuid", "init_module", "reboot", "bpf"} & allowed


@needs_systemd
def test_systemd_understands_the_unit_and_thinks_well_of_it(tmp_path):
    """The program is replaced by one that is installed here; all else is as shipped."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/cachepilotd", "/bin/true"))

    for arguments in (["verify"], ["security", "--offline=true", "--threshold=25"]):
        ran = subprocess.run(
            ["systemd-analyze", *arguments, str(unit)], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert not ran.stderr, ran.stderr


@needs_systemd
@needs_root
def test_the_group_and_the_folders_can_be_made(tmp_path):
    """sysusers and tmpfiles are tried on a root of their own."""
    (tmp_path / "etc").mkdir()
    for command, file in (
        ("systemd-sysusers", "cachepilot.sysusers"),
        ("systemd-tmpfiles", "cachepilot.tmpfiles"),
    ):
        extra = ["--create"] if command == "systemd-tmpfiles" else []
        subprocess.run(
            [command, f"--root={tmp_path}", *extra, str((FOLDER / file).absolute())], check=True
        )

    group = next(
        line for line in (tmp_path / "etc/group").read_text().splitlines() if "cachepilot" in line
    )
    tenants_d = (tmp_path / "etc/cachepilot/tenants.d").stat()
    assert tenants_d.st_gid == int(group.split(":")[2])
    assert tenants_d.st_mode & 0o7777 == 0o2750


class Manager:
    """What systemd is to a daemon: a socket that hears how it is."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0.2)
        self.heard = []

    def hears(self, word):
        try:
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        except TimeoutError:
            return [message for message in self.heard if word in message]


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


@pytest.fixture
def confined_host(tmp_path_factory, manager):
    """A host whose daemon runs as the unit says, as far as that is possible without systemd."""
    engine = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    host = Host(tmp_path_factory.mktemp("u"), engine)
    for folder, mode in MANAGED:
        (host.root / folder / "cachepilot").mkdir(parents=True, mode=mode)
    command = [sys.executable, str(CONFINED), str(UNIT), str(host.root), PROGRAM]
    environment = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000000"}
    try:
        yield host.start(program=command, env=environment)
    finally:
        host.close()


@pytest.mark.docker
@needs_systemd
@needs_root
def test_the_daemon_does_all_its_work_under_the_restrictions_of_the_unit(confined_host, manager):
    host = confined_host
    tenant = host.tenant("confined").write({"persistence": {"mode": "rdb"}}).settle()
    status = Path(f"/proc/{host.facts()['daemon']['pid']}/status").read_text()

    assert "CapEff:\t000000000000000b" in status
    assert "NoNewPrivs:\t1" in status
    assert manager.hears("READY=1")
    eventually(lambda: manager.hears("WATCHDOG=1"))
    assert tenant.put(greeting="hello").get("greeting") == "hello"

    # The folders stay as the manager made them, so that readers get to what is published.
    for folder, mode in MANAGED:
        assert (host.root / folder / "cachepilot").stat().st_mode & 0o777 == mode

    # Mending takes each of the capabilities: modes and owners of what belongs to the tenant.
    run, data = tenant.folder / "run/1", tenant.data
    run.chmod(0o755)
    os.chown(data, 0, 0)
    tenant.edit({"cpus": 1.5}).settle()
    assert run.stat().st_mode & 0o777 == 0o700
    assert data.stat().st_uid != 0
    os.chown(data, 0, 0)
    tenant.edit({"restartedAt": "2026-01-31T12:00:00Z"}).settle()
    assert tenant.data != data
    assert tenant.get("greeting") == "hello"

    # Nothing under etc can be written by it, whatever its code may try.
    probe = ["nsenter", "-t", str(host.facts()["daemon"]["pid"]), "-m", "touch"]
    for path, is_writable in ((host.tenants_d / "x", False), (host.state / "x", True)):
        ran = subprocess.run([*probe, str(path)], capture_output=True, check=False)
        assert (ran.returncode == 0) is is_writable

    host.hang_up()
    eventually(lambda: manager.hears("RELOADING=1\nMONOTONIC_USEC="))
    eventually(lambda: len(manager.hears("READY=1")) > 1)
    assert host.stop() == 0
    assert manager.hears("STOPPING=1")
    assert tenant.is_running()
    assert tenant.get("greeting") == "hello"
