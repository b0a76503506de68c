"""A thousand tenants of which only engine and servers are imagined.

Files, records, certificates, ledger and published statuses are real and lie below a real root;
the containers and the servers inside them are those of :mod:`tests.fakes`, which read the real
files when they start.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from cachepilot import clock
from cachepilot.adapters.paths import RootPaths
from cachepilot.daemon.logging import configure
from cachepilot.daemon.main import prepare
from cachepilot.reconcile import Terms, reconcile
from cachepilot.settings import Settings, load_settings
from cachepilot.spec.document import TenantName
from cachepilot.wiring import Parts, build, terms_of
from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Stopwatch
from tests.fakes.engine import FakeContainers, FakeContainerWriter
from tests.fakes.readers import FakeEndpoints, FakeServers
from tests.fakes.world import Disk, FakeWorld
from tests.fakes.writers import FakeServerWriter

# Nobody listens there; a thousand tenants need more ports than the real ones have.
PORTS = {"tls": {"first": 40_000, "last": 43_999}, "plain": {"first": 44_000, "last": 47_999}}
_WORLD = "world.pickle"
_MEASURED = 50
_SURVIVES = ("containers", "servers", "served", "engine", "kept", "networks", "starts")


class World(FakeWorld):
    """The imagined engine, which takes what it needs to know from the real files."""

    def use(self, parts: Parts) -> None:
        self._parts = parts
        self.now = clock.utc_now()

    def memory(self, name):
        return self._parts.records.recall(name)

    def disk(self, name, instance=None):
        memory, paths = self.memory(name), self._parts.paths
        memory = memory if instance is None else replace(memory, instance=instance)
        seen = self._parts.world.readers.files.look(name, memory, password_files=())
        file = paths.conf(name, memory.instance) / "redis.conf"
        return Disk(
            folders=seen.folders_ready,
            tls=paths.tls(name).is_dir(),
            marker=seen.data_marker,
            configuration=file.read_text() if seen.configuration else None,
            users=seen.users,
        )

    def served_leaf(self, name):
        leaf = self._leaf(name)
        return leaf if leaf and leaf.fingerprint == self.served.get(name) else None

    def serve_certificate(self, name):
        leaf = self._leaf(name)
        self.served[name] = leaf.fingerprint if leaf else ""

    def _leaf(self, name):
        revision = self.memory(name).certificate
        return self._parts.world.readers.certificates.leaf(name, revision)

    @property
    def authority(self):
        return self._parts.authority.look()

    @authority.setter
    def authority(self, value):
        """There is one already; what the fake begins with does not matter."""


class CountedContainers(FakeContainers):
    """Counts how often each tenant's containers are looked at."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.asked: Counter[str] = Counter()

    def find(self, tenant_name):
        self.asked[tenant_name] += 1
        return super().find(tenant_name)


class Nobody:
    """An onlooker who is not there."""

    def before(self, action):
        """Ignore what is about to happen."""

    def after(self, outcome):
        """Ignore what happened."""


class QuietStream:
    """Events of an engine on which nothing happens."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[dict[str, object]]:
        self._closed.wait()
        return iter(())

    def close(self) -> None:
        self._closed.set()


class QuietEngine:
    """Stands for the clients of the engine; only its events are asked for."""

    def separate(self) -> QuietEngine:
        return self

    def events(self, **_: object) -> QuietStream:
        return QuietStream()

    def close(self) -> None:
        """Close nothing."""


def assemble(root: Path) -> tuple[Parts, World, Settings, threading.Event]:
    """Return the product's own parts with engine and servers replaced."""
    paths, stopping = RootPaths(root), threading.Event()
    settings = load_settings(paths.settings_file)
    parts = build(paths, settings, stopping=stopping)
    world = World()
    world.use(parts)
    saved = root / _WORLD
    if saved.exists():
        for name, value in pickle.loads(saved.read_bytes()).items():
            setattr(world, name, value)
    readers = replace(
        parts.world.readers,
        containers=CountedContainers(world),
        server=FakeServers(world),
        endpoints=FakeEndpoints(world),
    )
    writers = replace(
        parts.world.writers, containers=FakeContainerWriter(world), server=FakeServerWriter(world)
    )
    parts = replace(
        parts,
        world=replace(parts.world, readers=readers, writers=writers),
        clients=QuietEngine(),
    )
    return parts, world, settings, stopping


def populate(ground: Ground, tenants: int) -> Stopwatch:
    """Let *tenants* be born, one visit each; return what the first visits took."""
    ground.write_settings(
        ports=PORTS,
        defaults={"engine": {"image": "redis:8.0"}, "memory": {"max": "16MiB"}},
        docker={"socket": "unix:///nowhere"},
    )
    prepare(RootPaths(ground.root))
    for number in range(tenants):
        ground.save(ground.stage(f"bench-{number:04}"))
    parts, world, settings, _ = assemble(ground.root)
    parts.brake.refresh(clock.utc_now())
    terms, watch = terms_of(settings), Stopwatch()
    names = sorted(parts.files.names())
    for name in names[:_MEASURED]:
        with watch.lap():
            _bear(name, parts, terms)
    # The others need only be there: what a power cut would do to them does not matter.
    with patch("os.fsync"):
        for name in names[_MEASURED:]:
            _bear(name, parts, terms)
    save(world, ground.root)
    return watch


def save(world: World, root: Path) -> None:
    """Keep the imagined engine for the next process."""
    state = {name: getattr(world, name) for name in _SURVIVES}
    (root / _WORLD).write_bytes(pickle.dumps(state))


def _bear(name: TenantName, parts: Parts, terms: Terms) -> None:
    status = reconcile(name, parts.world, terms, onlooker=Nobody()).status
    if status.word != "Ready":
        why = "; ".join(f"{found.type}: {found.message}" for found in status.conditions)
        raise RuntimeError(f"{name} is {status.word}: {why}")


class Fleets:
    """Fleets of imagined tenants, each made once a run."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Ground, Stopwatch]] = {}

    def get(self, tenants: int) -> tuple[Ground, Stopwatch]:
        """Return a root with *tenants* that are Ready, and what their births took."""
        if tenants not in self._made:
            ground = Ground("")
            try:
                self._made[tenants] = ground, populate(ground, tenants)
            except BaseException:
                ground.close()
                raise
        return self._made[tenants]

    def close(self) -> None:
        for ground, _ in self._made.values():
            ground.close()
        self._made.clear()


FLEETS = Fleets()


def quiet_log():
    """Return the daemon's logger with everything but errors left out."""
    return configure("error", sys.stderr)
