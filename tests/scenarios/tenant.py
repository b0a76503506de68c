"""One tenant as people around it see it: its file, its status, its clients, its container."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.scenarios.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from docker.models.containers import Container

    from tests.scenarios.host import Host

Json = dict[str, Any]

# Every write carries its number as an annotation, and the status repeats it: so a scenario knows
# that what it reads was said about the text it wrote.
ROLE = "io.cachepilot.role"
_WRITE = "scenario/write"
# A refused password is a refused password, the first time.
_ONCE = Retry(NoBackoff(), 0)
SETTLED = ("Ready", "Stopped", "Deleted", "Paused")


class Tenant:
    """A handle; nothing exists until something is written."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.path = host.tenants_d / f"{name}.yaml"
        self.spec: Json = {}
        self._writes = 0

    # Its file ---------------------------------------------------------------------------------

    def write(self, spec: Json | None = None) -> Tenant:
        """Replace the whole document."""
        self.spec = spec or {}
        self.host.put(self.path, self.document())
        return self

    def edit(self, changes: Json) -> Tenant:
        """Merge *changes* into the document; None takes a field out."""
        self.host.put(self.path, self.edited(changes))
        return self

    def edited(self, changes: Json) -> str:
        """Return the document with *changes* in it, which is yet to be written."""
        self.spec = _merged(self.spec, changes)
        return self.document()

    def document(self) -> str:
        self._writes += 1
        return document(self.name, self.spec, {_WRITE: str(self._writes)})

    def forget_writes(self) -> None:
        """The file was written by others: any status will do from now on."""
        self._writes = 0

    # Its status -------------------------------------------------------------------------------

    def status(self) -> Json:
        return self.host.published(self.name)

    @property
    def word(self) -> str:
        return str(self.status()["status"]["word"])

    def condition(self, kind: str) -> Json:
        """Return one condition; without it, one whose status is Absent."""
        conditions = self.status()["status"]["conditions"]
        absent = {"type": kind, "status": "Absent", "reason": "", "message": ""}
        return next((each for each in conditions if each["type"] == kind), absent)

    def stalled(self, reason: str, *, timeout: float = PATIENCE) -> Json:
        """Wait until the tenant is stalled for *reason*; return the condition."""

        def check() -> Json | None:
            found = self.condition("Stalled")
            assert (found["status"], found["reason"]) == ("True", reason), self.summary()
            return found

        found: Json = eventually(check, timeout=timeout)
        return found

    def settle(self, word: str = "Ready", *, timeout: float = PATIENCE) -> Tenant:
        """Wait until the status says *word* about the newest text and nothing is left to do."""

        def check() -> bool:
            found = self.status()
            about = found["metadata"]["annotations"].get(_WRITE, "0")
            assert not self._writes or about == str(self._writes), self.summary()
            assert found["status"]["word"] == word, self.summary()
            return not found["status"]["plan"] or word not in SETTLED

        eventually(check, timeout=timeout)
        return self

    def port(self, listener: str = "tls") -> int:
        endpoints = self.status()["status"]["endpoints"]
        return int(next(each["port"] for each in endpoints if each["listener"] == listener))

    def summary(self) -> str:
        status = self.status()["status"]
        lines = [
            f"{c['type']}={c['status']} {c['reason']}: {c['message']}"
            for c in status["conditions"]
        ]
        return "\n  ".join([f"{self.name} is {status['word']}", *lines, *status["plan"]])

    # Its clients ------------------------------------------------------------------------------

    def password(self, user: str = "default") -> str:
        """Return the documented password of *user*, straight from the record."""
        kept = self.record()["credentials"]
        found = [c for c in kept if c["user"] == user and not c["pending"]]
        return str(found[0]["password"])

    @contextmanager
    def client(
        self, listener: str = "tls", *, host: str = "127.0.0.1", **options: Any
    ) -> Iterator[redis.Redis]:
        """A customer's connection; over TLS it verifies chain and name."""
        options.setdefault("password", self.password())
        if listener == "tls":
            ca = str(self.host.public_ca)
            options = {"ssl": True, "ssl_ca_certs": ca, "ssl_check_hostname": True} | options
        with redis.Redis(
            host=host,
            port=self.port(listener),
            decode_responses=True,
            retry=_ONCE,
            **{"socket_timeout": 5, **options},
        ) as connection:
            yield connection

    @contextmanager
    def admin(self, instance: int | None = None) -> Iterator[redis.Redis]:
        """What somebody with root can do: the daemon's own user over the management socket.

        Args:
            instance: Which server, if not the one that serves.
        """
        number = instance or self.record()["memory"]["instance"]
        folder = os.open(self.folder / f"run/{number}", os.O_PATH)
        try:
            with redis.Redis(
                unix_socket_path=f"/proc/self/fd/{folder}/redis.sock",
                username="cachepilot",
                password=self.password("cachepilot"),
                decode_responses=True,
                retry=_ONCE,
            ) as connection:
                yield connection
        finally:
            os.close(folder)

    @property
    def listener(self) -> str:
        """The listener a client would choose."""
        endpoints = self.status()["status"]["endpoints"]
        assert endpoints, self.summary()
        return str(endpoints[0]["listener"])

    def put(self, **pairs: str) -> Tenant:
        with self.client(self.listener) as client:
            client.mset(pairs)
        return self

    def get(self, key: str) -> str | None:
        with self.client(self.listener) as client:
            return client.get(key)

    def run_id(self) -> str:
        """Return what changes whenever the server process does."""
        with self.client(self.listener) as client:
            return str(client.info("server")["run_id"])

    def config(self, directive: str) -> str:
        with self.admin() as admin:
            return str(admin.config_get(directive)[directive])

    # Its container and folders ----------------------------------------------------------------

    @property
    def folder(self) -> Path:
        return self.host.state / "tenants" / self.name

    @property
    def data(self) -> Path:
        return self.folder / f"data/{self.record()['memory']['instance']}"

    def record(self) -> Json:
        found: Json = json.loads((self.folder / "record.json").read_text())
        return found

    def containers(self) -> list[Container]:
        return self.host.containers(self.name)

    def container(self) -> Container:
        """Return the one container with a server in it."""
        found = [each for each in self.containers() if each.labels[ROLE] != "sandbox"]
        assert len(found) == 1, f"{self.name} has {len(found)} containers"
        return found[0]

    def sandbox(self) -> Container:
        """Return the container that owns the network of a tenant in a sandbox."""
        (found,) = (each for each in self.containers() if each.labels[ROLE] == "sandbox")
        return found

    def inspect(self) -> Json:
        return dict(self.container().attrs)

    def is_running(self) -> bool:
        try:
            state = self.inspect()["State"]
        except (docker.errors.NotFound, AssertionError):
            return False
        return bool(state["Running"] and not state["Paused"] and not state["Restarting"])


def document(name: str, spec: Json, annotations: dict[str, str] | None = None) -> str:
    """Return a tenant's document; JSON is YAML too."""
    metadata: Json = {"name": name} | ({"annotations": annotations} if annotations else {})
    whole = {"apiVersion": "cachepilot/v1", "kind": "Tenant", "metadata": metadata, "spec": spec}
    return json.dumps(whole, indent=1) + "\n"


def _merged(base: Json, changes: Json) -> Json:
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merged(merged.get(key, {}), value)
        else:
            merged[key] = value
    return merged
