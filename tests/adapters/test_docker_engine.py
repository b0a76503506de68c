"""Answers of an engine that only come about while something else happens to a container."""

from __future__ import annotations

from types import SimpleNamespace

import docker.errors
import pytest

from cachepilot.adapters.docker_engine import DockerEngine
from cachepilot.adapters.labels import DIGEST, ROLE, ROOT, TENANT
from cachepilot.errors import UnavailableError, WaitingError

LABELS = {TENANT: "acme", ROLE: "server", ROOT: "/", DIGEST: "v1-1"}


class Refusing:
    """Has one dead container and refuses to remove it."""

    def __init__(self, words):
        self.words = words

    def inspect_container(self, reference):
        return {
            "Id": reference,
            "Name": "/cachepilot-acme",
            "State": {"Dead": True, "Status": "removing"},
            "Config": {"Labels": LABELS, "Image": "redis:7.0"},
            "HostConfig": {},
            "NetworkSettings": {},
        }

    def remove_container(self, reference, **_options):
        response = SimpleNamespace(status_code=409, url="", reason="Conflict")
        raise docker.errors.APIError("409", response=response, explanation=self.words)


def remove(words, tmp_path):
    engine = DockerEngine(
        SimpleNamespace(get=lambda: Refusing(words)),
        root="/",
        folder_of=lambda _name: tmp_path,
        check_data=lambda _name, _instance: None,
        run_folder=lambda _name, _instance: tmp_path,
        monotonic=lambda: 0.0,
    )
    engine.remove("acme", container_id="c1", digest="v1-1")


def test_a_container_that_somebody_else_removes_at_this_moment_is_waited_for(tmp_path):
    with pytest.raises(WaitingError, match="is being removed"):
        remove("removal of container c1 is already in progress", tmp_path)


def test_any_other_refusal_to_remove_is_a_failure(tmp_path):
    with pytest.raises(UnavailableError, match="device or resource busy"):
        remove("device or resource busy", tmp_path)
