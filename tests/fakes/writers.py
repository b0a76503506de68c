"""The write ports over the world in memory; every call counts as one effect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from cachepilot.apply.ports import Writers
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import SeenCredential
from cachepilot.observe.snapshot import Liveness, SeenAuthority, SeenCertificate, SeenContainer
from cachepilot.plan.containers import container_name
from cachepilot.plan.users import render_users
from tests.fakes.world import FakeWorld, parse_rules


@dataclass
class _Writer:
    world: FakeWorld

    def _effect(self):
        self.world.effects += 1
        self.world.tick()


class FakeMemoryWriter(_Writer):
    def _amend(self, name, **changes):
        self._effect()
        self.world.memories[name] = replace(self.world.memory(name), **changes)

    def remember_document(self, tenant_name, *, generation, digest, source, document):
        self._amend(
            tenant_name,
            generation=generation,
            document_digest=digest,
            source=source,
            document=document,
        )

    def reserve(self, tenant_name, reservation):
        wanted = {reservation.tls_port, reservation.plain_port} - {None}
        for name, memory in self.world.memories.items():
            held = memory.reservation
            if name != tenant_name and held and wanted & {held.tls_port, held.plain_port}:
                raise WaitingError("another tenant was faster", retry_after=timedelta(0))
        self._amend(tenant_name, reservation=reservation)

    def generate_credential(self, tenant_name, *, user):
        self._credential(tenant_name, user, from_file=False)

    def adopt_password(self, tenant_name, *, user, path):
        self._credential(tenant_name, user, from_file=True)

    def begin_restart(self, tenant_name, *, wish, at):
        self._amend(tenant_name, restart_wish=(wish, at))

    def finish_restart(self, tenant_name, *, wish):
        self._amend(tenant_name, restarted_at=wish, restart_wish=None)

    def expect_dump(self, tenant_name, *, expected):
        self._amend(tenant_name, load_once=expected)

    def remember_persistence(self, tenant_name, *, mode):
        self._amend(tenant_name, persistence=mode)

    def _credential(self, name, user, *, from_file):
        memory = self.world.memory(name)
        before = memory.credential(user)
        fresh = SeenCredential(
            user=user, revision=before.revision + 1 if before else 1, from_file=from_file
        )
        others = tuple(kept for kept in memory.credentials if kept.user != user)
        self._amend(name, credentials=(*others, fresh))


class FakeCertificateWriter(_Writer):
    def create_authority(self):
        self._effect()
        if not self.world.authority.exists:
            self.world.authority = SeenAuthority(
                exists=True,
                fingerprint="root",
                not_after=self.world.now + timedelta(days=3650),
            )

    def issue(self, tenant_name, *, revision, names, lifetime, uid, now):
        self._effect()
        self.world.leaves.setdefault(tenant_name, {})[revision] = SeenCertificate(
            revision=revision,
            names=names,
            not_before=now - timedelta(minutes=5),
            not_after=now + lifetime,
            authority=self.world.authority.fingerprint,
            fingerprint=f"{tenant_name}-leaf-{revision}-{self.world.effects}",
        )
        memory = self.world.memory(tenant_name)
        self.world.memories[tenant_name] = replace(memory, certificate=revision)

    def prune(self, tenant_name, *, keep):
        self._effect()
        leaves = self.world.leaves[tenant_name]
        self.world.leaves[tenant_name] = {keep: leaves[keep]} if keep in leaves else {}


class FakeFileWriter(_Writer):
    def prepare(self, tenant_name, *, instance, uid, with_data):
        self._effect()
        disk, memory = self.world.disk(tenant_name), self.world.memory(tenant_name)
        if memory.data_ready and not disk.marker:
            raise StalledError("the data folder is gone", reason="DataMissing")
        disk.folders = True
        if with_data:
            disk.marker = True
            self.world.memories[tenant_name] = replace(memory, data_ready=True)

    def write_configuration(self, tenant_name, *, instance, uid, text):
        self._effect()
        self.world.disk(tenant_name).configuration = text

    def write_users(self, tenant_name, *, instance, uid, users):
        self._effect()
        self.world.disk(tenant_name).users = render_users(users)

    def discard_dump(self, tenant_name, *, instance):
        self._effect()
        self.world.disk(tenant_name).dump = None

    def discard_append_only(self, tenant_name, *, instance):
        self._effect()
        self.world.disk(tenant_name).append_only = None


class FakeContainerWriter(_Writer):
    def pull_image(self, image):
        self._effect()
        raise StalledError(f"cannot pull image {image}", reason="ImageUnavailable")

    def ensure_network(self, *, bridge, subnet):
        self._effect()
        self.world.networks.add(bridge)

    def create(self, tenant_name, workload, *, instance):
        self._effect()
        self._check_data(tenant_name)
        if workload.shape.bridge not in self.world.networks:
            raise UnavailableError("the network is missing")
        if tenant_name in self.world.containers:
            if self.world.containers[tenant_name].digest != workload.digest:
                raise WaitingError("the name is taken")
            return
        self.world.containers[tenant_name] = SeenContainer(
            container_id=f"c{self.world.effects}",
            name=container_name(tenant_name, workload.role),
            role=workload.role,
            liveness=Liveness.CREATED,
            digest=workload.digest,
            shape=workload.shape,
            resources=workload.resources,
        )

    def start(self, tenant_name, *, role, instance):
        self._effect()
        self._check_data(tenant_name)
        seen = self.world.containers[tenant_name]
        ports = {at.host_port for at in seen.shape.published}
        if ports & self.world.listening:
            raise StalledError("another program holds the port", reason="PortInUse")
        if tenant_name not in self.world.servers:
            self.world.boot(tenant_name)

    def stop(self, tenant_name, *, container_id, timeout):
        self._effect()
        if tenant_name in self.world.servers:
            self.world.shut_down(tenant_name)
        else:
            self.world.end(tenant_name, exit_code=0)

    def restart(self, tenant_name, *, container_id, timeout, instance):
        self._effect()
        self._check_data(tenant_name)
        if tenant_name in self.world.servers:
            self.world.shut_down(tenant_name)
        self.world.boot(tenant_name)

    def remove(self, tenant_name, *, container_id, digest):
        self._effect()
        found = self.world.containers.get(tenant_name)
        if found is None:
            return
        if found.container_id != container_id or found.liveness is Liveness.RUNNING:
            raise WaitingError("it is not the one that was seen")
        del self.world.containers[tenant_name]

    def unpause(self, *, container_id):
        self._effect()
        self._replace(container_id, liveness=Liveness.RUNNING)

    def rename(self, tenant_name, *, container_id, role):
        self._effect()
        self._replace(container_id, name=container_name(tenant_name, role))

    def update(self, *, container_id, resources):
        self._effect()
        self._replace(container_id, resources=resources)

    def _replace(self, container_id, **changes):
        for name, seen in self.world.containers.items():
            if seen.container_id == container_id:
                self.world.containers[name] = replace(seen, **changes)

    def _check_data(self, name):
        if not self.world.disk(name).marker:
            raise StalledError("the data folder is gone", reason="DataMissing")


class FakeServerWriter(_Writer):
    def wait(self, tenant_name, *, instance, patience):
        self._effect()
        self._server(tenant_name)

    def save(self, tenant_name, *, instance):
        self._effect()
        server = self._server(tenant_name)
        server.writes_paused = True
        self.world.disk(tenant_name).dump = server.data

    def save_in_background(self, tenant_name, *, instance):
        self._effect()
        self.world.disk(tenant_name).dump = self._server(tenant_name).data

    def wait_for_rewrite(self, tenant_name, *, instance):
        self._effect()
        self._server(tenant_name)

    def purge_memory(self, tenant_name, *, instance):
        self._effect()

    def set_directives(self, tenant_name, *, instance, directives):
        self._effect()
        server = self._server(tenant_name)
        server.directives |= dict(directives)
        if dict(directives).get("appendonly") == "yes":
            self.world.disk(tenant_name).append_only = server.data
        if "tls-cert-file" in dict(directives):
            self.world.serve_certificate(tenant_name)

    def set_user(self, tenant_name, *, instance, user):
        self._effect()
        rules = user.rules(tuple(f"#{revision}" for revision in user.passwords))
        self._server(tenant_name).users[user.name] = parse_rules(rules)

    def delete_user(self, tenant_name, *, instance, user):
        self._effect()
        self._server(tenant_name).users.pop(user, None)

    def _server(self, name):
        if name not in self.world.servers:
            raise UnavailableError(f"cannot reach the server of {name}")
        return self.world.servers[name]


def writers_of(world: FakeWorld) -> Writers:
    """Return every write port over *world*."""
    return Writers(
        memory=FakeMemoryWriter(world),
        certificates=FakeCertificateWriter(world),
        files=FakeFileWriter(world),
        containers=FakeContainerWriter(world),
        server=FakeServerWriter(world),
    )
