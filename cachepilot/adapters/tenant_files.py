"""The folder of tenants as a source of specs: reads what changed and nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cachepilot.adapters.regular_file import UnusableFileError, read_regular_file
from cachepilot.adapters.stamp import Stamp, stamp_of
from cachepilot.adapters.tenant_absence import Absences
from cachepilot.adapters.tenant_claims import Claim, gather, settle
from cachepilot.adapters.tenant_file import (
    TenantFile,
    content_digest,
    read_tenant_file,
    unreadable_file,
)
from cachepilot.adapters.tenant_folder import is_same_folder, list_files, opened
from cachepilot.adapters.tenant_readings import View, in_order, reading_of
from cachepilot.adapters.yaml_reader import MAX_BYTES
from cachepilot.spec.document import TenantName
from cachepilot.spec.problem import Problem
from cachepilot.spec.reading import Reading
from cachepilot.spec.rules import Rules
from cachepilot.spec.tree import shorten

# Seconds. A file that is younger than this and makes no sense is probably still being written.
_SETTLES_AFTER = 1.0
# The same for one that makes sense but ends in the middle of a line: `name: acm` is a tenant too.
_LINE_ENDS_AFTER = 0.3
# File systems and clocks disagree by so much; a file from further ahead is simply misdated.
_SLACK = 2.0
# Added to every wait, so that it is over when somebody looks again.
_MARGIN = timedelta(milliseconds=20)


@dataclass(slots=True)
class Work:
    """How much was done since the start; benchmarks look at it."""

    files_listed: int = 0
    files_read: int = 0
    files_parsed: int = 0


class TenantFiles:
    """A :class:`~cachepilot.spec.ports.SpecSource` over one folder.

    One thread at a time refreshes; any thread reads what the last refresh found.
    """

    def __init__(
        self,
        folder: Path,
        rules: Rules,
        *,
        incumbent: Callable[[TenantName], str] = lambda _: "",
        held_by: Callable[[str], Collection[TenantName]] = lambda _: (),
    ) -> None:
        """Read nothing yet.

        Args:
            folder: Where the files are.
            rules: What documents are checked against.
            incumbent: The path that a tenant's record names, or empty.
            held_by: The tenants whose records name a path.
        """
        self.work = Work()
        self._folder = folder
        self._rules = rules
        self._incumbent = incumbent
        self._held_by = held_by
        self._refreshing = threading.Lock()
        self._files: dict[str, TenantFile] = {}
        self._trusted: dict[str, Stamp] = {}
        self._homes: dict[TenantName, str] = {}
        self._claims: dict[TenantName, Claim] = {}
        self._absences = Absences()
        self._view = View()
        self._retry_after: timedelta | None = None

    # What the last refresh found --------------------------------------------------------------

    def read(self, tenant_name: TenantName) -> Reading:
        """Return what the folder said about *tenant_name* at the last refresh."""
        return self._view.read(tenant_name)

    def names(self) -> frozenset[TenantName]:
        """Return everybody who has a document, valid or not."""
        return frozenset(name for name, found in self._view.readings.items() if found.source)

    def problems(self) -> tuple[Problem, ...]:
        """Return everything that is wrong with the folder and its files, file by file."""
        return self._view.problems

    @property
    def retry_after(self) -> timedelta | None:
        """How soon to refresh again because a file seems to be half written; None if none is."""
        return self._retry_after

    # Reading ----------------------------------------------------------------------------------

    def use_rules(self, rules: Rules) -> None:
        """Check every document against *rules* at the next refresh."""
        with self._refreshing:
            if rules != self._rules:
                self._rules = rules
                self._trusted.clear()

    def refresh(self, now: datetime) -> frozenset[TenantName]:
        """List the folder again, read what changed, and return whom that concerns."""
        with self._refreshing:
            self._retry_after = None
            trouble = self._read_folder(now)
            return self._publish(now, trouble)

    def _read_folder(self, now: datetime) -> Problem | None:
        """Bring the files up to date; return why the folder could not be listed."""
        try:
            with opened(self._folder) as folder:
                listed = list_files(folder)
                files, trusted = {}, {}
                for name, stamp in listed:
                    path = f"{self._folder}/{name}"
                    file = self._read_file(path, name, folder, stamp, now)
                    if file:
                        files[path] = file
                    if path in self._trusted:
                        trusted[path] = self._trusted[path]
                if not is_same_folder(self._folder, folder):
                    # Swapped while we read; what we hold is whole, but no longer the newest.
                    self._look_again(timedelta())
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            return Problem(
                file=str(self._folder),
                message=f"cannot list the folder of tenants: {reason}",
                hint="nothing is changed or removed until it can be listed again",
            )
        self.work.files_listed += len(listed)
        self._files, self._trusted = files, trusted
        return None

    def _read_file(
        self, path: str, name: str, folder: int, stamp: Stamp | None, now: datetime
    ) -> TenantFile | None:
        """Return what *path* says; what it said before if it did not change or is half written."""
        if not name.isprintable():
            shown = str(self._folder / os.fsencode(name).decode(errors="backslashreplace"))
            why = "cannot be used: its name holds characters that are not text; rename it"
            return unreadable_file(shorten(shown, 200), why, self._rules, held=())
        old = self._files.get(path)
        if old and stamp and self._trusted.get(path) == stamp:
            return old
        self._trusted.pop(path, None)

        def held() -> Collection[TenantName]:
            return old.held if old else self._held_by(path)

        try:
            data, status = read_regular_file(Path(name), most=MAX_BYTES, folder=folder)
        except FileNotFoundError:
            return None
        except UnusableFileError as error:
            new = unreadable_file(path, str(error), self._rules, held=held())
            return old if old and old.problems == new.problems else new
        self.work.files_read += 1
        # Not as a datetime: some file systems keep dates that are beyond all calendars.
        age = now.timestamp() - stamp_of(status).newest
        is_as_before = old is not None and old.digest == content_digest(data)
        if old and is_as_before and old.rules is self._rules:
            new = old
        else:
            self.work.files_parsed += 1
            new = read_tenant_file(data, path, self._rules, held=held)
            # What it said before is whole, whatever today's rules make of it.
            settles_after = 0.0 if is_as_before else _settling_time(new, data)
            if settles_after and -_SLACK < age < settles_after:
                self._look_again(timedelta(seconds=settles_after - age))
                return old
        if age > _SETTLES_AFTER:
            # Younger than that it may change again without its stamp showing it.
            self._trusted[path] = stamp_of(status)
        return new

    def _look_again(self, after: timedelta) -> None:
        soon = max(after, timedelta()) + _MARGIN
        self._retry_after = min(soon, self._retry_after or soon)

    # Publishing -------------------------------------------------------------------------------

    def _publish(self, now: datetime, trouble: Problem | None) -> frozenset[TenantName]:
        files = [self._files[path] for path in sorted(self._files)]
        winners, duplicates = settle(gather(files), incumbent=self._incumbent, homes=self._homes)
        complete = trouble is None and not any(file.unread for file in files)
        # An empty folder is more often a lost mount than a wish, and a half-written file may
        # still name anybody: neither lets us call a tenant absent.
        can_miss = complete and bool(files) and self._retry_after is None
        self._homes |= {name: claim.file.path for name, claim in winners.items()}
        self._absences.note(now, present=winners.keys(), counts=can_miss)
        readings = {
            name: self._reading(name, claim, is_listed=trouble is None)
            for name, claim in winners.items()
        }
        self._claims = winners if trouble is None else {}
        problems = [trouble] if trouble else []
        problems += [problem for file in files for problem in file.all_problems]
        view = View(
            readings=readings,
            problems=in_order((*problems, *duplicates)),
            can_miss=can_miss,
            first_look=self._absences.first_look,
            last_look=now,
            unusable=tuple(file for file in files if file.text),
        )
        for name, since in self._absences.since.items():
            readings[name] = view.missing(name, since)
        old, self._view = self._view.readings, view
        both = ((name, old.get(name), readings.get(name)) for name in old.keys() | readings.keys())
        return frozenset(
            name for name, before, after in both if before is not after and before != after
        )

    def _reading(self, name: TenantName, claim: Claim, *, is_listed: bool) -> Reading:
        """Return what *claim* says: the same object as before, unless its file was read again."""
        before = self._claims.get(name)
        if is_listed and before and before.is_same(claim):
            return self._view.readings[name]
        return reading_of(name, claim, is_listed=is_listed)


def _settling_time(file: TenantFile, data: bytes) -> float:
    """Return how many seconds old *file* must be before it can be believed."""
    if not file.is_good:
        return _SETTLES_AFTER
    return 0.0 if data.endswith(b"\n") else _LINE_ENDS_AFTER
