"""Changes what we remember; durable before anything relies on it."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cachepilot.adapters.ledger import Ledger
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.adapters.record_format import Record
from cachepilot.adapters.records import Records
from cachepilot.adapters.replacement_record import ReplacementRecord, with_number
from cachepilot.adapters.secret import Secret
from cachepilot.observe.memory import (
    HandOver,
    HandOverPhase,
    Memory,
    Reservation,
    SeenCredential,
)
from cachepilot.observe.user_memory import KeptRules
from cachepilot.spec.document import PersistenceMode, TenantName

PASSWORD_LENGTH = 32
_ALPHABET = string.ascii_letters + string.digits


class RecordWriter(ReplacementRecord):
    """The write port of the tenants' memory."""

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        passwords: PasswordFiles,
        *,
        utc_now: Callable[[], datetime],
    ) -> None:
        super().__init__(records)
        self._ledger = ledger
        self._passwords = passwords
        self._utc_now = utc_now

    def remember_document(
        self, tenant_name: TenantName, *, generation: int, digest: str, source: str, document: str
    ) -> None:
        """Keep a document as the last good one."""
        self._records.amend(
            tenant_name,
            lambda memory: replace(
                memory,
                generation=generation,
                document_digest=digest,
                source=source,
                document=document,
                retired=False,
            ),
        )

    def retire(self, tenant_name: TenantName) -> None:
        """Record that serving ended with the tenant's file; remembering a document undoes it."""
        self._records.amend(tenant_name, lambda memory: replace(memory, retired=True))

    def reserve(self, tenant_name: TenantName, reservation: Reservation) -> None:
        """Take ports and uid in the ledger, release what the tenant held before, and record it.

        Raises:
            WaitingError: Another tenant was faster; look again.
        """
        # Ledger first: after a crash in between, the ledger still says who holds the port, and
        # the next visit of that tenant takes it up again.
        self._ledger.reserve(tenant_name, reservation, now=self._utc_now())
        self._records.amend(tenant_name, lambda memory: replace(memory, reservation=reservation))

    def generate_credential(
        self,
        tenant_name: TenantName,
        *,
        user: str,
        pending: bool,
        wish: str | None,
        now: datetime,
    ) -> None:
        """Draw a 32-character password as the next revision of *user*, and *wish* as served."""
        drawn = Secret("".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH)))
        fresh = SeenCredential(user=user, revision=1, pending=pending, since=now)

        def draw(record: Record) -> Record:
            record = _with_password(record, fresh, drawn)
            if wish is None:
                return record
            return replace(record, memory=record.memory.with_rotation(user, wish))

        self._records.change(tenant_name, draw)

    def adopt_password(
        self, tenant_name: TenantName, *, user: str, path: str, pending: bool, now: datetime
    ) -> None:
        """Read the first line of *path* as the next revision of *user*; once for one content.

        Raises:
            StalledError: The file cannot be used (reason ``PasswordFileUnusable``).
        """
        read = self._passwords.read(Path(path))
        fresh = SeenCredential(user=user, revision=1, from_file=True, pending=pending, since=now)
        self._records.change(tenant_name, lambda record: _with_password(record, fresh, read))

    def promote_credential(
        self, tenant_name: TenantName, *, user: str, revision: int, now: datetime
    ) -> None:
        """Record that a password came into force now."""

        def promote(memory: Memory) -> Memory:
            return replace(
                memory,
                credentials=tuple(
                    seen if seen.user != user else _promoted(seen, revision, now)
                    for seen in memory.credentials
                ),
            )

        self._records.amend(tenant_name, promote)

    def forget_credentials(
        self, tenant_name: TenantName, *, user: str, revisions: tuple[int, ...]
    ) -> None:
        """Remove passwords from the record; with the last of a user its served wish goes too."""

        def forget(record: Record) -> Record:
            kept = _keep(
                record, lambda seen, _: seen.user != user or seen.revision not in revisions
            )
            if kept.memory.credentials_of(user):
                return kept
            return replace(kept, memory=kept.memory.with_rotation(user, None))

        self._records.change(tenant_name, forget)

    def remember_rules(self, tenant_name: TenantName, *, rules: tuple[KeptRules, ...]) -> None:
        """Record what the users of the spec may do on the server."""
        self._records.amend(tenant_name, lambda memory: replace(memory, rules=rules))

    def begin_restart(self, tenant_name: TenantName, *, wish: str, at: datetime) -> None:
        """Record which wish is being served."""
        self._records.amend(tenant_name, lambda memory: replace(memory, restart_wish=(wish, at)))

    def finish_restart(self, tenant_name: TenantName, *, wish: str) -> None:
        """Record that a wish was served."""
        self._records.amend(
            tenant_name, lambda memory: replace(memory, restarted_at=wish, restart_wish=None)
        )

    def expect_dump(self, tenant_name: TenantName, *, expected: bool) -> None:
        """Record whether a memory-only tenant's dump is there to be loaded."""
        self._records.amend(tenant_name, lambda memory: replace(memory, load_once=expected))

    def remember_persistence(self, tenant_name: TenantName, *, mode: PersistenceMode) -> None:
        """Record in which mode the data on disk is kept."""
        self._records.amend(tenant_name, lambda memory: replace(memory, persistence=mode))

    def remember_wait(self, tenant_name: TenantName, *, wait: tuple[int, datetime] | None) -> None:
        """Record which generation's wish to end serving waits, and until when."""
        self._records.amend(tenant_name, lambda memory: replace(memory, wait=wait))

    def remember_hand_over(self, tenant_name: TenantName, *, hand_over: HandOver | None) -> None:
        """Record how far a hand-over is.

        One that closes the old server makes it doubtful what that has; one that is won makes its
        successor the server; of one that failed nobody needs the successor's folders any more.
        """

        def remember(memory: Memory) -> Memory:
            found = replace(memory, hand_over=hand_over)
            if hand_over and hand_over.phase is HandOverPhase.CLOSING:
                return replace(found, applied="")
            if hand_over and hand_over.phase is HandOverPhase.WON:
                return replace(found, instance=hand_over.instance)
            if hand_over and hand_over.phase is HandOverPhase.FAILED:
                outgoing = with_number(memory.outgoing, hand_over.instance)
                return replace(found, outgoing=outgoing)
            return found

        self._records.amend(tenant_name, remember)

    def remember_applied(self, tenant_name: TenantName, *, fingerprint: str) -> None:
        """Record which directives the server was seen to have; empty for a doubt."""
        self._records.amend(tenant_name, lambda memory: replace(memory, applied=fingerprint))


def _promoted(seen: SeenCredential, revision: int, now: datetime) -> SeenCredential:
    """Return a user's credential as of the moment that *revision* comes into force."""
    if seen.revision == revision:
        return replace(seen, pending=False, since=now)
    if seen.pending or (seen.replaced and seen.replaced <= now):
        return seen
    return replace(seen, replaced=now)


def _with_password(record: Record, fresh: SeenCredential, secret: Secret) -> Record:
    """Return *record* with *secret* as the next password of a user.

    One that is pending is given up for it. No password has two revisions, so that a hash read back
    means one thing.
    """
    user = fresh.user
    known = record.memory.credentials_of(user)
    documented = record.memory.credential(user)
    if known:
        fresh = replace(fresh, revision=known[0].revision + 1)
    for seen, password in zip(record.memory.credentials, record.passwords, strict=True):
        if seen.user == user and password == secret and seen in (known[0], documented):
            fresh = replace(seen, from_file=fresh.from_file)
    kept = _keep(
        record, lambda seen, old: seen.user != user or not (seen.pending or old == secret)
    )
    return Record(
        memory=replace(kept.memory, credentials=(fresh, *kept.memory.credentials)),
        passwords=(secret, *kept.passwords),
    )


def _keep(record: Record, wanted: Callable[[SeenCredential, Secret], bool]) -> Record:
    """Return *record* with only the passwords that are *wanted*."""
    pairs = zip(record.memory.credentials, record.passwords, strict=True)
    kept = [pair for pair in pairs if wanted(*pair)]
    return Record(
        memory=replace(record.memory, credentials=tuple(seen for seen, _ in kept)),
        passwords=tuple(password for _, password in kept),
    )
