"""What we remember of each tenant, on disk; passwords leave only as secrets or revisions."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from cachepilot.adapters.atomic import make_folder, sweep, write_durably
from cachepilot.adapters.paths import RECORD, RootPaths
from cachepilot.adapters.record_format import Record, parse_record, render_record
from cachepilot.adapters.secret import Secret
from cachepilot.adapters.stamp import Stamp, stamp_at
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import Memory, Reservation
from cachepilot.plan.logins import documented_password
from cachepilot.spec.document import TenantName
from cachepilot.spec.scalars import NAME_PATTERN

UNKNOWN = "unknown"
_is_name = re.compile(NAME_PATTERN).match
_BLANK = Record(memory=Memory())


class Records:
    """Reads and replaces record.json of every tenant.

    Reading is cheap: a file is parsed again only when its inode, size or times changed. Writing
    to one tenant never waits for another.
    """

    def __init__(self, paths: RootPaths, *, owners: bool) -> None:
        self._paths = paths
        self._owner = (0, 0) if owners else None
        self._cache: dict[TenantName, tuple[Stamp | None, Record]] = {}
        self._locks: dict[TenantName, threading.RLock] = {}
        self._guard = threading.Lock()

    def recall(self, tenant_name: TenantName) -> Memory:
        """Return the record of a tenant; a blank one when there is none.

        Raises:
            StalledError: The record is there but cannot be read (reason ``RecordUnreadable``).
        """
        return self._read(tenant_name).memory

    def known(self, besides: Collection[TenantName] = ()) -> tuple[TenantName, ...]:
        """Return the names of all tenants that have a record, sorted.

        Args:
            besides: Names to leave out, which costs less than looking for their records.

        Raises:
            UnavailableError: The folder of tenants is there but cannot be listed.
        """
        try:
            names = os.listdir(self._paths.tenants)  # noqa: PTH208 - a thousand Paths for a glance
        except FileNotFoundError:
            return ()
        except OSError as error:
            words = f"cannot list {self._paths.tenants}: {error.strerror}"
            raise UnavailableError(words) from error
        # As text: a thousand Paths would take longer than the looks.
        folder = str(self._paths.tenants)
        asked = sorted(frozenset(names).difference(besides))
        found = (TenantName(name) for name in asked if _is_name(name))
        return tuple(name for name in found if os.path.lexists(f"{folder}/{name}/{RECORD}"))

    def reservations(self, *, complete: bool) -> dict[TenantName, Reservation]:
        """Return what the records say their tenants hold.

        Args:
            complete: Whether leaving out an unreadable record would do harm.

        Raises:
            StalledError: A record cannot be read although all are needed.
        """
        found = {}
        for name in self.known():
            try:
                reservation = self.recall(name).reservation
            except StalledError:
                if complete:
                    raise
                continue
            if reservation:
                found[name] = reservation
        return found

    def secret(self, tenant_name: TenantName, user: str) -> Secret:
        """Return the password that *user* is documented to log in with.

        Raises:
            UnavailableError: There is none yet, or no server has taken it yet.
        """
        memory = self._read(tenant_name).memory
        documented = documented_password(memory, user)
        if documented is None and memory.credential(user):
            raise UnavailableError(
                f"cannot log in to tenant {tenant_name}: the server does not have {user} yet; "
                f"`describe tenant {tenant_name}` says why"
            )
        for revision, secret in self._passwords(tenant_name, user):
            if documented and revision == documented.revision:
                return secret
        raise UnavailableError(f"cannot log in to tenant {tenant_name}: no password of {user} yet")

    def secrets(self, tenant_name: TenantName, user: str) -> tuple[Secret, ...]:
        """Return every password of *user* that a server may accept, newest first."""
        return tuple(secret for _, secret in self._passwords(tenant_name, user))

    def password(self, tenant_name: TenantName, user: str, revision: int) -> Secret:
        """Return the password of one revision.

        Raises:
            WaitingError: It is not kept, so the plan that names it is out of date.
        """
        kept = dict(self._passwords(tenant_name, user))
        if revision not in kept:
            raise WaitingError(
                f"cannot use password {revision} of {user} for tenant {tenant_name}: "
                "it is no longer kept; look again"
            )
        return kept[revision]

    def revision_of(self, tenant_name: TenantName, user: str, sha256: str) -> str:
        """Return the revision whose password has this hash as text, or ``unknown``."""
        for revision, secret in self._passwords(tenant_name, user):
            if secret.sha256() == sha256.lower():
                return str(revision)
        return UNKNOWN

    def hashes(
        self, tenant_name: TenantName, user: str, revisions: tuple[int, ...]
    ) -> tuple[str, ...]:
        """Return the hash of each revision, for the server's eyes only.

        Raises:
            WaitingError: A revision is not kept, so the plan that names it is out of date.
        """
        return tuple(self.password(tenant_name, user, revision).sha256() for revision in revisions)

    def remember_certificate(self, tenant_name: TenantName, revision: int) -> None:
        """Record which leaf should be served."""
        self.amend(tenant_name, lambda memory: replace(memory, certificate=revision))

    def remember_data(self, tenant_name: TenantName) -> None:
        """Record that the data folder was made; from now on its absence means a loss."""
        self.amend(tenant_name, lambda memory: replace(memory, data_ready=True))

    def amend(self, tenant_name: TenantName, change: Callable[[Memory], Memory]) -> None:
        """Replace what is remembered besides passwords; see :meth:`change`."""
        self.change(tenant_name, lambda record: replace(record, memory=change(record.memory)))

    def change(self, tenant_name: TenantName, change: Callable[[Record], Record]) -> None:
        """Replace a record by what *change* makes of it; durable before it returns.

        Raises:
            StalledError: The record cannot be read, so it must not be replaced either.
            UnavailableError: It could not be written; the old one is still in force.
        """
        with self._lock(tenant_name):
            before = self._read(tenant_name)
            after = change(before)
            if after == before:
                return
            path = self._paths.record(tenant_name)
            if tenant_name not in self._cache:
                make_folder(self._paths.tenants, mode=0o711, owner=self._owner)
                make_folder(path.parent, mode=0o711, owner=self._owner)
                sweep(path.parent)
            content = render_record(tenant_name, after)
            write_durably(path, content, mode=0o600, owner=self._owner)
            self._cache[tenant_name] = (stamp_at(path), after)

    def _passwords(self, tenant_name: TenantName, user: str) -> tuple[tuple[int, Secret], ...]:
        record = self._read(tenant_name)
        pairs = zip(record.memory.credentials, record.passwords, strict=True)
        return tuple((seen.revision, secret) for seen, secret in pairs if seen.user == user)

    def _read(self, tenant_name: TenantName) -> Record:
        path = self._paths.record(tenant_name)
        try:
            stamp = stamp_at(path)
            cached = self._cache.get(tenant_name)
            if cached and stamp and cached[0] == stamp:
                return cached[1]
            record = parse_record(tenant_name, path.read_bytes())
        except FileNotFoundError:
            self._cache.pop(tenant_name, None)
            self._refuse_loss(tenant_name)
            return _BLANK
        except OSError as error:
            raise _unreadable(path, (error.strerror or "input/output error").lower()) from error
        except ValueError as error:
            raise _unreadable(path, str(error)) from None
        self._cache[tenant_name] = (stamp, record)
        return record

    def _refuse_loss(self, tenant_name: TenantName) -> None:
        """Tell a tenant that is new from one whose record vanished.

        A record is written before any folder. Taking a lost one for a blank one would give
        everybody new passwords.
        """
        data = self._paths.tenant(tenant_name) / "data"
        if data.is_dir():
            why = f"it is gone although {data} is there (move that away to begin anew)"
            raise _unreadable(self._paths.record(tenant_name), why)

    def _lock(self, tenant_name: TenantName) -> threading.RLock:
        with self._guard:
            return self._locks.setdefault(tenant_name, threading.RLock())


def _unreadable(path: Path, why: str) -> StalledError:
    return StalledError(
        f"cannot read {path}: {why}; put it back from a backup", reason="RecordUnreadable"
    )
