"""What containers need from the engine before they can be made: images and shared bridges."""

from __future__ import annotations

import threading
from datetime import timedelta

import docker.errors
import docker.types
from docker.utils import parse_repository_tag

from cachepilot.adapters.docker_client import DockerClients, engine_errors, words_of
from cachepilot.adapters.labels import NETWORK, ROOT, network_name
from cachepilot.errors import StalledError, UnavailableError, WaitingError


class DockerSupplies:
    """Fetches images and makes bridges for one installation.

    Args:
        clients: One client a thread.
        root: Absolute root folder of this installation, written as a label.
    """

    def __init__(self, clients: DockerClients, *, root: str) -> None:
        self._clients = clients
        self._root = root
        self._network_lock = threading.Lock()
        self._pull_lock = threading.Lock()

    def has_image(self, image: str) -> bool | None:
        """Return whether the engine has *image*; None when it is silent."""
        try:
            with engine_errors(f"cannot look for image {image}"):
                self._clients.get().inspect_image(image)  # type: ignore[no-untyped-call] # stub gap
        except docker.errors.NotFound:
            return False
        except UnavailableError:
            return None
        return True

    def ensure_image(self, image: str) -> None:
        """Fetch *image* unless the engine has it."""
        if self.has_image(image):
            return
        name, tag = parse_repository_tag(image)
        if not self._pull_lock.acquire(blocking=False):
            # One worker at most waits for a registry; the others stay free for repairs.
            raise WaitingError(
                f"cannot pull image {image} yet: another one is being fetched",
                retry_after=timedelta(seconds=5),
            )
        try:
            with engine_errors(f"cannot pull image {image}"):
                progress = self._clients.get().pull(
                    name, tag=tag or "latest", stream=True, decode=True
                )
                # A failure behind the first byte is told in the stream only.
                troubles = [line["error"] for line in progress if "error" in line]
        except docker.errors.NotFound as error:
            raise StalledError(
                f"cannot pull image {image}: {words_of(error)}; correct spec.engine.image",
                reason="ImageUnavailable",
            ) from error
        finally:
            self._pull_lock.release()
        if troubles:
            raise UnavailableError(f"cannot pull image {image}: {troubles[0]}")

    def ensure_network(self, *, bridge: str, subnet: str) -> None:
        """Make the shared bridge; one that is there is left alone."""
        client, name = self._clients.get(), network_name(bridge, self._root)
        with self._network_lock:
            try:
                with engine_errors(f"cannot look for network {name}"):
                    client.inspect_network(name)
            except docker.errors.NotFound:
                pass
            else:
                return
            pool = docker.types.IPAMPool(subnet=subnet)
            try:
                with engine_errors(f"cannot create network {name}"):
                    client.create_network(
                        name,
                        driver="bridge",
                        # Neighbours on the bridge cannot reach each other, and nobody gets out:
                        # a server answers clients and has nothing to say to anybody else.
                        options={
                            "com.docker.network.bridge.enable_icc": "false",
                            "com.docker.network.bridge.enable_ip_masquerade": "false",
                        },
                        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                        check_duplicate=True,
                        labels={NETWORK: bridge, ROOT: self._root},
                    )
            except UnavailableError as error:
                if "overlaps" in str(error):
                    hint = "choose other network.subnets in the settings"
                    raise StalledError(f"{error}; {hint}", reason="SubnetInUse") from error
                raise
