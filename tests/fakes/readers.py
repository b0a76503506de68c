"""The read ports over the world in memory."""

from __future__ import annotations

from dataclasses import dataclass

from cachepilot.observe.ports import ContainerGlance, Readers
from cachepilot.observe.snapshot import (
    Liveness,
    SeenEndpoint,
    SeenFiles,
    SeenHost,
    SeenServer,
    SeenUser,
    Unknown,
    Unreachable,
)
from cachepilot.plan.server_config import fingerprint
from cachepilot.plan.shape import TLS_PORT, engine_of
from tests.fakes.world import FakeWorld

_STATES = {Liveness.CREATED: "created", Liveness.RUNNING: "running", Liveness.EXITED: "exited"}


@dataclass
class FakeContainers:
    world: FakeWorld

    def find(self, tenant_name):
        if not self.world.engine_up:
            return Unknown("cannot reach Docker")
        found = self.world.containers.get(tenant_name)
        return (found,) if found else ()

    def glance(self):
        if not self.world.engine_up:
            return Unknown("cannot list containers")
        return tuple(
            ContainerGlance(
                container_id=seen.container_id,
                name=seen.name,
                tenant_name=name,
                role=seen.role,
                state=_STATES.get(seen.liveness, str(seen.liveness)),
                digest=seen.digest,
            )
            for name, seen in self.world.containers.items()
        )

    def has_image(self, image):
        return image in self.world.images if self.world.engine_up else None


@dataclass
class FakeFiles:
    world: FakeWorld

    def look(self, tenant_name, memory, *, password_file):
        disk = self.world.disk(tenant_name)
        return SeenFiles(
            folders_ready=disk.folders and disk.marker,
            configuration=fingerprint(disk.configuration) if disk.configuration else None,
            users=disk.users,
            data_marker=disk.marker,
            has_dump=disk.dump is not None,
            has_append_only=disk.append_only is not None,
            password_file=None,
        )


@dataclass
class FakeCertificates:
    world: FakeWorld

    def authority(self):
        return self.world.authority

    def leaf(self, tenant_name, revision):
        return self.world.leaves.get(tenant_name, {}).get(revision)

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

    def look(self, authority, *, bind):
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
            listening_ports=frozenset(self.world.listening),
            bridges=tuple(bridges.items()),
            foreign_addresses=tuple(address for address in bind if address in self.world.foreign),
        )


@dataclass
class FakeServers:
    world: FakeWorld

    def ask(self, tenant_name, *, instance, directives):
        server = self.world.servers.get(tenant_name)
        if server is None:
            return Unreachable("its management socket is missing")
        return SeenServer(
            engine=engine_of(self.world.containers[tenant_name].shape.image),
            version="8.0.2",
            run_id=server.run_id,
            uptime_seconds=1,
            loading=False,
            used_memory=2**20,
            resident_memory=2**23,
            keys=server.data,
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
class FakeEndpoints:
    world: FakeWorld

    def probe(self, tenant_name, published, *, now):
        return tuple(self._meet(tenant_name, listener) for listener in published)

    def _meet(self, tenant_name, listener):
        server = self.world.servers.get(tenant_name)
        encrypted = listener.container_port == TLS_PORT
        directive = "tls-port" if encrypted else "port"
        is_open = server and server.directives.get(directive) == str(listener.container_port)
        return SeenEndpoint(
            listener="tls" if encrypted else "plain",
            address=listener.address,
            port=listener.host_port,
            problem="" if is_open else "connection refused",
            fingerprint=self.world.served.get(tenant_name, "") if encrypted and is_open else "",
        )


def readers_of(world: FakeWorld) -> Readers:
    """Return every read port over *world*."""
    return Readers(
        containers=FakeContainers(world),
        files=FakeFiles(world),
        certificates=FakeCertificates(world),
        memory=FakeMemory(world),
        host=FakeHost(world),
        server=FakeServers(world),
        endpoints=FakeEndpoints(world),
    )
