"""The quickstart does what the readme promises, in a copy of this checkout."""

import fcntl
import json
import os
import pty
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import redis

from tests.scenarios.host import clean_environment
from tests.scenarios.waiting import eventually

ENGINE = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
TENANTS = ("minimal", "durable")
# Not a guess about this machine: so soon a removed server is back, says the readme.
PROMISED = 5.0


@contextmanager
def alone():
    """The names of its tenants are fixed, so there is one quickstart at a time on an engine."""
    with (Path(tempfile.gettempdir()) / "cachepilot-quickstart-test").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def engine():
    with alone():
        client = docker.DockerClient(base_url=ENGINE)
        names = {container.name for container in client.containers.list(all=True)}
        if not names.isdisjoint(f"cachepilot-{name}" for name in TENANTS):
            pytest.skip("somebody's own quickstart runs on this engine")
        yield client
        client.close()


class Quickstart:
    """A copy of what the quickstart needs of a checkout."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("cachepilot", "examples"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(name, folder / name, ignore=ignore)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(name, folder)
        self.root = folder / ".quickstart/root"

    def run(self, *arguments):
        return self.shell(f"bash examples/quickstart.sh {' '.join(arguments)}")

    def shell(self, words):
        """Run *words* as a person does, whose shell has a terminal."""
        here, there = pty.openpty()
        try:
            ran = subprocess.run(
                ["bash", "-euc", words],
                stdin=there,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.folder,
                env=clean_environment() | {"DOCKER_HOST": ENGINE},
                timeout=240,
                check=False,
            )
        finally:
            os.close(here)
            os.close(there)
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    def ping(self, name):
        found = self.shell(f". .quickstart/env; cachepilotctl credentials {name} --reveal -o json")
        told = json.loads(found)
        with redis.Redis(
            port=told["tlsPort"],
            password=told["password"],
            ssl=True,
            ssl_ca_certs=str(self.root / "var/lib/cachepilot/public/ca.pem"),
            ssl_check_hostname=True,
        ) as client:
            return client.ping()

    def daemon(self):
        host = self.root / "run/cachepilot/status/host.json"
        return json.loads(host.read_text())["daemon"]["pid"]

    def made(self, engine):
        """Return everything of ours on the engine, with what changes when it is touched."""
        mine = {"label": f"io.cachepilot.root={self.root}"}
        containers = engine.containers.list(all=True, filters=mine)
        return {each.name: (each.id, each.attrs["State"]["StartedAt"]) for each in containers} | {
            each.name: each.id for each in engine.networks.list(filters=mine)
        }

    def written(self):
        """Return what a person may have edited, and when it was written."""
        files = (file for file in (self.root / "etc").rglob("*") if file.is_file())
        return {file: (file.read_text(), file.stat().st_mtime_ns) for file in files}


def is_alive(pid):
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="servers get user ids of their own: needs root")
def test_a_quickstart_serves_repairs_repeats_and_goes_without_a_trace(engine, tmp_path):
    """One test of everything, because it takes a virtualenv of its own."""
    images = {image.id for image in engine.images.list()}
    quickstart = Quickstart(tmp_path)
    try:
        shown = quickstart.run()
        for name in TENANTS:
            assert re.search(rf"^{name} +Ready ", shown, re.MULTILINE), shown

        steps = shown.partition("next:\n")[2].splitlines()
        ping = next(number for number, step in enumerate(steps) if step.endswith(" ping"))
        assert "redis-cli --tls --cacert" in steps[ping]
        assert quickstart.shell("\n".join(steps[: ping + 1])).split()[-1] == "PONG"

        engine.containers.get("cachepilot-minimal").remove(force=True)
        eventually(lambda: quickstart.ping("minimal"), timeout=PROMISED)

        daemon, made, written = quickstart.daemon(), quickstart.made(engine), quickstart.written()
        quickstart.run()
        assert quickstart.daemon() == daemon
        assert quickstart.made(engine) == made
        assert quickstart.written() == written
    finally:
        quickstart.run("down")
    assert not is_alive(daemon)
    assert quickstart.made(engine) == {}
    assert {image.id for image in engine.images.list()} == images
    assert not (tmp_path / ".quickstart").exists()
