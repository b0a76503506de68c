"""The read ports over the world in memory."""

from __future__ import annotations

from dataclasses import dataclass

from cachepilot.observe.ports import Readers
from cachepilot.observe.snapshot import (
    SeenClients,
    SeenEndpoint,
    SeenFiles,
    SeenHost,
    SeenPasswordFile,
    SeenReplication,
    SeenServer,
    SeenUser,
    Unreachable,
)
from cachepilot.plan.server_config import fingerprint
from cachepilot.plan.shape import TLS_PORT, engine_of
from tests.fakes.engine import FakeContainers
from tests.fakes.naming import tenant_of
from tests.fakes.world import EMPTY, FakeWorld


@dataclass
class FakeFiles:
    world: FakeWorld

    def look(self, tenant_name, memory, *, password_files):
        disk = self.world.disk(tenant_name, memory.instance)
        return SeenFiles(
            folders_ready=disk.folders and disk.tls and disk.marker,
            configuration=fingerprint(disk.configuration) if disk.configuration else None,
            users=disk.users,
            data_marker=disk.marker,
            has_dump=disk.dump is not None,
            has_append_only=disk.append_only is not None,
            passwords=tuple(
                SeenPasswordFile(
                    user=user,
                    revision=self._revision(tenant_name, user, path),
                    problem=self._problem(path),
                )
                for user, path in password_files
            ),
        )

    def _revision(self, name, user, path):
        """Return the revision that a file holds, 0 for a new one, None where none is usable."""
        text = self.world.password_files.get(path)
        held = {
            known: revision
            for (whose, who, revision), known in self.world.adopted.items()
            if (whose, who) == (name, user)
        }
        return None if text is None else held.get(text, 0)

    def _problem(self, path):
        unusable = path not in self.world.password_files
        return f"cannot read {path}: no such file" if unusable else ""


@dataclass
class FakeCertificates:
    world: FakeWorld

    def authority(self):
        return self.world.authority

    def leaf(self, tenant_name, revision):
        return self.world.leaves.get(tenant_name, {}).get(revision)

    def clients(self, tenant_name):
        return self.world.clients.get(tenant_name, SeenClients())

    def has_stale(self, tenant_name, revision):
        return bool(self.world.leaves.get(tenant_name, {}).keys() - {revision})


@dataclass
class FakeMemory:
    world: FakeWorld

    def recall(self, tenant_name):
        return self.world.memory(tenant_name)

    def known(self):
        return tuple(sorted(self.world.memories))


@dataclass
class FakeHost:
    world: FakeWorld

    def look(self, authority, *, bind, new_ports, moves):
        held = {name: memory.reservation for name, memory in self.world.memories.items()}
        ports, uids, bridges = [], [], {}
        for name, kept in held.items():
            if kept:
                ports += [(port, name) for port in (kept.tls_port, kept.plain_port) if port]
                uids.append((kept.uid, name))
                bridges[kept.bridge] = bridges.get(kept.bridge, 0) + 1
        return SeenHost(
            authority=authority,
            owned_ports=tuple(ports),
            owned_uids=tuple(uids),
            listeners=frozenset(
                ("0.0.0.0", at) for at in self.world.listening if new_ports or moves
            ),
            bridges=tuple(bridges.items()),
            memory_available=self.world.memory_available,
            foreign_addresses=tuple(address for address in bind if address in self.world.foreign),
        )


@dataclass
class FakeServers:
    world: FakeWorld

    def ask(self, tenant_name, *, instance, directives, users, clients):
        key = self.world.key(tenant_name, instance)
        server = self.world.connect(key, instance)
        if isinstance(server, Unreachable):
            return server
        image = self.world.containers[tenant_name].shape.image
        return SeenServer(
            engine=engine_of(image),
            version=image.split(":")[1],
            run_id=server.run_id,
            uptime_seconds=1,
            loading=False,
            used_memory=2**20,
            resident_memory=2**23,
            keys=int(server.data != EMPTY),
            clients=1,
            directives=tuple(
                sorted((n, v) for n, v in server.directives.items() if n in directives)
            ),
            users=tuple(
                SeenUser(
                    name=name,
                    flags=("on",) if enabled else ("off",),
                    passwords=passwords,
                    keys=keys,
                    channels=channels,
                    commands=commands,
                )
                for name, (enabled, passwords, keys, channels, commands) in sorted(
                    server.users.items()
                )
            ),
        )


@dataclass
class FakeReplication:
    world: FakeWorld

    def ask(self, tenant_name, *, instance):
        server = self.world.connect(self.world.key(tenant_name, instance))
        if isinstance(server, Unreachable):
            return server
        return SeenReplication(
            follows=server.leader is not None,
            link_up=self.world.is_linked(server),
            has_password=server.has_link_password,
        )


@dataclass
class FakeEndpoints:
    world: FakeWorld

    def probe(self, tenant_name, published):
        return tuple(self._meet(tenant_name, listener) for listener in published)

    def _meet(self, tenant_name, listener):
        encrypted = listener.container_port == TLS_PORT
        key = self._behind(tenant_name, listener)
        leaf = self.world.served_leaf(key) if encrypted else None
        problem, met = self._judge(key, listener, leaf)
        return SeenEndpoint(
            listener="tls" if encrypted else "plain",
            address=listener.address,
            port=listener.host_port,
            problem=problem,
            fingerprint=leaf.fingerprint if met and leaf else "",
            refused=leaf.fingerprint if leaf and "is refused" in problem else "",
        )

    def _shows_a_certificate(self, name, server):
        """Be the probe, which shows what lies beside the recorded leaf."""
        if server.directives.get("tls-auth-clients", "no") == "no":
            return True
        shown = self._recorded(name)
        served = self.world.served_leaf(name)
        if shown is None or not shown.clients:
            return server.directives["tls-auth-clients"] == "optional"
        return served is not None and served.clients == shown.clients

    def _recorded(self, name):
        tenant_name = tenant_of(name)
        revision = self.world.memory(tenant_name).certificate
        return self.world.leaves.get(tenant_name, {}).get(revision)

    def _behind(self, name, listener):
        """Return who of the tenant's servers listens there, or the one in charge if none does."""
        directive = "tls-port" if listener.container_port == TLS_PORT else "port"
        for key, server in self.world.servers.items():
            is_open = server.directives.get(directive) == str(listener.container_port)
            if tenant_of(key) == name and is_open and self.world.is_reached(key):
                return key
        return name

    def _judge(self, name, listener, leaf):
        """Return (problem, whether a handshake came about)."""
        encrypted = listener.container_port == TLS_PORT
        server = self.world.servers.get(name)
        directive = "tls-port" if encrypted else "port"
        is_closed = server is not None and server.directives["bind"] == "127.0.0.1"
        if (
            is_closed
            or not server
            or server.directives.get(directive) != str(listener.container_port)
        ):
            return "connection refused", False
        if not self.world.is_reached(name):
            return "it closed the connection", False
        if not self.world.is_answering(name):
            return "it does not answer in time", False
        if encrypted and leaf is None:
            return "it closed the connection", False
        if leaf and leaf.authority != self.world.authority.fingerprint:
            return "its certificate is refused: unable to get local issuer certificate", False
        if leaf and listener.address not in leaf.names:
            return "its certificate is refused: IP address mismatch", False
        if encrypted and not self._shows_a_certificate(name, server):
            return "tlsv13 alert certificate required", False
        if server.crowded:
            return "it answers: ERR max number of clients reached", True
        credential = self.world.memory(tenant_of(name)).credential("default")
        enabled, passwords, *_ = server.users["default"]
        if not (enabled and credential and str(credential.revision) in passwords):
            return "it answers: WRONGPASS invalid username-password pair", True
        return "", True


def readers_of(world: FakeWorld) -> Readers:
    """Return every read port over *world*."""
    return Readers(
        containers=FakeContainers(world),
        files=FakeFiles(world),
        certificates=FakeCertificates(world),
        memory=FakeMemory(world),
        host=FakeHost(world),
        server=FakeServers(world),
        replication=FakeReplication(world),
        endpoints=FakeEndpoints(world),
    )
