"""One installation: a root folder, a daemon in a process of its own, its files and its engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors

from cachepilot.plan.actions import Action
from tests.scenarios.slots import Slot
from tests.scenarios.tenant import Tenant
from tests.scenarios.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from docker.models.containers import Container

Json = dict[str, Any]

REDIS_7 = "cachepilot-lab/redis:7.0"
REDIS_8 = "cachepilot-lab/redis:8.0"
VALKEY_8 = "cachepilot-lab/valkey:8.1"

ROOT_LABEL = "io.cachepilot.root"
TENANT_LABEL = "io.cachepilot.tenant"
ACTIONS = frozenset(kind.__name__ for kind in typing.get_args(Action))
_PROGRAMS = Path(sys.executable).parent
_TAIL = 60
_TELLING = ("docker", "problems", "orphans", "conditions")


class Host:
    """A root below *folder* on the engine at *socket*; nothing runs before :meth:`start`."""

    def __init__(self, folder: Path, socket: str, settings: Json | None = None) -> None:
        self.slot = Slot()
        self.root = folder
        self.socket = socket
        self.log_file = folder / "daemon.log"
        self.daemon: subprocess.Popen[bytes] | None = None
        self.tenants: list[Tenant] = []
        self.tenants_d.mkdir(parents=True, exist_ok=True)
        self.settings: Json = {
            "apiVersion": "cachepilot/v1",
            "kind": "Settings",
            "docker": {"socket": socket},
            "daemon": {"resync": "5s", "workers": 2},
            "defaults": {"engine": {"image": REDIS_7}, "memory": {"max": "16MiB"}},
            "limits": {"passwordFiles": [tempfile.gettempdir()]},
            **self.slot.settings(),
            **(settings or {}),
        }
        self.write_settings()

    @cached_property
    def engine(self) -> docker.DockerClient:
        """The engine itself; asked for only once it is up."""
        return docker.DockerClient(base_url=self.socket, timeout=60)

    # Folders and files ------------------------------------------------------------------------

    @property
    def tenants_d(self) -> Path:
        return self.root / "etc/cachepilot/tenants.d"

    @property
    def settings_file(self) -> Path:
        return self.root / "etc/cachepilot/cachepilot.yaml"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/cachepilot"

    @property
    def public_ca(self) -> Path:
        return self.state / "public/ca.pem"

    @property
    def status_folder(self) -> Path:
        return self.root / "run/cachepilot/status"

    @property
    def events_file(self) -> Path:
        return self.root / "var/log/cachepilot/events.jsonl"

    def put(self, path: Path, text: str | bytes) -> None:
        """Write a file as a careful editor does: beside it, then renamed over it."""
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_bytes(text.encode() if isinstance(text, str) else text)
        beside.rename(path)

    def write_settings(self, **changes: Any) -> None:
        self.settings |= changes
        self.put(self.settings_file, json.dumps(self.settings, indent=1))

    # Tenants ----------------------------------------------------------------------------------

    def tenant(self, short: str) -> Tenant:
        """Return a handle of a tenant whose name nobody else on the engine has."""
        tenant = Tenant(self, f"{self.slot.mark}-{short}")
        self.tenants.append(tenant)
        return tenant

    def published(self, name: str) -> Json:
        found: Json = json.loads((self.status_folder / f"{name}.json").read_text())
        return found

    def facts(self) -> Json:
        """Return what is published about the host itself."""
        return self.published("host")

    def problems(self) -> list[str]:
        """Return what is wrong with the folder, as sentences with their place."""
        return [
            f"{p['file']}:{p['line']}: {p['where']}: {p['message']}; {p['hint']}"
            for p in self.facts()["problems"]
        ]

    def events(self) -> list[Json]:
        try:
            lines = self.events_file.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def deeds(self, tenant: Tenant | None = None) -> list[str]:
        """Return everything the daemon did to the world, oldest first."""
        return [
            event["message"]
            for event in self.events()
            if event["reason"] in ACTIONS and (tenant is None or event["tenant"] == tenant.name)
        ]

    @contextmanager
    def undisturbed(self, *neighbours: Tenant) -> Iterator[None]:
        """Fail if anything is done to *neighbours*, or their servers are not the same after."""
        before = [self.deeds(each) for each in neighbours]
        with self.unbroken(*neighbours):
            yield
        assert [self.deeds(each) for each in neighbours] == before

    @contextmanager
    def unbroken(self, *tenants: Tenant) -> Iterator[None]:
        """Fail unless the very same servers serve *tenants* after as before."""
        before = [(each.run_id(), each.container().id) for each in tenants]
        yield
        assert [(each.run_id(), each.container().id) for each in tenants] == before

    # The daemon -------------------------------------------------------------------------------

    def start(
        self, *arguments: str, program: list[str] | None = None, env: dict[str, str] | None = None
    ) -> Host:
        """Start the daemon and return when it says that it is up."""
        assert self.daemon is None or self.daemon.poll() is not None, "it runs already"
        begun = time.time_ns()
        self.spawn(*arguments, program=program, env=env)

        def is_up() -> bool:
            assert self.daemon is not None
            assert self.daemon.poll() is None, f"the daemon ended: {self.log()}"
            host = self.facts()
            fresh = (self.status_folder / "host.json").stat().st_mtime_ns >= begun
            return fresh and host["daemon"]["pid"] == self.daemon.pid

        eventually(is_up)
        return self

    def spawn(
        self, *arguments: str, program: list[str] | None = None, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the daemon without waiting for anything."""
        command = program or [str(_PROGRAMS / "cachepilotd")]
        with self.log_file.open("ab") as log:
            self.daemon = subprocess.Popen(
                [*command, "--root", str(self.root), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment() | (env or {}),
                start_new_session=True,
            )
        return self.daemon

    def stop(self) -> int:
        """Ask the daemon to end, as systemd does; return its exit status."""
        assert self.daemon is not None
        self.daemon.terminate()
        return self.daemon.wait(PATIENCE)

    def kill(self) -> None:
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait(PATIENCE)

    def restart(self) -> Host:
        self.stop()
        return self.start()

    def hang_up(self) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGHUP)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of one of the daemon's pages."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.slot.metrics_port}/{path}", timeout=10
            ) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ctl(self, *arguments: str, expect: int = 0, text: str | None = None) -> str:
        """Run cachepilotctl; return what it prints, both streams, after checking its exit code."""
        ran = subprocess.run(
            [str(_PROGRAMS / "cachepilotctl"), *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env=clean_environment() | {"CACHEPILOT_ROOT": str(self.root)},
        )
        shown = ran.stdout + ran.stderr
        assert ran.returncode == expect, f"{arguments} ended with {ran.returncode}:\n{shown}"
        return ran.stdout if expect == 0 and "json" in arguments else shown

    # The engine -------------------------------------------------------------------------------

    def containers(self, tenant_name: str | None = None) -> list[Container]:
        """Return this root's containers, running or not."""
        labels = [f"{ROOT_LABEL}={self.root}"]
        if tenant_name:
            labels.append(f"{TENANT_LABEL}={tenant_name}")
        found: list[Container] = self.engine.containers.list(
            all=True, filters={"label": labels}, ignore_removed=True
        )
        return found

    def close(self) -> None:
        """Leave nothing behind: no process, container, network, mount, folder or port."""
        if self.daemon and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait(PATIENCE)
        with suppress(docker.errors.DockerException):
            for container in self.containers():
                with suppress(docker.errors.NotFound):
                    container.remove(force=True, v=True)
            for network in self.engine.networks.list(
                filters={"label": f"{ROOT_LABEL}={self.root}"}
            ):
                network.remove()
            self.engine.close()
        self.slot.release()
        if not os.environ.get("KEEP_FAILED"):
            shutil.rmtree(self.root, ignore_errors=True)

    def artefacts(self) -> str:
        """Return what a person needs to understand a failure."""
        parts = ["--- daemon", *self.log().splitlines()[-_TAIL:]]
        for tenant in self.tenants:
            with suppress(OSError, ValueError, KeyError):
                parts += [f"--- {tenant.path}", tenant.summary()]
        with suppress(OSError, ValueError):
            facts = self.facts()
            parts += ["--- host.json", json.dumps({k: facts[k] for k in _TELLING})]
        with suppress(docker.errors.DockerException):
            for container in self.containers():
                words = container.logs(tail=10).decode(errors="replace")
                parts += [f"--- {container.name}", json.dumps(container.attrs["State"]), words]
        return "\n".join(parts)


def clean_environment() -> dict[str, str]:
    """Return our environment without what would steer the programs."""
    steering = ("CACHEPILOT_ROOT", "DOCKER_HOST", "NOTIFY_SOCKET", "WATCHDOG_USEC")
    return {name: text for name, text in os.environ.items() if name not in steering}
