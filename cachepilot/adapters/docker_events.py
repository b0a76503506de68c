"""Docker's own news, as hints: somebody's container changed, look at that tenant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions
from docker.types.daemon import CancellableStream

from cachepilot.adapters.docker_client import DockerClients
from cachepilot.adapters.labels import ROOT, TENANT
from cachepilot.errors import UnavailableError
from cachepilot.spec.document import TenantName

# A dead container is often started again by Docker itself within a tenth of a second.
_SETTLING_SECONDS = 0.3
_SETTLING_ACTIONS = frozenset({"die", "oom", "kill", "stop"})
# Exec and the rest come from people looking around and change nothing.
_ACTIONS = frozenset(
    {
        *_SETTLING_ACTIONS,
        "create",
        "destroy",
        "pause",
        "rename",
        "restart",
        "start",
        "unpause",
        "update",
    }
)
_RETRY_SECONDS = 1.0

_STREAM_ERRORS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
)

OnChange = Callable[[TenantName, float, datetime], None]


class DockerEvents:
    """Follows the engine's event stream for one installation.

    Args:
        clients: Where the stream's own client comes from.
        root: Which containers are ours.
        on_change: Told of a tenant, the seconds to wait before looking, and when it happened.
        on_gap: Told whenever events may have been missed, so that everything is compared again.
        on_state: Told whether the engine answers.
    """

    def __init__(
        self,
        clients: DockerClients,
        *,
        root: str,
        on_change: OnChange,
        on_gap: Callable[[], None],
        on_state: Callable[[str], None],
    ) -> None:
        self._clients = clients
        self._root = root
        self._on_change = on_change
        self._on_gap = on_gap
        self._on_state = on_state
        self._stream: CancellableStream[dict[str, Any]] | None = None
        # The second of the newest event; None before the first stream, when nobody is behind.
        self._since: int | None = None

    def follow(self, stopping: threading.Event) -> None:
        """Follow until *stopping* is set; a broken stream is opened again."""
        while not stopping.is_set():
            try:
                self._follow_once()
            except UnavailableError as error:
                self._on_state(str(error))
            except _STREAM_ERRORS:
                if not stopping.is_set():
                    self._on_state("cannot follow Docker's events: the stream broke")
            stopping.wait(_RETRY_SECONDS)

    def close(self) -> None:
        """End a stream that waits for the next event."""
        if self._stream is not None:
            self._stream.close()

    def _follow_once(self) -> None:
        filters = {"type": "container", "label": f"{ROOT}={self._root}"}
        with closing(self._clients.separate()) as client:
            self._stream = client.events(decode=True, filters=filters, since=self._since)
            self._since = self._since or 0
            self._on_state("")
            # An engine repeats no more than a few hundred events, and none from before its start.
            self._on_gap()
            for event in self._stream:
                self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        self._since = int(event["time"])
        action = str(event.get("Action", "")).split(":", maxsplit=1)[0]
        name = event.get("Actor", {}).get("Attributes", {}).get(TENANT)
        if name and action in _ACTIONS:
            happened = datetime.fromtimestamp(event["timeNano"] / 1e9, tz=UTC)
            wait = _SETTLING_SECONDS if action in _SETTLING_ACTIONS else 0.0
            self._on_change(TenantName(name), wait, happened)
