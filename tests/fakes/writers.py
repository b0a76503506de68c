"""The write ports over the world in memory; every call counts as one effect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from cachepilot.apply.ports import Writers
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import HandOverPhase, SeenCredential
from cachepilot.observe.snapshot import (
    SeenAuthority,
    SeenCertificate,
    SeenClientCertificate,
    SeenClients,
    SeenRoot,
    Unreachable,
)
from cachepilot.observe.user_memory import Verdict
from cachepilot.plan.server_config import (
    CERTIFICATE_FILES,
    FENCE,
    MOST_REPLICAS,
    managed_directives,
    needs_restart,
)
from cachepilot.plan.users import render_users
from cachepilot.spec.directives import EngineConfig
from cachepilot.spec.document import AccessMode
from cachepilot.spec.upgrade import UpgradeStrategy
from tests.builders import tenant
from tests.fakes.engine import FakeContainerWriter
from tests.fakes.naming import tenant_of
from tests.fakes.replacements import (
    FakeReplacementFiles,
    FakeReplacementMemory,
    FakeReplacementServer,
)
from tests.fakes.texts import parse_rules
from tests.fakes.world import EMPTY, FakeWorld

# What CONFIG SET takes, as far as this world knows directives at all.
_SETTABLE = {
    name
    for name in (
        "shutdown-on-sigterm",
        *managed_directives(
            tenant(access=AccessMode.DUAL_MODE, strategy=UpgradeStrategy.HANDOVER)
        ),
        *(str(field.alias) for field in EngineConfig.model_fields.values()),
    )
    if not needs_restart(name)
}


@dataclass
class _Writer:
    world: FakeWorld

    def _effect(self):
        self.world.effects += 1
        self.world.tick()


class FakeMemoryWriter(FakeReplacementMemory, _Writer):
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
            retired=False,
        )

    def retire(self, tenant_name):
        self._amend(tenant_name, retired=True)

    def reserve(self, tenant_name, reservation):
        wanted = {reservation.tls_port, reservation.plain_port} - {None}
        for name, memory in self.world.memories.items():
            held = memory.reservation
            if name != tenant_name and held and wanted & {held.tls_port, held.plain_port}:
                raise WaitingError("another tenant was faster", retry_after=timedelta(0))
        self._amend(tenant_name, reservation=reservation)

    def generate_credential(self, tenant_name, *, user, pending, wish, now):
        fresh = SeenCredential(user=user, revision=1, pending=pending, since=now)
        self._credential(tenant_name, fresh)
        if wish:
            memory = self.world.memory(tenant_name)
            self.world.memories[tenant_name] = memory.with_rotation(user, wish)

    def adopt_password(self, tenant_name, *, user, path, pending, now):
        if path not in self.world.password_files:
            raise StalledError(f"cannot read {path}", reason="PasswordFileUnusable")
        text, memory = self.world.password_files[path], self.world.memory(tenant_name)
        adopted = self.world.adopted.get
        same = [
            kept
            for kept in (memory.credential(user), memory.pending(user))
            if kept and adopted((tenant_name, user, kept.revision)) == text
        ]
        if same:
            others = (kept for kept in memory.credentials if kept.user != user or not kept.pending)
            kept = (*same, *(other for other in others if other not in same))
            self._amend(tenant_name, credentials=kept)
            return
        fresh = SeenCredential(user=user, revision=1, from_file=True, pending=pending, since=now)
        self._credential(tenant_name, fresh, text=text)
        newest = self.world.memory(tenant_name).credentials_of(user)[0]
        self.world.adopted[tenant_name, user, newest.revision] = text

    def promote_credential(self, tenant_name, *, user, revision, now):
        def promoted(kept):
            if kept.user != user:
                return kept
            if kept.revision == revision:
                return replace(kept, pending=False, since=now)
            over = kept.pending or (kept.replaced and kept.replaced <= now)
            return kept if over else replace(kept, replaced=now)

        credentials = self.world.memory(tenant_name).credentials
        self._amend(tenant_name, credentials=tuple(map(promoted, credentials)))

    def forget_credentials(self, tenant_name, *, user, revisions):
        kept = self.world.memory(tenant_name).credentials
        self._amend(
            tenant_name,
            credentials=tuple(
                each for each in kept if each.user != user or each.revision not in revisions
            ),
        )
        for revision in revisions:
            self.world.adopted.pop((tenant_name, user, revision), None)
        memory = self.world.memory(tenant_name)
        if not memory.credentials_of(user):
            self.world.memories[tenant_name] = memory.with_rotation(user, None)

    def remember_rules(self, tenant_name, *, rules):
        self._amend(tenant_name, rules=rules)

    def begin_restart(self, tenant_name, *, wish, at):
        self._amend(tenant_name, restart_wish=(wish, at))

    def finish_restart(self, tenant_name, *, wish):
        self._amend(tenant_name, restarted_at=wish, restart_wish=None)

    def expect_dump(self, tenant_name, *, expected):
        self._amend(tenant_name, load_once=expected)

    def remember_persistence(self, tenant_name, *, mode):
        self._amend(tenant_name, persistence=mode)

    def remember_hand_over(self, tenant_name, *, hand_over):
        memory = self.world.memory(tenant_name)
        is_won = hand_over is not None and hand_over.phase is HandOverPhase.WON
        instance = hand_over.instance if is_won else memory.instance
        if instance != memory.instance:
            self.world.crown(tenant_name)
        failed = hand_over is not None and hand_over.phase is HandOverPhase.FAILED
        gone = {hand_over.instance} if failed else set()
        outgoing = tuple(sorted(gone.union(memory.outgoing)))
        closes = hand_over is not None and hand_over.phase is HandOverPhase.CLOSING
        applied = "" if closes else memory.applied
        changes = {"instance": instance, "outgoing": outgoing, "applied": applied}
        self._amend(tenant_name, hand_over=hand_over, **changes)

    def remember_wait(self, tenant_name, *, wait):
        self._amend(tenant_name, wait=wait)

    def remember_applied(self, tenant_name, *, fingerprint):
        self._amend(tenant_name, applied=fingerprint)

    def _credential(self, name, fresh, *, text=None, **changes):
        memory, user = self.world.memory(name), fresh.user
        known = memory.credentials_of(user)
        fresh = replace(fresh, revision=known[0].revision + 1 if known else 1)
        # No password has two revisions, so that a hash read back means one thing.
        again = {
            at
            for (whose, who, at), held in self.world.adopted.items()
            if (whose, who, held) == (name, user, text)
        }
        gone = {kept.revision for kept in known if kept.pending or kept.revision in again}
        others = tuple(
            kept for kept in memory.credentials if kept.user != user or kept.revision not in gone
        )
        for revision in gone:
            self.world.adopted.pop((name, user, revision), None)
        self._amend(name, credentials=(fresh, *others), **changes)


class FakeCertificateWriter(_Writer):
    def create_authority(self):
        self._effect()
        if not self.world.authority.exists:
            self.world.authority = SeenAuthority(
                exists=True,
                fingerprint="root",
                not_after=self.world.now + timedelta(days=3650),
                roots=(
                    SeenRoot(fingerprint="root", not_after=self.world.now + timedelta(days=3650)),
                ),
            )

    def issue(self, tenant_name, *, revision, names, lifetime, uid, clients, now):
        self._effect()
        self.world.leaves.setdefault(tenant_name, {})[revision] = SeenCertificate(
            revision=revision,
            names=names,
            not_before=now - timedelta(minutes=5),
            not_after=now + lifetime,
            authority=self.world.authority.fingerprint,
            roots=self.world.authority.bundle,
            fingerprint=f"{tenant_name}-leaf-{revision}-{self.world.effects}",
            clients=self._clients(tenant_name).authority if clients else "",
        )
        memory = self.world.memory(tenant_name)
        self.world.memories[tenant_name] = replace(memory, certificate=revision)

    def prune(self, tenant_name, *, keep):
        self._effect()
        leaves = self.world.leaves[tenant_name]
        self.world.leaves[tenant_name] = {keep: leaves[keep]} if keep in leaves else {}

    def create_client_authority(self, tenant_name, *, wish):
        self._effect()
        before = self.world.clients.get(tenant_name, SeenClients())
        self.world.clients[tenant_name] = replace(
            before,
            authority=f"clients-{self.world.effects}",
            problem="",
            certificates=tuple(replace(each, authority="") for each in before.certificates),
        )
        memory = self.world.memory(tenant_name)
        self.world.memories[tenant_name] = replace(memory, clients_rotated_at=wish)

    def issue_client(self, tenant_name, *, client, lifetime, now):
        self._effect()
        seen = self._clients(tenant_name)
        others = {each.name: each for each in seen.certificates}
        others[client] = SeenClientCertificate(
            name=client,
            folder=f"/clients/{client}",
            not_before=now - timedelta(minutes=5),
            not_after=now + lifetime,
            authority=seen.authority,
            fingerprint=f"{tenant_name}-{client}-{self.world.effects}",
        )
        self._keep_clients(tenant_name, others)

    def remove_client(self, tenant_name, *, client):
        self._effect()
        seen = self.world.clients[tenant_name]
        left = {each.name: each for each in seen.certificates if each.name != client}
        self._keep_clients(tenant_name, left)

    def _keep_clients(self, tenant_name, found):
        certificates = tuple(found[name] for name in sorted(found))
        self.world.clients[tenant_name] = replace(
            self.world.clients[tenant_name], certificates=certificates, names=tuple(sorted(found))
        )

    def _clients(self, tenant_name):
        seen = self.world.clients.get(tenant_name, SeenClients())
        if seen.problem or not seen.authority:
            raise StalledError("its client authority is gone", reason="ClientAuthorityBroken")
        return seen


class FakeFileWriter(FakeReplacementFiles, _Writer):
    def prepare(self, tenant_name, *, instance, uid):
        self._effect()
        disk, memory = self.world.disk(tenant_name, instance), self.world.memory(tenant_name)
        if memory.data_ready and not disk.marker and instance == memory.instance:
            raise StalledError("the data folder is gone", reason="DataMissing")
        disk.folders = disk.tls = True
        disk.marker = True
        self.world.memories[tenant_name] = replace(memory, data_ready=True)

    def write_configuration(self, tenant_name, *, instance, uid, text):
        self._effect()
        self.world.disk(tenant_name, instance).configuration = text

    def write_users(self, tenant_name, *, instance, uid, users):
        self._effect()
        self.world.disk(tenant_name, instance).users = render_users(users)

    def discard_dump(self, tenant_name, *, instance):
        self._effect()
        self.world.disk(tenant_name, instance).dump = None

    def discard_append_only(self, tenant_name, *, instance):
        self._effect()
        self.world.disk(tenant_name, instance).append_only = None


class FakeServerWriter(FakeReplacementServer, _Writer):
    def wait(self, tenant_name, *, instance, patience):
        self._effect()
        self._server(tenant_name, instance)

    def save(self, tenant_name, *, instance, pause):
        self._effect()
        server = self._server(tenant_name, instance)
        self._dump(tenant_name, server)
        server.writes_paused = server.pause_ends = True

    def resume_writes(self, tenant_name, *, instance):
        self._effect()
        server = self._server(tenant_name, instance)
        server.writes_paused = server.pause_ends = False

    def save_in_background(self, tenant_name, *, instance):
        self._effect()
        self._dump(tenant_name, self._server(tenant_name, instance))

    def wait_for_rewrite(self, tenant_name, *, instance):
        self._effect()
        server = self._server(tenant_name, instance)
        disk = self.world.disk(tenant_name, instance)
        fails = not (server.log_is_whole or disk.writable)
        if fails or server.directives["appendonly"] != "yes":
            raise StalledError("its rewrite failed", reason="RewriteFailed")
        if not server.log_is_whole:
            server.log_is_whole, disk.append_only = True, server.data

    def end_script(self, tenant_name, *, instance):
        self._effect()
        server = self.world.servers[self.world.key(tenant_name, instance)]
        if server.script == "writes":
            raise WaitingError("it has written already", retry_after=timedelta(seconds=15))
        server.script = ""

    def purge_memory(self, tenant_name, *, instance):
        self._effect()
        self._server(tenant_name, instance)

    def set_directives(self, tenant_name, *, instance, directives):
        self._effect()
        server, wanted = self._server(tenant_name, instance), dict(directives)
        if wanted.keys() - _SETTABLE or wanted.get("activedefrag") == "yes":
            raise StalledError("it refuses", reason="DirectiveRefused")
        leaf = wanted.get("tls-cert-file", "").split("/")[2:3]
        if leaf and int(leaf[0]) not in self.world.leaves.get(tenant_name, {}):
            raise StalledError("it cannot read its certificate", reason="DirectiveRefused")
        shown = wanted.get("tls-client-cert-file", "").split("/")[2:3]
        leaves = self.world.leaves.get(tenant_name, {})
        if shown and not leaves[int(shown[0])].clients:
            raise StalledError("it cannot read its own certificate", reason="DirectiveRefused")
        turns_on = wanted.get("appendonly") == "yes" and server.directives["appendonly"] != "yes"
        disk = self.world.disk(tenant_name, instance)
        if turns_on and not (disk.writable or disk.append_only is not None):
            raise StalledError("it refuses", reason="DirectiveRefused")
        key = self.world.key(tenant_name, instance)
        if self.world.is_port_taken(key, wanted):
            raise StalledError("it cannot listen there", reason="DirectiveRefused")
        before = dict(server.directives)
        server.directives |= wanted
        server.ask_clients(
            anew=any(before.get(at) != server.directives.get(at) for at in CERTIFICATE_FILES)
        )
        if turns_on:
            # Its folder is there at once, and what it had is void once the new one is complete.
            server.log_is_whole = False
            disk.append_only = EMPTY if disk.append_only is None else disk.append_only
        if "tls-cert-file" in wanted:
            self.world.serve_certificate(self.world.key(tenant_name, instance))

    def set_user(self, tenant_name, *, instance, user):
        self._effect()
        key = self.world.key(tenant_name, instance)
        image = self.world.containers[key].shape.image
        if unknown := self.world.refuses(image, " ".join(user.commands)):
            raise StalledError(f"it does not know {unknown}", reason="UserRefused")
        rules = user.rules(tuple(f"#{revision}" for revision in user.passwords))
        self._server(tenant_name, instance).users[user.name] = parse_rules(rules)

    def prove_login(self, tenant_name, *, instance, user, passwords):
        self._effect()
        enabled, accepted, *_ = self._server(tenant_name, instance).users.get(user, (False, ()))
        if not enabled or {str(revision) for revision in passwords} - set(accepted):
            raise StalledError("it refuses a password", reason="LoginRefused")

    def delete_user(self, tenant_name, *, instance, user):
        self._effect()
        self._server(tenant_name, instance).users.pop(user, None)

    def _dump(self, name, server):
        disk = self.world.disk(name, server.instance)
        if not disk.writable:
            raise StalledError("it cannot save", reason="SaveFailed")
        disk.dump = server.data

    def _server(self, name, instance):
        server = self.world.connect(self.world.key(name, instance), instance)
        if isinstance(server, Unreachable):
            raise UnavailableError(f"cannot reach the server of {name}: {server.why}")
        return server


class FakeTrialWriter(_Writer):
    def on_server(self, tenant_name, *, instance, image, image_id, users):
        self._effect()
        if isinstance(self.world.connect(tenant_name), Unreachable):
            raise UnavailableError("cannot try rules")
        self._conclude(tenant_name, self.world.containers[tenant_name].shape.image, users)

    def apart(self, tenant_name, *, image, image_id, uid, users):
        self._effect()
        self._conclude(tenant_name, image, users)

    def _conclude(self, name, image, users):
        refusals = {
            user.rules: self.world.refuses(image, " ".join(user.line.commands)) for user in users
        }
        memory, fresh = self.world.memory(name), {}
        for rules, words in refusals.items():
            fresh[f"sha256:{image}", rules] = words
        verdicts = [
            Verdict(image_id=image_id, rules=rules, refusal=words)
            for (image_id, rules), words in fresh.items()
        ]
        kept = (each for each in memory.verdicts if (each.image_id, each.rules) not in fresh)
        self.world.memories[name] = replace(memory, verdicts=(*verdicts, *kept))
        for user in users:
            if user.place and refusals[user.rules]:
                raise StalledError(refusals[user.rules], reason="UserRulesRefused")


class FakeHandOverWriter(_Writer):
    def follow(self, tenant_name, *, instance, leader, port, encrypted, buffer):
        self._effect()
        old, new = self._server(tenant_name, leader), self._server(tenant_name, instance)
        assert old.directives["tls-port" if encrypted else "port"] == str(port)
        new.leader, new.leader_run = self.world.key(tenant_name, leader), old.run_id
        new.has_link_password, new.data = True, old.data
        # The copy comes as a dump, which stays beside what is logged.
        disk = self.world.disk(tenant_name, instance)
        disk.dump = new.data
        if new.directives["appendonly"] == "yes":
            disk.append_only = new.data

    def wait(self, tenant_name, *, instance, leader, patience):
        self._effect()
        server = self._server(tenant_name, instance)
        if not self.world.is_linked(server):
            raise WaitingError("it is still copying", retry_after=timedelta(seconds=2))
        server.has_link_password = False

    def drain(self, tenant_name, *, instance, successor, pause):
        self._effect()
        old, new = self._server(tenant_name, instance), self._server(tenant_name, successor)
        if new.leader != self.world.key(tenant_name, instance) or not self.world.is_linked(new):
            raise WaitingError("it is too far behind", retry_after=timedelta(seconds=2))
        assert old.data == new.data
        old.writes_paused = old.pause_ends = True
        old.directives |= {"port": "0", "tls-port": "0"}

    def promote(self, tenant_name, *, instance, listeners):
        self._effect()
        server = self._server(tenant_name, instance)
        server.writes_paused, server.leader, server.has_link_password = True, None, False
        server.directives |= {FENCE: "0", **dict(listeners)}
        for other in self.world.servers:
            ports = self.world.open_ports(other)
            key = self.world.key(tenant_name, instance)
            taken = tenant_of(other) == tenant_name and other != key
            assert not (taken and ports), "address in use"

    def fence(self, tenant_name, *, instance, successor):
        self._effect()
        server = self._server(tenant_name, instance)
        server.directives[FENCE] = MOST_REPLICAS
        server.has_clients = False
        if server.data != self._server(tenant_name, successor).data:
            raise WaitingError("it took a write", retry_after=timedelta(seconds=2))

    def _server(self, name, instance):
        server = self.world.connect(self.world.key(name, instance))
        if isinstance(server, Unreachable):
            raise UnavailableError(f"cannot reach server {instance} of {name}: {server.why}")
        return server


def writers_of(world: FakeWorld) -> Writers:
    """Return every write port over *world*."""
    return Writers(
        memory=FakeMemoryWriter(world),
        certificates=FakeCertificateWriter(world),
        files=FakeFileWriter(world),
        containers=FakeContainerWriter(world),
        server=FakeServerWriter(world),
        trials=FakeTrialWriter(world),
        hand_over=FakeHandOverWriter(world),
    )
