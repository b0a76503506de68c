"""Who holds which port and user id; durable before anything relies on it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cachepilot.adapters.atomic import explained, make_folder, write_durably
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.records import Records
from cachepilot.adapters.stamp import Stamp, stamp_at
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.memory import Reservation
from cachepilot.spec.document import TenantName


class _Page(BaseModel):
    """The content of ledger.json; replaced as a whole, never changed in place.

    Attributes:
        held: What each tenant holds.
        released_ports: When nobody held a port any more.
        released_uids: Likewise for user ids.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1
    held: dict[TenantName, Reservation] = {}
    released_ports: dict[int, datetime] = {}
    released_uids: dict[int, datetime] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """What the ledger says at one moment, in the words of the snapshot."""

    owned_ports: tuple[tuple[int, str], ...]
    owned_uids: tuple[tuple[int, str], ...]
    bridges: tuple[tuple[int, int], ...]
    resting_ports: frozenset[int] = frozenset()
    resting_uids: frozenset[int] = frozenset()


class Ledger:
    """One file for all tenants, one writer at a time.

    Args:
        paths: Where the file lies.
        records: What the tenants remember to hold. A tenant that an older copy of the ledger
            does not know is taken from there; a ledger that is gone is rebuilt from all records
            or not at all.
        owners: Whether files can be given to root.
    """

    def __init__(self, paths: RootPaths, records: Records, *, owners: bool) -> None:
        self._path = paths.ledger
        self._records = records
        self._owner = (0, 0) if owners else None
        self._lock = threading.Lock()
        self._cached: tuple[Stamp | None, _Page] | None = None
        self._summary: tuple[_Page, LedgerView] | None = None
        self._unsaved = False
        self._note = ""

    @property
    def note(self) -> str:
        """What had to be mended when the file was last read, or empty."""
        return self._note

    def reserve(self, tenant_name: TenantName, reservation: Reservation, *, now: datetime) -> None:
        """Let a tenant hold exactly *reservation*; what it held besides begins to rest.

        Raises:
            WaitingError: Another tenant holds one of the ports or the user id; look again.
            StalledError: The ledger cannot be read (reason ``LedgerUnreadable``).
        """
        with self._lock:
            page = self._load()
            _refuse_taken(page, tenant_name, reservation)
            before = page.held.get(tenant_name)
            if before == reservation and not self._unsaved:
                return
            ports, uids = _ports(reservation), {reservation.uid}
            old_ports = _ports(before) if before else set()
            old_uids = {before.uid} if before else set()
            self._save(
                page.model_copy(
                    update={
                        "held": {**page.held, tenant_name: reservation},
                        "released_ports": _rest(page.released_ports, old_ports, ports, now),
                        "released_uids": _rest(page.released_uids, old_uids, uids, now),
                    }
                )
            )

    def view(self, *, now: datetime, quarantine: timedelta) -> LedgerView:
        """Return who holds what, and what was released less than *quarantine* ago.

        Raises:
            StalledError: The ledger cannot be read (reason ``LedgerUnreadable``).
        """
        with self._lock:
            page = self._load()
            if self._summary is None or self._summary[0] is not page:
                self._summary = (page, _summarize(page))
            summary = self._summary[1]
        return replace(
            summary,
            resting_ports=_resting(page.released_ports, now, quarantine),
            resting_uids=_resting(page.released_uids, now, quarantine),
        )

    def _load(self) -> _Page:
        """Return the page in force; the lock is held."""
        stamp = self._stamp()
        if self._cached and self._cached[0] == stamp:
            return self._cached[1]
        page = self._parse() if stamp else _Page()
        known = self._records.reservations(complete=False) if stamp else self._recovered()
        missing = {name: kept for name, kept in known.items() if name not in page.held}
        if missing:
            what = "lacked" if stamp else "was gone, with"
            self._note = f"{self._path} {what} {len(missing)} tenants; taken from their records"
            page = page.model_copy(update={"held": {**page.held, **missing}})
        self._unsaved = bool(missing)
        self._cached = (stamp, page)
        return page

    def _recovered(self) -> dict[TenantName, Reservation]:
        try:
            return self._records.reservations(complete=True)
        except StalledError as error:
            raise self._unreadable(f"it is gone, and rebuilding it failed: {error}") from error

    def _parse(self) -> _Page:
        try:
            return _Page.model_validate_json(self._path.read_bytes())
        except OSError as error:
            raise self._unreadable((error.strerror or "input/output error").lower()) from error
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "its beginning"
            why = f"{first['type'].replace('_', ' ')} at {where}"
            raise self._unreadable(why) from None

    def _save(self, page: _Page) -> None:
        """Write *page*; memory follows the disk, never the other way round."""
        make_folder(self._path.parent, mode=0o711, owner=self._owner)
        content = page.model_dump_json(indent=1).encode() + b"\n"
        write_durably(self._path, content, mode=0o600, owner=self._owner)
        self._cached = (self._stamp(), page)
        self._unsaved = False

    def _stamp(self) -> Stamp | None:
        with explained("read", self._path):
            return stamp_at(self._path)

    def _unreadable(self, why: str) -> StalledError:
        return StalledError(
            f"cannot read {self._path}: {why}; put it back from a backup, or remove it to have "
            "it rebuilt from the tenants' records",
            reason="LedgerUnreadable",
        )


def _summarize(page: _Page) -> LedgerView:
    """Return what stays the same until the page changes; a thousand visits share it."""
    ports = {port: name for name, kept in page.held.items() for port in _ports(kept)}
    uids = {kept.uid: name for name, kept in page.held.items()}
    bridges = Counter(kept.bridge for kept in page.held.values())
    return LedgerView(
        owned_ports=tuple(sorted(ports.items())),
        owned_uids=tuple(sorted(uids.items())),
        bridges=tuple(sorted(bridges.items())),
    )


def _refuse_taken(page: _Page, tenant_name: TenantName, wanted: Reservation) -> None:
    for name, kept in page.held.items():
        if name == tenant_name:
            continue
        if taken := sorted(_ports(kept) & _ports(wanted)):
            raise WaitingError(f"cannot reserve port {taken[0]}: tenant {name} was faster")
        if kept.uid == wanted.uid:
            raise WaitingError(f"cannot reserve user id {kept.uid}: tenant {name} was faster")


def _ports(kept: Reservation) -> set[int]:
    return {port for port in (kept.tls_port, kept.plain_port) if port is not None}


def _rest(
    resting: Mapping[int, datetime], before: set[int], after: set[int], now: datetime
) -> dict[int, datetime]:
    """Return *resting* with what is held no longer, without what is held again."""
    still = {number: since for number, since in resting.items() if number not in after}
    return still | dict.fromkeys(sorted(before - after), now)


def _resting(
    released: Mapping[int, datetime], now: datetime, quarantine: timedelta
) -> frozenset[int]:
    # A clock that jumped may have stamped a release far in the future; that must not keep a
    # port out of use until then.
    return frozenset(number for number, since in released.items() if abs(now - since) < quarantine)
