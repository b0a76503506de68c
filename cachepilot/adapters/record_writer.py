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
from cachepilot.adapters.secret import Secret
from cachepilot.observe.memory import Reservation, SeenCredential
from cachepilot.spec.document import PersistenceMode, TenantName

PASSWORD_LENGTH = 32
_ALPHABET = string.ascii_letters + string.digits

# A server accepts the revision before the newest one until it was told of the newest; older
# ones are forgotten, because a password that nobody needs is only a risk.
_KEPT_REVISIONS = 2


class RecordWriter:
    """The write port of the tenants' memory."""

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        passwords: PasswordFiles,
        *,
        utc_now: Callable[[], datetime],
    ) -> None:
        self._records = records
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

    def generate_credential(self, tenant_name: TenantName, *, user: str) -> None:
        """Draw a 32-character password as the next revision of *user*."""
        drawn = Secret("".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH)))
        self._records.change(
            tenant_name, lambda record: _with_password(record, user, drawn, from_file=False)
        )

    def adopt_password(self, tenant_name: TenantName, *, user: str, path: str) -> None:
        """Read the first line of *path* as the next revision of *user*; once for one content.

        Raises:
            StalledError: The file cannot be used (reason ``PasswordFileUnusable``).
        """
        read = self._passwords.read(Path(path))
        self._records.change(
            tenant_name, lambda record: _with_password(record, user, read, from_file=True)
        )

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

    def remember_applied(self, tenant_name: TenantName, *, fingerprint: str) -> None:
        """Record which directives the server was seen to have; empty for a doubt."""
        self._records.amend(tenant_name, lambda memory: replace(memory, applied=fingerprint))


def _with_password(record: Record, user: str, secret: Secret, *, from_file: bool) -> Record:
    """Return *record* with *secret* as the newest password of *user*, the newest first."""
    pairs = tuple(zip(record.memory.credentials, record.passwords, strict=True))
    mine = [pair for pair in pairs if pair[0].user == user]
    if mine and mine[0][1] == secret and mine[0][0].from_file == from_file:
        return record
    revision = mine[0][0].revision + 1 if mine else 1
    newest = SeenCredential(user=user, revision=revision, from_file=from_file)
    # One password has one revision, so that a hash read back means one thing.
    earlier = [pair for pair in mine if pair[1] != secret][: _KEPT_REVISIONS - 1]
    others = [pair for pair in pairs if pair[0].user != user]
    kept = ((newest, secret), *earlier, *others)
    return Record(
        memory=replace(record.memory, credentials=tuple(seen for seen, _ in kept)),
        passwords=tuple(password for _, password in kept),
    )
