"""Starting a container, and only then opening its ports.

Docker 20.10 opens the ports of a container that it starts a quarter of a second before anything is
behind them. Whoever dials in between waits for a second and more: the kernel looks for an address
only that often, and repeats a greeting that got lost no sooner. So a container is started off its
network and put on it while it runs, when Docker opens the ports last.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

import docker
import docker.errors

from cachepilot.adapters.docker_client import engine_errors
from cachepilot.adapters.docker_inspect import Json

_JOIN = "container:"
_JOINED_IS_GONE = "No such container"
_HOST_MODES = frozenset({"", "default", "host", "none"})


def expect_networks(client: docker.APIClient, inspected: Json) -> None:
    """Say in *inspected* to what a resting container will be attached once it is started.

    Docker remembers a network by id, so one that was removed and made again is another one, and
    only a new container gets onto it.
    """
    attached: Json = inspected["NetworkSettings"].get("Networks") or {}
    if not attached and (home := _home(inspected)):
        attached = inspected["NetworkSettings"]["Networks"] = {home: {}}
    for name, endpoint in list(attached.items()):
        wanted = endpoint.get("NetworkID") or name
        try:
            with engine_errors(f"cannot look for network {name}"):
                client.inspect_network(wanted)
        except docker.errors.NotFound:
            del attached[name]


def start_container(client: docker.APIClient, name: str) -> None:
    """Start a container, or put one on its network that runs off it; fine where both is so.

    Raises:
        docker.errors.APIError: Docker refuses, as it would refuse a plain start.
    """
    found = client.inspect_container(name)
    container_id, home = found["Id"], _home(found)
    state, attached = found["State"], _attached(found)
    if state.get("Running"):
        if home and not (attached or state.get("Restarting") or state.get("Paused")):
            client.connect_container_to_network(container_id, home)
        else:
            client.start(container_id)
        return
    if home and attached <= {home} and _are_free(found):
        if attached:
            client.disconnect_container_from_network(container_id, home)
        client.start(container_id)
        try:
            client.connect_container_to_network(container_id, home)
        except docker.errors.APIError:
            # Nobody was in it yet, so it can be stopped again; a plain start says what is wrong,
            # and Docker remembers that of the container.
            client.stop(container_id)
            attached = _attached(client.inspect_container(container_id))
        else:
            return
    if home and not attached:
        client.connect_container_to_network(container_id, home)
    _start(client, container_id)


def _start(client: docker.APIClient, container_id: str) -> None:
    try:
        client.start(container_id)
    except docker.errors.APIError as error:
        # What a newer Docker takes for its own fault: the container is gone that this one was to
        # join.
        if _JOINED_IS_GONE in str(error.explanation):
            raise docker.errors.NotFound(str(error), explanation=error.explanation) from error
        raise


def _home(inspected: Json) -> str:
    """Return the name of the network that a container was made for; empty if it has none."""
    mode = str(inspected["HostConfig"].get("NetworkMode") or "")
    return "" if mode in _HOST_MODES or mode.startswith(_JOIN) else mode


def _attached(inspected: Json) -> set[str]:
    return set((inspected.get("NetworkSettings") or {}).get("Networks") or {})


def _are_free(inspected: Json) -> bool:
    """Return whether Docker will be able to open all ports, as far as one can tell.

    What is known to fail is started as ever: Docker then refuses before anything runs.
    """
    bindings: dict[str, Any] = inspected["HostConfig"].get("PortBindings") or {}
    return all(
        _is_free(binding.get("HostIp") or "", int(binding.get("HostPort") or 0))
        for many in bindings.values()
        for binding in many or ()
    )


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Without it, connections that have ended would keep the port for a minute.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        # A port that only root may open is Docker's to try.
        return error.errno == errno.EACCES
    return True
