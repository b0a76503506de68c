"""In which order Docker is asked to start a container; the contract asks a real engine."""

from __future__ import annotations

import socket

import docker.errors
import pytest

from cachepilot.adapters import docker_start
from cachepilot.adapters.docker_start import start_container


class Client:
    """Remembers one container and what is asked about it."""

    def __init__(self, *, attached=("br",), mode="br", port=0, refused=(), words="", **state):
        self.words = words
        self.attached, self.state, self.refused = set(attached), state, list(refused)
        self.host = {
            "NetworkMode": mode,
            "PortBindings": {"6380/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]},
        }
        self.asked = []

    def inspect_container(self, _):
        networks = {name: {} for name in self.attached}
        return {
            "Id": "c1",
            "State": self.state,
            "HostConfig": self.host,
            "NetworkSettings": {"Networks": networks},
        }

    def start(self, _):
        self._ask("start")
        self.state["Running"] = True

    def stop(self, _):
        self._ask("stop")
        self.state["Running"] = False

    def connect_container_to_network(self, _, network):
        self._ask("connect")
        self.attached.add(network)

    def disconnect_container_from_network(self, _, network):
        self._ask("disconnect")
        self.attached.remove(network)

    def _ask(self, what):
        self.asked.append(what)
        if what in self.refused:
            self.refused.remove(what)
            raise docker.errors.APIError(f"cannot {what}", explanation=self.words)


@pytest.fixture
def taken_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        # Its ports open last.
        ({}, ["disconnect", "start", "connect"]),
        # The daemon died before the start, and behind it.
        ({"attached": ()}, ["start", "connect"]),
        ({"attached": (), "Running": True}, ["connect"]),
        # Somebody else started it; nobody is cut off.
        ({"Running": True}, ["start"]),
        ({"Running": True, "Restarting": True, "attached": ()}, ["start"]),
        ({"Running": True, "Paused": True, "attached": ()}, ["start"]),
        # No network of its own, or one more that somebody gave it.
        ({"attached": (), "mode": "container:abc"}, ["start"]),
        ({"attached": (), "mode": "none"}, ["start"]),
        ({"attached": ("br", "other")}, ["start"]),
        ({"attached": ("other",)}, ["start"]),
    ],
)
def test_the_ports_open_last(given, asked):
    client = Client(**given)

    start_container(client, "cachepilot-acme")

    assert client.asked == asked


@pytest.mark.parametrize(("attached", "asked"), [(("br",), []), ((), ["connect"])])
def test_what_cannot_get_its_port_is_started_as_ever_so_that_docker_remembers_why(
    taken_port, attached, asked
):
    client = Client(attached=attached, port=taken_port, refused=["start"])

    with pytest.raises(docker.errors.APIError):
        start_container(client, "cachepilot-acme")

    assert client.asked == [*asked, "start"]


def test_a_port_that_only_root_may_open_is_docker_s_to_try(monkeypatch):
    def bind(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(docker_start.socket.socket, "bind", bind)
    client = Client(port=443)

    start_container(client, "cachepilot-acme")

    assert client.asked == ["disconnect", "start", "connect"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("joining network namespace of container: No such container: abc", docker.errors.NotFound),
        ("cannot join network of a non running container: abc", docker.errors.APIError),
    ],
)
def test_a_container_whose_network_went_with_another_is_told_from_one_that_waits(words, error):
    client = Client(attached=(), mode="container:abc", refused=["start"], words=words)

    with pytest.raises(docker.errors.APIError) as raised:
        start_container(client, "cachepilot-acme")

    assert type(raised.value) is error
    assert raised.value.explanation == words


def test_what_docker_does_not_put_on_its_network_does_not_run_on_without():
    client = Client(refused=["connect"])

    start_container(client, "cachepilot-acme")

    assert client.asked == ["disconnect", "start", "connect", "stop", "connect", "start"]
    assert client.state["Running"]
    assert client.attached == {"br"}


def test_a_start_that_docker_refuses_leaves_what_the_next_one_takes_up():
    client = Client(refused=["start"])

    with pytest.raises(docker.errors.APIError):
        start_container(client, "cachepilot-acme")
    start_container(client, "cachepilot-acme")

    assert client.asked == ["disconnect", "start", "start", "connect"]
