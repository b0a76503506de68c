"""Answers of an engine that only come about while something else happens to a container."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import SimpleNamespace

import docker.errors
import pytest

from cachepilot.adapters.labels import DIGEST, ROLE, ROOT, TENANT
from cachepilot.adapters.paths import RootPaths
from cachepilot.errors import UnavailableError, WaitingError
from cachepilot.settings import load_settings
from cachepilot.wiring import build


class Refusing:
    """Has one dead container and refuses to remove it."""

    def __init__(self, words, root):
        self.words = words
        self.labels = {TENANT: "acme", ROLE: "server", ROOT: root, DIGEST: "v1-1"}

    def inspect_container(self, reference):
        return {
            "Id": reference,
            "Name": "/cachepilot-acme",
            "State": {"Dead": True, "Status": "removing"},
            "Config": {"Labels": self.labels, "Image": "redis:7.0"},
            "HostConfig": {},
            "NetworkSettings": {},
        }

    def remove_container(self, reference, **_options):
        response = SimpleNamespace(status_code=409, url="", reason="Conflict")
        raise docker.errors.APIError("409", response=response, explanation=self.words)

    def kill(self, reference, **_options):
        raise docker.errors.NotFound(self.words)

    stop = kill


def remove(words, tmp_path):
    engine_that_refuses(words, tmp_path).remove("acme", container_id="c1", digest="v1-1")


def engine_that_refuses(words, tmp_path):
    paths = RootPaths(tmp_path)
    parts = build(paths, load_settings(paths.settings_file), stopping=threading.Event())
    parts.clients.get = lambda: Refusing(words, str(tmp_path))
    return parts.world.writers.containers


@pytest.mark.parametrize("kills", [True, False])
def test_a_container_that_somebody_else_removed_while_it_was_to_be_stopped_is_gone(
    tmp_path, kills
):
    engine = engine_that_refuses("no such container", tmp_path)

    with pytest.raises(WaitingError, match="somebody else removed it"):
        engine.stop("acme", container_id="c1", timeout=timedelta(seconds=5), kills=kills)


def test_a_container_that_somebody_else_removes_at_this_moment_is_waited_for(tmp_path):
    with pytest.raises(WaitingError, match="is being removed"):
        remove("removal of container c1 is already in progress", tmp_path)


def test_any_other_refusal_to_remove_is_a_failure(tmp_path):
    with pytest.raises(UnavailableError, match="device or resource busy"):
        remove("device or resource busy", tmp_path)
