"""A server without data, network or clients, for as long as something is tried on its image."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import docker.errors
import redis
import redis.exceptions

from cachepilot.adapters.atomic import make_folder
from cachepilot.adapters.docker_client import DockerClients, engine_errors, words_of
from cachepilot.adapters.labels import PROBE, ROOT
from cachepilot.adapters.paths import SOCKET
from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.secret import Secret
from cachepilot.errors import CachePilotError, UnavailableError
from cachepilot.plan.shape import engine_of
from cachepilot.plan.users import DAEMON
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

_PATIENCE, _PAUSE = 20.0, 0.02
_MEMORY = 64 * 2**20
_FOLDER = "/run/redis"
_LAST_LINES, _LONGEST_WORDS = 4, 300


class UnusableImageError(CachePilotError):
    """No server of an image runs, and none will."""


class ProbeServers:
    """Makes and removes such servers for one installation.

    Args:
        clients: One client a thread.
        root: Absolute root folder of this installation, written as a label.
        folder_of: Where the server of a tenant makes its socket; it belongs to this alone.
        owners: Whether folders can be given to other users; only root can.
        monotonic: Seconds that never jump.
        stopping: Set when the daemon stops; ends every wait.
    """

    def __init__(
        self,
        clients: DockerClients,
        *,
        root: str,
        folder_of: Callable[[TenantName], Path],
        owners: bool,
        monotonic: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        self._clients = clients
        self._root = root
        self._folder_of = folder_of
        self._owners = owners
        self._monotonic = monotonic
        self._stopping = stopping

    @contextmanager
    def running(
        self, tenant_name: TenantName, *, image: str, image_id: str, uid: int
    ) -> Iterator[redis.Redis]:
        """Give a connection to a server that is gone afterwards.

        Raises:
            UnusableImageError: No server of this image runs.
            UnavailableError: The engine does not answer, or the server not in time.
        """
        folder = self._folder_of(tenant_name)
        self._discard(tenant_name)
        make_folder(folder, mode=0o700, owner=(uid, uid) if self._owners else None)
        # Its own user may do everything, with any password; only who enters the folder gets in.
        connections = ManagementConnections(
            run_folder=lambda name, _: self._folder_of(name),
            password=lambda _: Secret("any"),
            monotonic=self._monotonic,
        )
        try:
            self._start(tenant_name, image, image_id, uid)
            yield self._connect(tenant_name, image, connections)
        finally:
            connections.close()
            self._discard(tenant_name)

    def discard_all(self, *, before: datetime) -> None:
        """Remove what was made before a moment, by a daemon that was killed."""
        labels = [PROBE, f"{ROOT}={self._root}"]
        with engine_errors("cannot list containers"):
            rows = self._clients.get().containers(all=True, filters={"label": labels})
        for row in rows:
            if row["Created"] < int(before.timestamp()):
                # By id: other trials than these leave containers of other names.
                self._remove(row["Id"], TenantName(row["Labels"][PROBE]))

    def _start(self, tenant_name: TenantName, image: str, image_id: str, uid: int) -> None:
        body, name = self._request(tenant_name, image, image_id, uid), _name(tenant_name)
        what = f"cannot try image {image}"
        try:
            with engine_errors(what):
                client = self._clients.get()
                client.create_container_from_config(body, name)  # type: ignore[no-untyped-call] # stub gap
        except docker.errors.NotFound as error:
            raise UnavailableError(f"{what}: {words_of(error)}") from error
        try:
            with engine_errors(what):
                client.start(name)
        except docker.errors.NotFound as error:
            raise UnusableImageError(f"{what}: {words_of(error)}") from error
        except UnavailableError as error:
            # Docker takes an image for broken in prose only; a missing program is meant here.
            if "executable file not found" in str(error) or "no such file" in str(error):
                raise UnusableImageError(str(error)) from error
            raise

    def _connect(
        self, tenant_name: TenantName, image: str, connections: ManagementConnections
    ) -> redis.Redis:
        end = self._monotonic() + _PATIENCE
        while True:
            try:
                return connections.get(tenant_name, 0)
            except (redis.exceptions.RedisError, OSError) as error:
                self._refuse_if_ended(tenant_name, image)
                if self._monotonic() > end or self._stopping.wait(_PAUSE):
                    message = f"cannot try image {image}: its server does not answer"
                    raise UnavailableError(message) from error

    def _refuse_if_ended(self, tenant_name: TenantName, image: str) -> None:
        """Raise UnusableImageError if the server ended by itself, with its last words."""
        name = _name(tenant_name)
        with engine_errors(f"cannot try image {image}"), _gone():
            client = self._clients.get()
            if client.inspect_container(name)["State"]["Running"]:
                return
            logs: bytes = client.logs(name, tail=_LAST_LINES)
            words = shorten(" ".join(logs.decode(errors="replace").split()), _LONGEST_WORDS)
            raise UnusableImageError(f"image {image} runs no server: {words}")

    def _discard(self, tenant_name: TenantName) -> None:
        self._remove(_name(tenant_name), tenant_name)

    def _remove(self, container: str, tenant_name: TenantName) -> None:
        with engine_errors("cannot remove a container of a trial"), _gone():
            self._clients.get().remove_container(container, v=True, force=True)
        # The folder belonged to a server: what is in it is removed without following links.
        shutil.rmtree(self._folder_of(tenant_name), ignore_errors=True)

    def _request(
        self, tenant_name: TenantName, image: str, image_id: str, uid: int
    ) -> dict[str, Any]:
        return {
            # By content, so that what is remembered is about the very image that was tried.
            "Image": image_id,
            "Entrypoint": [f"{engine_of(image)}-server"],
            "Cmd": [
                *("--port", "0", "--unixsocket", f"{_FOLDER}/{SOCKET}", "--dir", _FOLDER),
                *("--save", "", "--appendonly", "no"),
                *("--user", DAEMON, "on", "nopass", "+@all"),
            ],
            "User": f"{uid}:{uid}",
            "WorkingDir": _FOLDER,
            "Labels": {PROBE: tenant_name, ROOT: self._root},
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": [
                    {
                        "Type": "bind",
                        "Source": str(self._folder_of(tenant_name)),
                        "Target": _FOLDER,
                        "ReadOnly": False,
                    }
                ],
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "PidsLimit": 32,
                "Memory": _MEMORY,
                "MemorySwap": _MEMORY,
                "RestartPolicy": {"Name": "no"},
                "LogConfig": {"Type": "local", "Config": {"max-size": "1m", "max-file": "2"}},
            },
        }


def _name(tenant_name: TenantName) -> str:
    return f"cachepilot-{tenant_name}.probe"


@contextmanager
def _gone() -> Iterator[None]:
    """Take the absence of a container for what was wanted."""
    with suppress(docker.errors.NotFound):
        yield
