"""A root of its own for each test, a clock that only moves when asked, and a hand on the verbs."""

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from click.testing import CliRunner

from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.cli.invocation import Surroundings
from cachepilot.cli.main import main
from cachepilot.settings import load_settings
from cachepilot.spec.parse import parse
from cachepilot.spec.rules import Rules

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Ended:
    """How a verb ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def items(self):
        return self.json["items"]


@dataclass
class Host:
    """One root, and the clock that verbs see."""

    paths: RootPaths
    now: datetime = NOON
    passed: float = 0.0
    meanwhile: list = field(default_factory=list)

    def run(self, *args, stdin=None, env=None):
        """Run a verb in this process."""
        surroundings = Surroundings(
            now=lambda: self.now + timedelta(seconds=self.passed),
            monotonic=lambda: self.passed,
            pause=self._pause,
        )
        result = CliRunner().invoke(
            main,
            ["--root", str(self.paths.root), *map(str, args)],
            input=stdin,
            env={"NO_COLOR": None, "FORCE_COLOR": None, **(env or {})},
            obj=surroundings,
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    def _pause(self, seconds):
        """Let the world do its next thing instead of waiting."""
        self.passed += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def write(self, file, text):
        """Put a file into the folder of tenants."""
        path = self.paths.tenants_d / file
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, file):
        return (self.paths.tenants_d / file).read_bytes()

    def files(self):
        return {path.name: path.read_bytes() for path in self.paths.tenants_d.iterdir()}

    @property
    def settings_digest(self):
        return load_settings(self.paths.settings_file).digest

    def publish(self, name="acme", /, word="Ready", *, digest="", at=NOON, **changes):
        """Publish a status as the daemon would; a condition is True, False or a whole one."""
        content = published(name, word, digest=digest, settings=self.settings_digest)
        for key, value in changes.items():
            part = content[key] if isinstance(content.get(key), dict) else content["status"]
            part.update(value) if key in content else part.__setitem__(key, value)
        path = self.paths.tenant_status(name)
        path.write_text(json.dumps(content))
        os.utime(path, (at.timestamp(), at.timestamp()))
        return content

    def beat(self, at=NOON, **facts):
        """Let the daemon give a sign of life, and say *facts* about the host."""
        content = {
            "apiVersion": "cachepilot/v1",
            "kind": "Host",
            "daemon": {"pid": 1, "version": "0.1.0", "heartbeatAt": at.isoformat()},
            **facts,
        }
        self.paths.host_status.write_text(json.dumps(content))

    def digest_of(self, name):
        """Return the fingerprint of a document as it is in the folder."""
        return parse(SpecFolder(self.paths.tenants_d).get(name).tree, Rules()).digest


def published(name, word, *, digest, settings):
    """Return what the daemon publishes about one tenant."""
    ready = {"Ready": "True"}.get(word, "False")
    return {
        "apiVersion": "cachepilot/v1",
        "kind": "Tenant",
        "metadata": {
            "name": name,
            "labels": {},
            "annotations": {},
            "source": f"/etc/cachepilot/tenants.d/{name}.yaml",
        },
        "spec": {
            "state": "running",
            "paused": False,
            "engine": {"image": "redis:8.0", "config": {"hz": "2"}},
            "memory": {"max": 64 * 2**20, "limit": 96 * 2**20, "policy": "allkeys-lru"},
            "cpus": None,
            "persistence": {"mode": "none"},
            "access": {
                "mode": "tls-only",
                "ports": {"tls": None, "plain": None},
                "bind": ["127.0.0.1"],
            },
            "tls": {
                "names": ["127.0.0.1", "localhost"],
                "lifetime": "90d",
                "renewBefore": "30d",
            },
            "auth": {"passwordFile": None},
            "restartedAt": None,
        },
        "status": {
            "word": word,
            "generation": 1,
            "observedGeneration": 1,
            "observedDigest": digest,
            "settingsDigest": settings,
            "observedAt": NOON.isoformat(),
            "conditions": [
                {
                    "type": "Ready",
                    "status": ready,
                    "reason": "Serving" if ready == "True" else "Elsewhere",
                    "message": "a sentence about it",
                    "lastTransitionTime": (NOON - timedelta(hours=3)).isoformat(),
                }
            ],
            "endpoints": [{"listener": "tls", "host": "127.0.0.1", "port": 7300}],
            "problems": [],
            "plan": [],
        },
        "snapshot": None,
    }


def document(name="acme", body="spec: {}\n"):
    """Return the text of a document."""
    return f"apiVersion: cachepilot/v1\nkind: Tenant\nmetadata:\n  name: {name}\n{body}"
