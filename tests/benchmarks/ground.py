"""A root folder of our own, a daemon in a process of its own, and nothing left of either."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors

Json = dict[str, Any]

IMAGE = "cachepilot-lab/redis:7.0"
BARE_LABEL = "io.cachepilot.benchmark"
FIRST_BARE_PORT = 12_800
# Below those that the kernel gives to outgoing connections, and above those of the servers.
_METRICS_PORTS = range(12_950, 13_000)
_PREFIX = "cachepilot-benchmark-"
_NAMES = ("cachepilot-bench-", "bench-bare-")
_DAEMON = "from cachepilot.daemon.main import main; main()"
_PATIENCE = 60.0
# A daemon ends when the run is killed that would have stopped it.
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def as_installed(root: Path) -> dict[str, str]:
    """Return an environment in which modules are compiled once, as those of an installation."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


class Daemon:
    """A daemon's process, seen from outside."""

    def __init__(self, command: list[str], folder: Path, *, metrics_port: int) -> None:
        self._metrics_port = metrics_port
        address = folder / "notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(address))
            channel.settimeout(_PATIENCE)
            environment = {**as_installed(folder), "NOTIFY_SOCKET": str(address)}
            environment.pop("DOCKER_HOST", None)
            self.log = folder / "daemon.log"
            with self.log.open("ab") as log:
                began = time.perf_counter()
                self.process = subprocess.Popen(
                    [*_ENDS_WITH_US, *command], env=environment, stdout=log, stderr=log
                )
            try:
                while not channel.recv(4096).startswith(b"READY=1"):
                    pass
            except TimeoutError:
                self.stop()
                raise RuntimeError(f"no daemon: {self.log.read_text()[-2000:]}") from None
            self.ready_after = time.perf_counter() - began
        # Later messages find nobody, which the daemon takes in its stride.

    def processor_seconds(self) -> float:
        """Return the processor time it used since it began."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_megabytes(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * _PAGE / 1e6

    def metrics(self) -> dict[str, float]:
        """Return its metrics, without those of single tenants."""
        address = f"http://127.0.0.1:{self._metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs if 'tenant="' not in name}

    def effects(self) -> int:
        """Return how many actions it performed."""
        found = self.metrics().items()
        return int(sum(value for name, value in found if name.startswith("cachepilot_effects")))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(40)
            if self.process.poll() is None:
                self.process.kill()
        self.process.wait()


class MetricsPort:
    """A port that no other of these runs uses, whatever folders it has; until it is closed."""

    def __init__(self) -> None:
        for number in _METRICS_PORTS:
            self._claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # A name without a file: it goes with whoever holds it.
            with suppress(OSError):
                self._claim.bind(f"\0{_PREFIX}port-{number}")
                self.number = number
                return
            self._claim.close()
        raise RuntimeError("all ports for metrics are taken")

    def close(self) -> None:
        self._claim.close()


class Ground:
    """A root below the folder for temporary files; tenants' names begin with ``bench-``."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._port = MetricsPort()
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.daemon: Daemon | None = None
        self.tenants_d.mkdir(parents=True)
        self.settings: Json = {
            "apiVersion": "cachepilot/v1",
            "kind": "Settings",
            "docker": {"socket": engine},
            "defaults": {"engine": {"image": IMAGE}, "memory": {"max": "16MiB"}},
            "network": {"subnets": ["10.96.0.0/22", "10.96.4.0/22"]},
            "ports": {
                "tls": {"first": 12_000, "last": 12_399},
                "plain": {"first": 12_400, "last": 12_799},
            },
            "uids": {"first": 760_000, "last": 769_999},
            "listen": {"port": self.metrics_port},
        }

    @property
    def metrics_port(self) -> int:
        return self._port.number

    @property
    def tenants_d(self) -> Path:
        return self.root / "etc/cachepilot/tenants.d"

    @property
    def public_ca(self) -> Path:
        return self.root / "var/lib/cachepilot/public/ca.pem"

    @property
    def workers(self) -> int:
        return int(self.settings.get("daemon", {}).get("workers", 4))

    def folder(self, name: str) -> Path:
        return self.root / "var/lib/cachepilot/tenants" / name

    def record(self, name: str) -> Json:
        found: Json = json.loads((self.folder(name) / "record.json").read_bytes())
        return found

    def password(self, name: str, user: str = "default") -> str:
        kept = [c for c in self.record(name)["credentials"] if c["user"] == user]
        return str(kept[-1]["password"])

    def port(self, name: str) -> int:
        return int(self.record(name)["memory"]["reservation"]["tls_port"])

    def status(self, name: str) -> Json:
        path = self.root / f"run/cachepilot/status/{name}.json"
        found: Json = json.loads(path.read_bytes())
        return found

    def write_settings(self, **changes: Any) -> None:
        self.settings |= changes
        path = self.tenants_d.parent / "cachepilot.yaml"
        path.write_text(json.dumps(self.settings, indent=1))

    def stage(self, name: str, **spec: Any) -> Path:
        """Write a document beside the folder, so that only a rename is left to do."""
        document = {
            "apiVersion": "cachepilot/v1",
            "kind": "Tenant",
            "metadata": {"name": name},
            "spec": spec,
        }
        path = self.root / f"{name}.yaml"
        path.write_text(json.dumps(document, indent=1) + "\n")
        return path

    def save(self, staged: Path) -> None:
        """Save a staged document as a careful editor does: by one rename."""
        staged.rename(self.tenants_d / staged.name)

    def start(self) -> Daemon:
        self.write_settings()
        command = [sys.executable, "-c", _DAEMON, "--root", str(self.root)]
        command += ["--log-level", "warning"]
        self.daemon = Daemon(command, self.root, metrics_port=self.metrics_port)
        return self.daemon

    def stop(self) -> None:
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    def settled(self, names: list[str], *, patience: float = 600.0) -> None:
        """Return when the status of everybody says Ready."""
        waiting, end = set(names), time.monotonic() + patience
        while waiting:
            for name in sorted(waiting):
                with suppress(OSError, KeyError, ValueError):
                    if self.status(name)["status"]["word"] == "Ready":
                        waiting.discard(name)
            if time.monotonic() > end:
                raise RuntimeError(f"{len(waiting)} tenants are not Ready")
            time.sleep(0.05)

    def replace_server(self, staged: Path, name: str, *, patience: float = 600.0) -> None:
        """Save a staged document; return when another server of *name* has proven itself."""
        before, end = self.record(name)["memory"]["instance"], time.monotonic() + patience
        self.save(staged)
        while True:
            memory = self.record(name)["memory"]
            if memory["instance"] != before and not (memory["replacement"] or memory["hand_over"]):
                return
            if time.monotonic() > end:
                raise RuntimeError(f"not replaced: {self.status(name)['status']['conditions']}")
            time.sleep(0.05)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)
        self._port.close()


@contextmanager
def grounds(engine: str) -> Iterator[Ground]:
    """Give a root; whatever happens, no process, container, network or folder stays behind."""
    ground = Ground(engine)
    try:
        yield ground
    finally:
        ground.stop()
        sweep(engine)
        ground.close()


@contextmanager
def alone() -> Iterator[None]:
    """Keep two runs on one machine apart: they would take each other's names and ports."""
    with (Path(tempfile.gettempdir()) / f"{_PREFIX}lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("error: another run of the benchmarks is under way")
        yield


def sweep_folders() -> None:
    """Remove what a killed run left behind; only while no other is under way."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/"):
        shutil.rmtree(folder, ignore_errors=True)


def sweep(engine: str) -> None:
    """Remove every container and network of the benchmarks, those of a killed run too."""
    if not engine:
        return
    client = docker.DockerClient(base_url=engine, timeout=120)
    try:
        for container in client.containers.list(all=True, ignore_removed=True):
            if str(container.name).startswith(_NAMES):
                with suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)
        for network in client.networks.list(filters={"label": "io.cachepilot.root"}):
            if f"/{_PREFIX}" in network.attrs["Labels"]["io.cachepilot.root"]:
                with suppress(docker.errors.APIError):
                    network.remove()
    finally:
        client.close()
