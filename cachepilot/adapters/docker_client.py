"""One Docker client for each thread, and Docker's errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import docker
import docker.errors
import requests.exceptions

from cachepilot.errors import UnavailableError

__all__ = ["DockerClients", "engine_errors", "words_of"]


class DockerClients:
    """Hands each thread its own client: docker-py's is not safe to share.

    The socket is always explicit. A client made from the environment would follow the context
    of whoever started the daemon.
    """

    def __init__(self, socket: str, *, timeout: int) -> None:
        self._socket = socket
        self._timeout = timeout
        self._threads = threading.local()

    def get(self) -> docker.APIClient:
        """Return this thread's client.

        Raises:
            UnavailableError: The engine does not answer.
        """
        client: docker.APIClient | None = getattr(self._threads, "client", None)
        if client is None:
            with engine_errors("cannot reach Docker"):
                client = docker.APIClient(
                    base_url=self._socket, timeout=self._timeout, version="auto"
                )
            # Proxies and .netrc are not for a socket, and looking for them at each call is dear.
            client.trust_env = False
            self._threads.client = client
        return client

    def knock(self) -> None:
        """Return if the engine accepts a new connection and answers there.

        Not by asking for its version, for which it starts other programs.

        Raises:
            UnavailableError: It does not.
        """
        version = self.get().api_version
        with engine_errors("cannot reach Docker"):
            client = docker.APIClient(
                base_url=self._socket, timeout=self._timeout, version=version
            )
            with closing(client):
                client.trust_env = False
                client.ping()

    def separate(self) -> docker.APIClient:
        """Return a client for a stream that stays open, without a time-out."""
        with engine_errors("cannot reach Docker"):
            client = docker.APIClient(base_url=self._socket, version="auto")
        client.timeout = None  # type: ignore[assignment] # requests' word for "for ever"
        return client


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn whatever docker-py raises into UnavailableError, except a clear 404."""
    try:
        yield
    except docker.errors.NotFound:
        raise
    except docker.errors.APIError as error:
        raise UnavailableError(f"{what}: {words_of(error)}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        # The text of a connection error is a nest of reprs; its kind says enough.
        raise UnavailableError(f"{what}: the engine does not answer") from error


def words_of(error: docker.errors.APIError) -> str:
    """Return Docker's own explanation in one line."""
    explanation: Any = error.explanation or error
    return " ".join(str(explanation).split())
