"""Asks an image which server it holds, in a container that can do nothing else."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import docker.errors

from cachepilot.adapters.docker_client import DockerClients, engine_errors, words_of
from cachepilot.adapters.labels import PROBE, ROOT
from cachepilot.errors import StalledError, UnavailableError
from cachepilot.observe.replacement import LearnedImage
from cachepilot.observe.snapshot import Engine
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

# As in "Redis server v=7.0.15 sha=…" and "Valkey server v=8.1.1 sha=…".
_SAYS = re.compile(r"(Redis|Valkey) server v=([0-9A-Za-z.+-]{1,32})")
_PATIENCE = 20
_MEMORY = 64 * 2**20
_UNPRIVILEGED = "65534:65534"


class ImageExaminer:
    """Runs ``redis-server --version`` of an image, without network, disk or rights.

    Args:
        clients: One client a thread.
        root: Absolute root folder of this installation, written as a label.
    """

    def __init__(self, clients: DockerClients, *, root: str) -> None:
        self._clients = clients
        self._root = root

    def examine(self, tenant_name: TenantName, image: str, engine: Engine) -> LearnedImage:
        """Return what the program called *engine* in *image* says of itself.

        Raises:
            StalledError: There is no such image (reason ``ImageUnavailable``).
        """
        client, name = self._clients.get(), f"cachepilot-{tenant_name}.drill"
        try:
            with engine_errors(f"cannot look into image {image}"):
                content = str(client.inspect_image(image)["Id"])  # type: ignore[no-untyped-call] # stub gap
                self._clear(name)
                body = self._request(tenant_name, content, engine)
                made = client.create_container_from_config(body, name)  # type: ignore[no-untyped-call] # stub gap
        except docker.errors.NotFound as error:
            message = f"cannot look into image {image}: {words_of(error)}"
            raise StalledError(message, reason="ImageUnavailable") from error
        try:
            return self._run(str(made["Id"]), image, content, engine)
        finally:
            with suppress(UnavailableError):
                self._clear(name)

    def _run(self, container: str, image: str, content: str, engine: Engine) -> LearnedImage:
        client = self._clients.get()
        try:
            with engine_errors(f"cannot run the server of image {image}"):
                client.start(container)
            # Whether it was the program or the engine that was late, the next question tells.
            with suppress(UnavailableError), engine_errors("cannot wait"):
                client.wait(container, timeout=_PATIENCE)
            with engine_errors(f"cannot run the server of image {image}"):
                if client.inspect_container(container)["State"]["Running"]:
                    late = f"its {engine}-server does not say its version within {_PATIENCE} s"
                    return _unfit(content, late)
                said: bytes = client.logs(container)
        except docker.errors.NotFound as error:
            return _unfit(
                content, f"it holds no {engine}-server ({shorten(words_of(error), 200)})"
            )
        except UnavailableError as error:
            if any(word in str(error) for word in ("not found", "no such file", "exec format")):
                return _unfit(content, f"it holds no {engine}-server that runs here")
            raise
        text = said.decode(errors="replace")
        found = _SAYS.search(text)
        if found is None:
            return _unfit(content, f"its {engine}-server says: {shorten(text, 200)}")
        return LearnedImage(image_id=content, engine=found[1].lower(), version=found[2])

    def _clear(self, name: str) -> None:
        with suppress(docker.errors.NotFound), engine_errors(f"cannot remove container {name}"):
            self._clients.get().remove_container(name, force=True, v=True)

    def _request(self, tenant_name: TenantName, content: str, engine: Engine) -> dict[str, Any]:
        return {
            "Image": content,
            "Entrypoint": [f"{engine}-server", "--version"],
            "Cmd": [],
            "User": _UNPRIVILEGED,
            "Labels": {PROBE: tenant_name, ROOT: self._root},
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "PidsLimit": 16,
                "Memory": _MEMORY,
                "MemorySwap": _MEMORY,
                "RestartPolicy": {"Name": "no"},
                "LogConfig": {"Type": "local", "Config": {"max-size": "64k", "max-file": "2"}},
            },
        }


def _unfit(content: str, problem: str) -> LearnedImage:
    return LearnedImage(image_id=content, engine="", version="", problem=problem)
