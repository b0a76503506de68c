"""The floor: the same hardened container, made by bare calls and by the command line of Docker.

What is made is copied from a tenant that the daemon made: its inspect answer and its folders.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import docker

from tests.benchmarks.customer import Door
from tests.benchmarks.ground import BARE_LABEL, FIRST_BARE_PORT, Ground

Json = dict[str, Any]

_FOLDERS = {"/data": "data/1", "/etc/cachepilot": "conf/1", "/run/redis": "run/1", "/tls": "tls"}
_KEPT = (
    "NetworkMode", "RestartPolicy", "LogConfig", "ReadonlyRootfs", "CapDrop", "SecurityOpt",
    "PidsLimit", "Ulimits", "Memory", "MemorySwap", "CpuPeriod", "CpuQuota",
)  # fmt: skip


class Bare:
    """Makes containers like that of the tenant *model*."""

    def __init__(self, ground: Ground, model: str) -> None:
        self._ground = ground
        self._model = model
        self.password = ground.password(model)
        self._folder = ground.root / "bare"
        seen = self.client().inspect_container(f"cachepilot-{model}")
        self._config, self._host = seen["Config"], seen["HostConfig"]

    def client(self) -> docker.APIClient:
        """Return a new client; one cannot be shared by threads."""
        return docker.APIClient(base_url=self._ground.engine, timeout=120, version="auto")

    def port(self, number: int) -> int:
        return FIRST_BARE_PORT + number

    def door(self, number: int) -> Door:
        socket = self._folder / str(number) / "run/1/redis.sock"
        return Door(self.port(number), self.password, socket)

    def prepare(self, number: int) -> None:
        """Copy the model's folders, so that only Docker's work is left to measure."""
        source, target = self._ground.folder(self._model), self._folder / str(number)
        for below in _FOLDERS.values():
            shutil.copytree(source / below, target / below, ignore=_without_sockets)
        # Owners too: the server runs as the model's user.
        for path in (target, *target.rglob("*")):
            twin = source / path.relative_to(target)
            if twin.exists():
                shutil.chown(path, twin.stat().st_uid, twin.stat().st_gid)
                path.chmod(twin.stat().st_mode & 0o7777)

    def create_and_start(self, client: docker.APIClient, number: int) -> None:
        """Make the calls that any program would have to make."""
        name = self._name(number)
        client.create_container_from_config(self._body(number), name)
        client.start(name)

    def run_command(self, number: int) -> None:
        """Run ``docker run -d`` with the same options."""
        subprocess.run(
            [self._command_line(), "-H", self._ground.engine, "run", "-d", *self._flags(number)],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def remove(self, client: docker.APIClient, number: int) -> None:
        client.remove_container(self._name(number), force=True, v=True)
        shutil.rmtree(self._folder / str(number))

    def _name(self, number: int) -> str:
        return f"bench-bare-{number}"

    def _command_line(self) -> str:
        found = shutil.which("docker")
        if not found:
            raise RuntimeError("the command line of Docker is missing")
        return found

    def _source(self, number: int, target: str) -> Path:
        return self._folder / str(number) / _FOLDERS[target]

    def _body(self, number: int) -> Json:
        copied = ("Image", "Entrypoint", "Cmd", "User", "WorkingDir", "StopSignal", "Healthcheck")
        return {
            **{key: self._config[key] for key in copied if key in self._config},
            "Labels": {BARE_LABEL: "1"},
            "ExposedPorts": {"6380/tcp": {}},
            "HostConfig": {
                **{key: self._host[key] for key in _KEPT},
                "PortBindings": {
                    "6380/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(self.port(number))}]
                },
                "Mounts": [
                    {**mount, "Source": str(self._source(number, mount["Target"]))}
                    for mount in self._host["Mounts"]
                ],
            },
        }

    def _flags(self, number: int) -> list[str]:
        host, config = self._host, self._config
        limit = host["Ulimits"][0]
        flags = [
            *("--name", self._name(number), "--label", f"{BARE_LABEL}=1"),
            *("--network", host["NetworkMode"], "--user", config["User"]),
            *("--publish", f"127.0.0.1:{self.port(number)}:6380"),
            *("--restart", host["RestartPolicy"]["Name"], "--read-only", "--cap-drop", "ALL"),
            *("--security-opt", "no-new-privileges", "--pids-limit", str(host["PidsLimit"])),
            *("--ulimit", f"nofile={limit['Soft']}:{limit['Hard']}"),
            *("--memory", str(host["Memory"]), "--memory-swap", str(host["MemorySwap"])),
            *("--log-driver", host["LogConfig"]["Type"]),
        ]
        for key, value in host["LogConfig"]["Config"].items():
            flags += ["--log-opt", f"{key}={value}"]
        for mount in host["Mounts"]:
            read_only = ",readonly" if mount.get("ReadOnly") else ""
            source, target = self._source(number, mount["Target"]), mount["Target"]
            flags += ["--mount", f"type=bind,source={source},target={target}{read_only}"]
        program, *rest = (*config["Entrypoint"], *config["Cmd"])
        return [*flags, "--entrypoint", program, config["Image"], *rest]


def _without_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]
