"""What containers need from the engine before they can be made: images and shared bridges."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import docker.errors
import docker.types
from docker.utils import parse_repository_tag

from cachepilot.adapters.docker_client import DockerClients, engine_errors, words_of
from cachepilot.adapters.labels import NETWORK, ROOT, network_name
from cachepilot.errors import CachePilotError, StalledError, UnavailableError, WaitingError

# How long one visit waits for an image; small ones, and most failures, are there by then.
_PATIENCE = 10.0
_LOOK_AGAIN = timedelta(seconds=5)
# A registry that takes longer is as good as none.
_LONGEST_FETCH = 3600.0
_MOST_AT_ONCE = 4
# In a registry's refusals that no time mends; Docker 20.10 says most of them with a 500, as it
# says that a registry is down, and the rest in the stream.
_FINAL = (
    *("manifest unknown", "name unknown", "no matching manifest", "invalid reference format"),
    *("unauthorized", "forbidden", "no basic auth credentials"),
)


class _Fetch:
    """One image on its way, in a thread of its own.

    A registry may take an hour. A worker that waited so long would be missing elsewhere, and
    would look as if it were stuck.
    """

    def __init__(
        self, image: str, pull: Callable[[_Fetch], None], monotonic: Callable[[], float]
    ) -> None:
        self.image = image
        self.error: CachePilotError | None = None
        self._pull = pull
        self._monotonic = monotonic
        self._end = monotonic() + _LONGEST_FETCH
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return not self._thread.is_alive()

    @property
    def is_late(self) -> bool:
        """Whether nobody should count on it any more."""
        return self._monotonic() > self._end

    def wait(self, seconds: float) -> None:
        """Return once it is over.

        Raises:
            WaitingError: That takes longer.
            StalledError: That takes longer than any image should (reason ``ImageUnavailable``).
        """
        self._thread.join(seconds)
        if self.is_over:
            return
        self.refuse_if_late()
        raise WaitingError(
            f"cannot use image {self.image} yet: it is being fetched", retry_after=_LOOK_AGAIN
        )

    def refuse_if_late(self) -> None:
        """Raise StalledError if it takes longer than any image should."""
        if self.is_late:
            raise StalledError(
                f"cannot pull image {self.image}: its registry takes more than an hour; see to "
                "it, or correct spec.engine.image",
                reason="ImageUnavailable",
            )

    def _run(self) -> None:
        try:
            self._pull(self)
        except CachePilotError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - nobody else hears of it
            self.error = UnavailableError(f"cannot pull image {self.image}: {error!r}")


class DockerSupplies:
    """Fetches images and makes bridges for one installation.

    Args:
        clients: One client a thread.
        root: Absolute root folder of this installation, written as a label.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self, clients: DockerClients, *, root: str, monotonic: Callable[[], float]
    ) -> None:
        self._clients = clients
        self._root = root
        self._monotonic = monotonic
        self._network_lock = threading.Lock()
        self._fetch_lock = threading.Lock()
        self._fetches: dict[str, _Fetch] = {}

    def image_id(self, image: str) -> str | None:
        """Return which content *image* stands for: empty if it is not there, None in silence."""
        try:
            with engine_errors(f"cannot look for image {image}"):
                found = self._clients.get().inspect_image(image)  # type: ignore[no-untyped-call] # stub gap
        except docker.errors.NotFound:
            return ""
        except UnavailableError:
            return None
        return str(found["Id"])

    def ensure_image(self, image: str) -> None:
        """Fetch *image* unless the engine has it; at most one caller waits for that at a time.

        Raises:
            WaitingError: It is on its way, or as many others are as should be at once.
            StalledError: There is no such image, or it does not arrive (reason
                ``ImageUnavailable``).
        """
        if self.image_id(image):
            return
        patience = 0.0
        with self._fetch_lock:
            others = [
                fetch for fetch in self._fetches.values() if not (fetch.is_over or fetch.is_late)
            ]
            fetch = self._fetches.get(image)
            if fetch is None:
                if len(others) >= _MOST_AT_ONCE:
                    raise WaitingError(
                        f"cannot pull image {image} yet: {len(others)} others are being fetched",
                        retry_after=_LOOK_AGAIN,
                    )
                # Whoever waits is missing elsewhere, so nobody waits beside somebody else.
                patience = 0.0 if others else _PATIENCE
                fetch = self._fetches[image] = _Fetch(image, self._pull, self._monotonic)
        fetch.wait(patience)
        with self._fetch_lock:
            if self._fetches.get(image) is fetch:
                del self._fetches[image]
        if fetch.error:
            raise fetch.error

    def _pull(self, fetch: _Fetch) -> None:
        image, troubles = fetch.image, []
        what = f"cannot pull image {image}"
        name, tag = parse_repository_tag(image)
        with closing(self._clients.get()) as client:
            try:
                with engine_errors(what):
                    progress = client.pull(name, tag=tag or "latest", stream=True, decode=True)
                    for line in progress:
                        # A failure behind the first byte is told in the stream only.
                        troubles += [line["error"]] if "error" in line else []
                        fetch.refuse_if_late()
            except docker.errors.NotFound as error:
                raise _refused(f"{what}: {words_of(error)}") from error
            except UnavailableError as error:
                if _is_final(str(error)):
                    raise _refused(str(error)) from error
                raise
        if troubles:
            told = f"{what}: {troubles[0]}"
            raise _refused(told) if _is_final(told) else UnavailableError(told)

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


def _is_final(words: str) -> bool:
    """Return whether a registry answered, and said that it will not give the image."""
    said = words.lower()
    return any(each in said for each in _FINAL)


def _refused(words: str) -> StalledError:
    hint = "correct spec.engine.image, or the default of the host"
    return StalledError(f"{words}; {hint}", reason="ImageUnavailable")
