"""How far a replacement has come, in the record; each step is one durable write."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from cachepilot.adapters.records import Records
from cachepilot.errors import WaitingError
from cachepilot.observe.memory import Memory
from cachepilot.observe.replacement import HeldBack, LearnedImage, Note, Replacement
from cachepilot.spec.document import TenantName


class ReplacementRecord:
    """The part of the tenants' memory that speaks of one server in the place of another."""

    def __init__(self, records: Records) -> None:
        self._records = records

    # Steps of a plan --------------------------------------------------------------------------

    def begin_replacement(self, tenant_name: TenantName, replacement: Replacement) -> None:
        """Record what is to take whose place; what was applied is in doubt from now on."""
        self._records.amend(
            tenant_name, lambda memory: replace(memory, replacement=replacement, applied="")
        )

    def abandon_replacement(self, tenant_name: TenantName) -> None:
        """Forget a replacement whose server was never started."""

        def abandon(memory: Memory) -> Memory:
            if memory.replacement is None or memory.on_trial:
                return memory
            outgoing = with_number(memory.outgoing, memory.replacement.instance)
            return replace(memory, replacement=None, outgoing=outgoing)

        self._records.amend(tenant_name, abandon)

    def switch_instance(self, tenant_name: TenantName, *, instance: int) -> None:
        """Record that *instance* is in charge."""
        self._records.amend(tenant_name, lambda memory: replace(memory, instance=instance))

    def accept_replacement(self, tenant_name: TenantName) -> None:
        """Record that the new server stays, that its wish is served and whose folders may go."""

        def accept(memory: Memory) -> Memory:
            begun = memory.on_trial
            if begun is None:
                return memory
            failed = _still_held_back(memory, begun)
            if failed:
                # Its data may have been rewritten by what the image's name stands for by now.
                failed = replace(failed, kept=replace(failed.kept, image_id=""))
            return replace(
                memory,
                replacement=None,
                held_back=failed,
                outgoing=with_number(memory.outgoing, begun.former),
                restarted_at=begun.wish or memory.restarted_at,
                restart_wish=None,
            )

        self._records.amend(tenant_name, accept)

    def condemn_replacement(
        self, tenant_name: TenantName, *, reason: str, message: str, image_id: str
    ) -> None:
        """Record why the new server failed."""

        def condemn(memory: Memory) -> Memory:
            if memory.replacement is None:
                return memory
            failed = replace(memory.replacement, failure=(reason, message), failed_image=image_id)
            return replace(memory, replacement=failed)

        self._records.amend(tenant_name, condemn)

    def return_to_former(self, tenant_name: TenantName) -> None:
        """Record that the former instance is in charge again, and what not to try once more."""

        def go_back(memory: Memory) -> Memory:
            begun = memory.on_trial
            if begun is None or begun.failure is None:
                return memory
            reason, message = begun.failure
            failed = HeldBack(
                target=begun.target,
                image_id=begun.failed_image,
                kept=begun.kept,
                reason=reason,
                message=message,
            )
            if before := _still_held_back(memory, begun):
                failed = replace(before, kept=begun.kept)
            return replace(
                memory,
                instance=begun.former,
                replacement=None,
                held_back=failed,
                outgoing=with_number(memory.outgoing, begun.instance),
                restarted_at=begun.wish or memory.restarted_at,
                restart_wish=None,
            )

        self._records.amend(tenant_name, go_back)

    def forget_held_back(self, tenant_name: TenantName) -> None:
        """Forget what failed once."""
        self._records.amend(tenant_name, lambda memory: replace(memory, held_back=None))

    # Findings of other adapters ---------------------------------------------------------------

    def remember_staged(self, tenant_name: TenantName) -> None:
        """Record that the folders of the new instance are ours to empty."""
        self._change(tenant_name, staged=True)

    def remember_note(self, tenant_name: TenantName, note: Note) -> None:
        """Record what the server before holds."""
        self._change(tenant_name, note=note)

    def remember_failure(self, tenant_name: TenantName, *, reason: str, message: str) -> None:
        """Record what a comparison found."""
        self._change(tenant_name, failure=(reason, message))

    def remember_image(self, tenant_name: TenantName, learned: LearnedImage) -> None:
        """Record what an image holds."""
        self._records.amend(tenant_name, lambda memory: replace(memory, learned=learned))

    def forget_instance(self, tenant_name: TenantName, instance: int) -> None:
        """Record that the folders of *instance* are gone."""
        self._records.amend(
            tenant_name,
            lambda memory: replace(
                memory, outgoing=tuple(each for each in memory.outgoing if each != instance)
            ),
        )

    def under_way(self, tenant_name: TenantName) -> Replacement:
        """Return the replacement under way.

        Raises:
            WaitingError: There is none any more.
        """
        begun = self._records.recall(tenant_name).replacement
        if begun is None:
            raise WaitingError(f"nothing takes the place of the server of {tenant_name}")
        return begun

    def check_pause(self, tenant_name: TenantName, *, now: datetime, patience: timedelta) -> None:
        """Return if nobody can write to a noted server until *patience* is over.

        Raises:
            WaitingError: Its clients may write before, and that would be lost.
        """
        memory = self._records.recall(tenant_name)
        begun = memory.replacement
        # What is noted of the server before says nothing of one on trial.
        noted = begun.note if begun and begun.instance != memory.instance else None
        if noted and now + patience > noted.until:
            raise WaitingError(
                f"cannot stop the server of {tenant_name}: writes come back before it has ended"
            )

    def may_be_needed(self, tenant_name: TenantName, instance: int) -> bool:
        """Return whether *instance* is in charge, or may be yet."""
        memory = self._records.recall(tenant_name)
        begun = memory.replacement
        return instance in (memory.instance, *((begun.former, begun.instance) if begun else ()))

    def _change(
        self,
        tenant_name: TenantName,
        *,
        staged: bool | None = None,
        note: Note | None = None,
        failure: tuple[str, str] | None = None,
    ) -> None:
        def change(memory: Memory) -> Memory:
            begun = memory.replacement
            if begun is None:
                return memory
            changed = replace(
                begun,
                staged=begun.staged if staged is None else staged,
                note=note or begun.note,
                failure=failure or begun.failure,
            )
            return replace(memory, replacement=changed)

        self._records.amend(tenant_name, change)


def with_number(numbers: tuple[int, ...], number: int) -> tuple[int, ...]:
    """Return *numbers* in order, with *number* among them once."""
    return tuple(sorted({*numbers, number}))


def _still_held_back(memory: Memory, begun: Replacement) -> HeldBack | None:
    """Return what failed before, if *begun* was about what serves instead of it.

    Whether that came up again or not, it says nothing about what the document asks for. Once that
    is something else, the failure is forgotten before anything is begun.
    """
    failed = memory.held_back
    return failed if failed and failed.target != begun.target else None
