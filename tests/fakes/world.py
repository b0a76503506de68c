"""A world in memory: containers, files, certificates, records and servers with data.

It answers and obeys through the very ports that the real adapters implement; the contract suite
holds its containers against a real engine. Its servers load and save a single number, which is
enough to tell whether data was kept, lost or taken from the wrong file.

Whatever belongs to the server in charge is kept under the tenant's name. A sandbox, a successor
and a predecessor have a word behind it, as in ``acme.successor``; see :meth:`FakeWorld.key`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import (
    JOINED,
    Liveness,
    Role,
    SeenAuthority,
    SeenCertificate,
    SeenClients,
    SeenContainer,
    Unreachable,
)
from cachepilot.plan.server_config import FENCE
from cachepilot.spec.document import TenantName
from tests.fakes.engine import FakeEngine, instance_of
from tests.fakes.naming import sandbox_of, tenant_of
from tests.fakes.texts import parse_configuration, parse_users

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EMPTY = 0


@dataclass
class Disk:
    """What lies in the folders of one instance; None where there is nothing."""

    folders: bool = False
    tls: bool = False
    marker: bool = False
    configuration: str | None = None
    users: str | None = None
    dump: int | None = None
    append_only: int | None = None
    writable: bool = True


@dataclass
class Server:
    """A running process: its directives, users and data.

    A user is (enabled, passwords, keys, channels, commands). Clients have tickets for whatever
    mode it asked for certificates in since it read its files last.
    """

    directives: dict[str, str]
    users: dict[str, tuple[bool, tuple[str, ...], str, str, str]]
    data: int
    run_id: str
    writes_paused: bool = False
    crowded: bool = False
    script: str = ""
    hangs: bool = False
    socket: bool = True
    instance: int = 1
    tickets: set[str] = field(default_factory=set)

    def ask_clients(self, *, anew: bool) -> None:
        """Let clients come and get tickets; those from before are void if it begins *anew*."""
        if anew:
            self.tickets.clear()
        self.tickets.add(self.directives.get("tls-auth-clients", "no"))

    # Under which key its leader is kept while it replicates, and which run of it knows of the
    # password; whether it could log in there again.
    leader: TenantName | None = None
    leader_run: str = ""
    has_link_password: bool = False
    # Whether clients that connected to it are still connected, so that a closed port does not
    # keep them out.
    has_clients: bool = False
    pause_ends: bool = False
    # Whether the append-only file holds everything, or is still in the making.
    log_is_whole: bool = True

    @property
    def saves_at_its_end(self) -> bool:
        """Whether it saves when it is told to end."""
        asked = self.directives.get("shutdown-on-sigterm") == "save"
        return asked or self.directives["save"] != ""

    @property
    def takes_writes(self) -> bool:
        """Whether it says yes to a write."""
        is_fenced = self.directives.get(FENCE, "0") != "0"
        return not (self.writes_paused or is_fenced or self.leader)


@dataclass
class FakeWorld:
    """Everything outside, for any number of tenants."""

    now: datetime = NOON
    memories: dict[TenantName, Memory] = field(default_factory=dict)
    disks: dict[tuple[TenantName, int], Disk] = field(default_factory=dict)
    leaves: dict[TenantName, dict[int, SeenCertificate]] = field(default_factory=dict)
    clients: dict[TenantName, SeenClients] = field(default_factory=dict)
    authority: SeenAuthority = field(default_factory=lambda: SeenAuthority(exists=False))
    containers: dict[TenantName, SeenContainer] = field(default_factory=dict)
    servers: dict[TenantName, Server] = field(default_factory=dict)
    served: dict[TenantName, str] = field(default_factory=dict)
    engine: FakeEngine = field(default_factory=FakeEngine)
    kept: dict[TenantName, str] = field(default_factory=dict)
    namespaces: dict[TenantName, str] = field(default_factory=dict)
    password_files: dict[str, str] = field(default_factory=dict)
    adopted: dict[tuple[TenantName, str, int], str] = field(default_factory=dict)
    unknown_rules: dict[str, set[str]] = field(default_factory=dict)
    memory_available: int | None = None
    images: set[str] = field(default_factory=lambda: {"redis:8.0"})
    broken: set[str] = field(default_factory=set)
    lying: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    listening: set[int] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    engine_up: bool = True
    effects: int = 0
    starts: int = 0

    def tick(self, span: timedelta = timedelta(milliseconds=10)) -> datetime:
        """Let time pass, so that nothing happens at the same moment twice."""
        self.now += span
        return self.now

    def memory(self, name: TenantName) -> Memory:
        """Return what is remembered of a tenant."""
        return self.memories.get(name, Memory())

    def key(self, name: TenantName, instance: int) -> TenantName:
        """Return under which name everything of one instance is kept."""
        serving = self.memory(name).instance
        behind = ".successor" if instance > serving else ".old" if instance < serving else ""
        return TenantName(name + behind)

    def disk(self, name: TenantName, instance: int | None = None) -> Disk:
        """Return the folders of a tenant's instance, by default of the one in charge."""
        name = tenant_of(name)
        instance = self.memory(name).instance if instance is None else instance
        return self.disks.setdefault((name, instance), Disk())

    def boot(self, name: TenantName) -> None:
        """Start the process of a container; a server loads data as a real one does."""
        container = self.containers[name]
        if container.role is Role.SANDBOX and container.shape.image in self.broken:
            self.end(name, exit_code=1, liveness=Liveness.RESTARTING)
            return
        if container.role is Role.SANDBOX:
            self.namespaces[name] = f"net{self.effects}-{self.tick()}"
        else:
            if container.shape.bridge == JOINED:
                self.namespaces[name] = self.namespaces[sandbox_of(name)]
            self._load(name)
            if name not in self.servers:
                return
        self.containers[name] = replace(
            container, liveness=Liveness.RUNNING, started_at=self.tick(), exit_code=0, error=""
        )
        if name in self.servers:
            self.serve_certificate(name)

    def _load(self, name: TenantName) -> None:
        instance = instance_of(self.containers[name])
        disk, self.starts = self.disk(name, instance), self.starts + 1
        if self.containers[name].shape.image in self.broken:
            self.containers[name] = replace(
                self.containers[name],
                liveness=Liveness.RESTARTING,
                exit_code=1,
                started_at=self.tick(),
                last_words="Fatal error loading the DB, check server logs. Exiting.",
            )
            return
        assert disk.configuration is not None, "a server without redis.conf does not start"
        assert disk.users is not None, "a server without users.acl would be open to anybody"
        for user, (*_, commands) in parse_users(disk.users).items():
            unknown = self.refuses(self.containers[name].shape.image, commands)
            assert not unknown, f"a server that does not know {unknown} of {user} does not start"
        directives = {"activedefrag": "no"} | parse_configuration(disk.configuration)
        if directives["appendonly"] == "yes":
            # Never falls back to a dump: an append-only server without its file starts empty.
            data = disk.append_only if disk.append_only is not None else EMPTY
            disk.append_only = data
        else:
            data = disk.dump if disk.dump is not None else EMPTY
        if self.containers[name].shape.image in self.lying:
            data = EMPTY
        if self.is_port_taken(name, directives):
            is_left = self.containers[name].resources.restart == "no"
            self.end(
                name, exit_code=1, liveness=Liveness.EXITED if is_left else Liveness.RESTARTING
            )
            return
        self.servers[name] = Server(
            directives=directives,
            users=parse_users(disk.users),
            data=data,
            run_id=f"run{self.starts}",
            instance=instance,
        )
        container = self.containers[name]
        self.containers[name] = replace(
            container, liveness=Liveness.RUNNING, started_at=self.tick(), exit_code=0, error=""
        )
        self.serve_certificate(name)
        self.servers[name].ask_clients(anew=True)

    def connect(self, name: TenantName, instance: int | None = None) -> Server | Unreachable:
        """Be the daemon at the management socket: keep one connection, or make a new one."""
        server = self.servers.get(name)
        if server is not None and instance not in (None, server.instance):
            return Unreachable("its management socket is missing")
        if server is None:
            self.kept.pop(name, None)
            return Unreachable("its management socket does not answer")
        if not self.is_answering(name):
            return Unreachable("it does not answer in time")
        if server.hangs:
            return Unreachable("it does not answer in time", silent=True)
        if server.script:
            return Unreachable("BUSY it is running a script", busy=True)
        if self.kept.get(name) == server.run_id:
            return server
        if not server.socket:
            return Unreachable("its management socket is missing")
        if server.crowded:
            return Unreachable("max number of clients reached", saturated=True)
        credential = self.memory(tenant_of(name)).credential("cachepilot")
        enabled, passwords, *_ = server.users.get("cachepilot", (False, ()))
        if not (enabled and credential and str(credential.revision) in passwords):
            return Unreachable("it refuses the daemon's password")
        self.kept[name] = server.run_id
        return server

    def served_leaf(self, name: TenantName) -> SeenCertificate | None:
        """Return the leaf that the server has loaded."""
        leaves = self.leaves.get(tenant_of(name), {}).values()
        return next((leaf for leaf in leaves if leaf.fingerprint == self.served.get(name)), None)

    def serve_certificate(self, name: TenantName) -> None:
        """Let the server read its certificate files again."""
        path = self.servers[name].directives.get("tls-cert-file", "")
        revision = int(path.split("/")[2]) if path else 0
        leaf = self.leaves.get(tenant_of(name), {}).get(revision)
        self.served[name] = leaf.fingerprint if leaf else ""

    def shut_down(self, name: TenantName) -> None:
        """End the process as SIGTERM does: it saves where it has save points."""
        is_deaf, server = not self.can_end(name), self.servers.pop(name)
        if is_deaf:
            self.end(name, exit_code=137)
            return
        if server.saves_at_its_end:
            self.disk(name, server.instance).dump = server.data
        self.end(name, exit_code=0)

    def can_end(self, name: TenantName) -> bool:
        """Return whether a server hears SIGTERM, and can save where it has to."""
        server = self.servers[name]
        hears = not (server.script or server.hangs)
        can_save = self.disk(name, server.instance).writable or not server.saves_at_its_end
        return hears and can_save

    def kill(self, name: TenantName) -> None:
        """End the process as SIGKILL does."""
        self.servers.pop(name, None)
        self.end(name, exit_code=137)

    def end(
        self, name: TenantName, *, exit_code: int, liveness: Liveness = Liveness.EXITED
    ) -> None:
        """Leave an exited container behind."""
        self.containers[name] = replace(
            self.containers[name],
            liveness=liveness,
            exit_code=exit_code,
            finished_at=self.now,
        )

    def crown(self, name: TenantName) -> None:
        """Keep the successor's things under the tenant's name, and the old one's behind it."""
        kept: tuple[dict[TenantName, Any], ...] = (
            self.containers,
            self.servers,
            self.served,
            self.kept,
            self.namespaces,
        )
        old, new = TenantName(f"{name}.old"), TenantName(f"{name}.successor")
        for things in kept:
            for source, target in ((name, old), (new, name)):
                things.pop(target, None)
                if source in things:
                    things[target] = things.pop(source)

    def open_ports(self, name: TenantName) -> set[str]:
        """Return the ports on which a server listens."""
        directives = self.servers[name].directives
        return {directives.get("port", "0"), directives.get("tls-port", "0")} - {"0"}

    def is_port_taken(self, name: TenantName, directives: dict[str, str]) -> bool:
        """Return whether another server in the same namespace has a port of *directives*."""
        mine = {directives.get("port", "0"), directives.get("tls-port", "0")} - {"0"}
        net = self.namespaces.get(name)
        return net is not None and any(
            self.namespaces.get(other) == net and mine & self.open_ports(other)
            for other in self.servers
            if other != name
        )

    def vanish(self, name: TenantName) -> None:
        """Remove a container by hand, running or not."""
        self.servers.pop(name, None)
        del self.engine.names[self.containers.pop(name).name]

    def freeze(self, name: TenantName) -> None:
        """Pause a container by hand; its process is there but answers nobody."""
        self.containers[name] = replace(self.containers[name], liveness=Liveness.PAUSED)

    def crash_loop(self, name: TenantName) -> None:
        """Let the process die again and again; Docker starts it after longer and longer pauses."""
        self.kill(name)
        self.containers[name] = replace(
            self.containers[name], liveness=Liveness.RESTARTING, exit_code=1
        )

    def rename(self, name: TenantName, to: str) -> None:
        """Rename a container by hand."""
        seen = self.containers[name]
        del self.engine.names[seen.name]
        self.engine.names[to] = seen.container_id
        self.containers[name] = replace(seen, name=to)

    def refuses(self, image: str, commands: str) -> str:
        """Return which of some rules the server of an image does not know, or empty."""
        return " ".join(sorted(self.unknown_rules.get(image, set()) & set(commands.split())))

    def is_reached(self, name: TenantName) -> bool:
        """Return whether what dials the tenant's ports gets into the namespace of a server."""
        container = self.containers[name]
        if container.shape.bridge != JOINED:
            return container.shape.bridge != ""
        sandbox = sandbox_of(name)
        found = self.containers.get(sandbox)
        is_up = found is not None and found.liveness is Liveness.RUNNING and found.shape.bridge
        return bool(is_up) and self.namespaces.get(name) == self.namespaces[sandbox]

    def is_answering(self, name: TenantName) -> bool:
        """Return whether a process is there that can answer."""
        running = self.containers[name].liveness is Liveness.RUNNING
        return name in self.servers and running

    def write(self, name: TenantName, data: int) -> bool:
        """Be clients that write, wherever they are or can get; return whether any was told yes."""
        keys = [key for key in self.servers if tenant_of(key) == name and self.is_answering(key)]
        for key in keys:
            self.servers[key].has_clients |= self.admits(key)
        # Each of them, also behind one who was told yes.
        return sum(self.write_early(key, data) for key in keys) > 0

    def write_early(self, key: TenantName, data: int) -> bool:
        """Be clients that are connected to one server; return whether they are told yes."""
        server = self.servers[key]
        is_taken = server.has_clients and server.takes_writes
        if is_taken:
            self._take(key, data)
        return is_taken

    def write_late(self, name: TenantName, data: int) -> bool:
        """Be clients that come now; return whether they are told yes."""
        keys = [key for key in self.servers if tenant_of(key) == name and self.admits(key)]
        taken = [key for key in keys if self.servers[key].takes_writes]
        for key in taken:
            self._take(key, data)
        return bool(taken)

    def is_linked(self, server: Server) -> bool:
        """Return whether a server gets what its leader is told; who starts anew lets nobody in."""
        leader = self.servers.get(server.leader) if server.leader else None
        return leader is not None and leader.run_id == server.leader_run

    def admits(self, key: TenantName) -> bool:
        """Return whether clients get at a server from outside."""
        is_open = self.open_ports(key) and self.servers[key].directives["bind"] != "127.0.0.1"
        return bool(is_open) and self.is_answering(key) and self.is_reached(key)

    def end_pauses(self) -> None:
        """Let so much time pass that every pause but one for years is over."""
        self.now += timedelta(hours=1)
        for server in self.servers.values():
            if server.pause_ends:
                server.writes_paused = server.pause_ends = False

    def _take(self, name: TenantName, data: int) -> None:
        followers = [
            key
            for key, each in self.servers.items()
            if each.leader == name and self.is_linked(each)
        ]
        for key in (name, *followers):
            self.servers[key].data = data
            if (
                self.servers[key].directives["appendonly"] == "yes"
                and self.servers[key].log_is_whole
            ):
                self.disk(key, self.servers[key].instance).append_only = data
