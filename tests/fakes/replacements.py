"""The write ports of a replacement over the world in memory; a note is the data itself."""

from __future__ import annotations

from dataclasses import replace

from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.replacement import HeldBack, Note, NotedDatabase


class FakeReplacementMemory:
    def begin_replacement(self, tenant_name, replacement):
        self._amend(tenant_name, replacement=replacement, applied="")

    def abandon_replacement(self, tenant_name):
        memory = self.world.memory(tenant_name)
        gone = (memory.replacement.instance,) if memory.replacement else ()
        outgoing = tuple(sorted({*memory.outgoing, *gone}))
        self._amend(tenant_name, replacement=None, outgoing=outgoing)

    def switch_instance(self, tenant_name, *, instance):
        self._amend(tenant_name, instance=instance)

    def accept_replacement(self, tenant_name):
        memory = self.world.memory(tenant_name)
        begun, failed = memory.replacement, memory.held_back
        if failed and failed.target == begun.target:
            failed = None
        if failed:
            failed = replace(failed, kept=replace(failed.kept, image_id=""))
        self._amend(
            tenant_name,
            replacement=None,
            held_back=failed,
            outgoing=tuple(sorted({*memory.outgoing, begun.former})),
            restarted_at=begun.wish or memory.restarted_at,
            restart_wish=None,
        )

    def condemn_replacement(self, tenant_name, *, reason, message, image_id):
        begun = self.world.memory(tenant_name).replacement
        failed = replace(begun, failure=(reason, message), failed_image=image_id)
        self._amend(tenant_name, replacement=failed)

    def return_to_former(self, tenant_name):
        memory = self.world.memory(tenant_name)
        begun = memory.replacement
        reason, message = begun.failure
        failed = memory.held_back
        if failed and failed.target != begun.target:
            failed = replace(failed, kept=begun.kept)
        else:
            failed = HeldBack(
                target=begun.target,
                image_id=begun.failed_image,
                kept=begun.kept,
                reason=reason,
                message=message,
            )
        self._amend(
            tenant_name,
            instance=begun.former,
            replacement=None,
            held_back=failed,
            outgoing=tuple(sorted({*memory.outgoing, begun.instance})),
            restarted_at=begun.wish or memory.restarted_at,
            restart_wish=None,
        )

    def forget_held_back(self, tenant_name):
        self._amend(tenant_name, held_back=None)


class FakeReplacementFiles:
    def stage(self, tenant_name, *, instance, uid):
        self._effect()
        memory = self.world.memory(tenant_name)
        disk = self.world.disk(tenant_name, instance)
        holds = disk.dump is not None or disk.append_only is not None
        if holds and not memory.replacement.staged:
            raise StalledError("data of unknown origin", reason="DataFolderTaken")
        disk.dump = disk.append_only = None
        disk.folders = disk.tls = disk.marker = True
        staged = replace(memory.replacement, staged=True)
        self.world.memories[tenant_name] = replace(memory, replacement=staged)

    def carry_data(self, tenant_name, *, source, instance, uid, dump, append_only):
        self._effect()
        old = self.world.disk(tenant_name, source)
        new = self.world.disk(tenant_name, instance)
        new.dump = old.dump if dump else None
        new.append_only = old.append_only if append_only else None

    def discard_instance(self, tenant_name, *, instance):
        self._effect()
        memory = self.world.memory(tenant_name)
        begun = memory.replacement
        if instance in (memory.instance, *((begun.former, begun.instance) if begun else ())):
            raise WaitingError("it may be needed again")
        self.world.disks.pop((tenant_name, instance), None)
        outgoing = tuple(number for number in memory.outgoing if number != instance)
        self.world.memories[tenant_name] = replace(memory, outgoing=outgoing)


class FakeReplacementServer:
    def rewrite_append_only(self, tenant_name, *, instance):
        self.wait_for_rewrite(tenant_name, instance=instance)

    def note_data(self, tenant_name, *, instance, pause):
        self._effect()
        server = self._server(tenant_name, instance)
        now = self.world.now
        server.writes_paused = server.pause_ends = True
        held = (NotedDatabase(number=0, keys=server.data),)
        memory = self.world.memory(tenant_name)
        note = Note(until=now + pause, databases=held, sample=(), evicts=False)
        noted = replace(memory.replacement, note=note)
        self.world.memories[tenant_name] = replace(memory, replacement=noted)

    def compare_data(self, tenant_name, *, instance):
        self._effect()
        memory = self.world.memory(tenant_name)
        begun, server = memory.replacement, self._server(tenant_name, instance)
        if server.data == begun.note.databases[0].keys:
            return
        failure = ("DataDiffers", "the new server has other keys")
        failed = replace(begun, failure=failure)
        self.world.memories[tenant_name] = replace(memory, replacement=failed)
        raise StalledError(failure[1], reason=failure[0])
