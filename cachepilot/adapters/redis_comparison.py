"""Notes what a server holds before it stops, and compares its successor with that."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import redis.exceptions

from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.redis_errors import is_saturated, why
from cachepilot.adapters.redis_ordering import Ordering, execute
from cachepilot.adapters.redis_sample import (
    READER,
    READER_RULES,
    Ask,
    asker,
    compare_sample,
    databases_of,
    take_sample,
)
from cachepilot.adapters.replacement_record import ReplacementRecord
from cachepilot.adapters.secret import Secret
from cachepilot.errors import StalledError, UnavailableError
from cachepilot.observe.replacement import Note, NotedDatabase, NotedKey
from cachepilot.spec.document import TenantName

_SECTIONS = ("persistence", "stats", "keyspace", "memory")


class DataComparison(Ordering):
    """Orders that prove that a server has the data of the one before.

    Args:
        connections: Kept connections.
        replacements: Where notes and findings go.
        utc_now: Tells what has expired.
        monotonic: Seconds that never jump.
        stopping: Set when the daemon stops; ends every wait.
    """

    def __init__(
        self,
        connections: ManagementConnections,
        replacements: ReplacementRecord,
        *,
        utc_now: Callable[[], datetime],
        monotonic: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        super().__init__(connections, monotonic=monotonic, stopping=stopping)
        self._replacements = replacements
        self._utc_now = utc_now

    def note_data(self, tenant_name: TenantName, *, instance: int, pause: timedelta) -> None:
        """Pause writes for *pause*, then record what the server holds."""
        with self._order(tenant_name, instance, "note the data", reason="NoteFailed") as client:
            now = self._utc_now()
            client.client_pause(int(pause.total_seconds() * 1000), all=False)
            try:
                info: dict[str, Any] = client.info(*_SECTIONS)
                databases = databases_of(info)
                sample = self._sample(tenant_name, instance, databases)
            except BaseException:
                with suppress(redis.exceptions.RedisError):
                    client.client_unpause()
                raise
        note = Note(
            until=now + pause,
            databases=databases,
            sample=sample,
            evicts=info.get("maxmemory_policy") != "noeviction",
        )
        self._replacements.remember_note(tenant_name, note)

    def compare_data(self, tenant_name: TenantName, *, instance: int) -> None:
        """Return if the server holds what was noted, but for what expired or was evicted."""
        note = self._replacements.under_way(tenant_name).note
        if note is None:
            return
        with self._order(tenant_name, instance, "compare the data", reason="NoteFailed") as client:
            info: dict[str, Any] = client.info(*_SECTIONS)
            found = counts_differ(note, info)
            if not found and note.sample:
                now_ms = int(self._utc_now().timestamp() * 1000)
                with self._reading(tenant_name, instance) as ask:
                    gone, changed = compare_sample(ask, note.sample, now_ms=now_ms)
                lost = len(gone) if len(gone) > _evicted(note, info) else 0
                found = _sample_differs(lost, len(changed), len(note.sample))
        if found:
            message = f"the new server of {tenant_name} does not hold the same data: {found}"
            self._replacements.remember_failure(tenant_name, reason="DataDiffers", message=message)
            raise StalledError(message, reason="DataDiffers")

    def _sample(
        self, tenant_name: TenantName, instance: int, databases: tuple[NotedDatabase, ...]
    ) -> tuple[NotedKey, ...]:
        """Return a sample; none of a server that has no room for one more connection."""
        try:
            with self._reading(tenant_name, instance) as ask:
                return take_sample(ask, databases)
        except redis.exceptions.ConnectionError as error:
            if is_saturated(error):
                return ()
            raise

    @contextmanager
    def _reading(self, tenant_name: TenantName, instance: int) -> Iterator[Ask]:
        """Give a connection of a user that may read every key, and that is gone afterwards."""
        password = Secret(secrets.token_urlsafe(32))
        sha256 = hashlib.sha256(password.reveal().encode()).hexdigest()
        daemon = self._connections.get(tenant_name, instance)
        execute(daemon, "ACL SETUSER", READER, "reset", f"#{sha256}", *READER_RULES)
        try:
            with self._connections.opened(
                tenant_name, instance, user=READER, password=password
            ) as reader:
                yield asker(reader)
        except UnavailableError as error:
            raise redis.exceptions.ConnectionError(why(error)) from error
        finally:
            daemon.acl_deluser(READER)


def counts_differ(note: Note, info: dict[str, Any]) -> str:
    """Return how the keys of a server differ from what was noted, or empty.

    Keys without an end must all be there. Others may have ended meanwhile, but no more of them
    than the server says it let go, while it loaded or since.
    """
    expired = _count(info, "rdb_last_load_keys_expired") + _count(info, "expired_keys")
    evicted = _evicted(note, info)
    loaded = {each.number: each for each in databases_of(info)}
    missing = 0
    for before in note.databases:
        after = loaded.pop(before.number, None)
        keys, expiring = (after.keys, after.expiring) if after else (0, 0)
        lost = before.keys - keys
        lasting = before.keys - before.expiring - before.with_fields
        if lost < 0:
            return f"database {before.number} has {keys} keys, {before.keys} were noted"
        if keys - expiring + evicted < lasting:
            return (
                f"database {before.number} has {keys - expiring} keys that never expire, "
                f"{lasting} were noted"
            )
        if lost > before.expiring + before.with_fields + evicted:
            return f"database {before.number} has {keys} keys, {before.keys} were noted"
        missing += max(0, lost - before.with_fields)
    if any(each.keys for each in loaded.values()):
        return f"database {min(loaded)} has keys, none were noted"
    if missing > expired + evicted:
        return f"{missing} keys are gone, and only {expired + evicted} expired or were evicted"
    return ""


def _sample_differs(gone: int, changed: int, size: int) -> str:
    if not (gone or changed):
        return ""
    return f"of a sample of {size} keys {gone} are gone and {changed} are not the same"


def _evicted(note: Note, info: dict[str, Any]) -> int:
    return _count(info, "evicted_keys") if note.evicts else 0


def _count(info: dict[str, Any], name: str) -> int:
    found = info.get(name, 0)
    return found if isinstance(found, int) else 0
