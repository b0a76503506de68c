"""What containers need from the engine before they can be made: images and shared bridges."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial

import docker.errors
import docker.types
from docker.utils import parse_repository_tag

from cachepilot.adapters.docker_client import DockerClients, engine_errors, words_of
from cachepilot.adapters.labels import NETWORK, ROOT, network_name
from cachepilot.errors import CachePilotError, StalledError, UnavailableError, WaitingError

# How long a visit waits for an image; small ones, and most failures, are there by then.
_PATIENCE = 10.0
_LOOK_AGAIN = timedelta(seconds=5)


class _Fetch:
    """One image on its way, in a thread of its own.

    A registry may take an hour. A worker that waited so long would be missing elsewhere, and
    would look as if it were stuck.
    """

    def __init__(self, image: str, pull: Callable[[], None]) -> None:
        self.image = image
        self.error: CachePilotError | None = None
        self._pull = pull
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Return once it is over.

        Raises:
            WaitingError: That takes longer than a visit should.
        """
        self._thread.join(_PATIENCE)
        if not self.is_over:
            raise WaitingError(
                f"cannot use image {self.image} yet: it is being fetched", retry_after=_LOOK_AGAIN
            )

    def _run(self) -> None:
        try:
            self._pull()
        except CachePilotError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - nobody else hears of it
            self.error = UnavailableError(f"cannot pull image {self.image}: {error!r}")


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
        self._fetch_lock = threading.Lock()
        self._fetch: _Fetch | None = None

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
        """Fetch *image* unless the engine has it.

        Raises:
            WaitingError: It is on its way, or another one is.
            StalledError: There is no such image (reason ``ImageUnavailable``).
        """
        if self.has_image(image):
            return
        with self._fetch_lock:
            if self._fetch is None or (self._fetch.is_over and self._fetch.image != image):
                self._fetch = _Fetch(image, partial(self._pull, image))
            fetch = self._fetch
        if fetch.image != image:
            raise WaitingError(
                f"cannot pull image {image} yet: another one is being fetched",
                retry_after=_LOOK_AGAIN,
            )
        fetch.wait()
        with self._fetch_lock:
            if self._fetch is fetch:
                self._fetch = None
        if fetch.error:
            raise fetch.error

    def _pull(self, image: str) -> None:
        name, tag = parse_repository_tag(image)
        with closing(self._clients.get()) as client:
            try:
                with engine_errors(f"cannot pull image {image}"):
                    progress = client.pull(name, tag=tag or "latest", stream=True, decode=True)
                    # A failure behind the first byte is told in the stream only.
                    troubles = [line["error"] for line in progress if "error" in line]
            except docker.errors.NotFound as error:
                raise StalledError(
                    f"cannot pull image {image}: {words_of(error)}; correct spec.engine.image",
                    reason="ImageUnavailable",
                ) from error
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
