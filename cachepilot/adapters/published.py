"""Reads what the daemon published about tenants and host, as plain JSON.

The command line shows a thousand tenants before a person notices waiting, so nothing heavy is
imported here: no models, only the published objects and names for the parts that are shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cachepilot.adapters.paths import RootPaths
from cachepilot.errors import CachePilotError

if TYPE_CHECKING:  # the model would bring pydantic along
    from cachepilot.spec.document import TenantName

_SNAPSHOT = ',"snapshot":'
HEARTBEAT_LIMIT = timedelta(seconds=30)


class StatusUnreadableError(CachePilotError):
    """There is no published status that we could read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTenant:
    """One tenant as it was last published.

    Attributes:
        content: The published object without its snapshot.
        confirmed_at: When the daemon last confirmed that this is still true.
    """

    name: str
    content: Mapping[str, Any]
    confirmed_at: datetime

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Name, labels, annotations and source."""
        return _object(self.content.get("metadata"))

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels of the document."""
        return _object(self.metadata.get("labels"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """What is wanted, defaults included; empty while no valid document was ever seen."""
        return _object(self.content.get("spec"))

    @property
    def status(self) -> Mapping[str, Any]:
        """What the daemon says about it."""
        return _object(self.content.get("status"))

    @property
    def word(self) -> str:
        """The one word that sums the conditions up."""
        return str(self.status.get("word") or "Unknown")

    @property
    def conditions(self) -> tuple[Mapping[str, Any], ...]:
        """All conditions in the order of publication."""
        return tuple(_object(each) for each in self.status.get("conditions") or ())

    @property
    def endpoints(self) -> tuple[Mapping[str, Any], ...]:
        """Where clients connect."""
        return tuple(_object(each) for each in self.status.get("endpoints") or ())

    @property
    def users(self) -> tuple[Mapping[str, Any], ...]:
        """Who can log in."""
        return tuple(_object(each) for each in self.status.get("users") or ())

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return the condition of type *kind*; empty when it does not apply."""
        return next((each for each in self.conditions if each.get("type") == kind), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedHost:
    """The daemon and its host as last published."""

    content: Mapping[str, Any]
    heartbeat: datetime | None

    def is_alive(self, now: datetime) -> bool:
        """Whether the daemon gave a sign of life within the last half minute."""
        return self.heartbeat is not None and now - self.heartbeat <= HEARTBEAT_LIMIT


class PublishedStatus:
    """The folder of published status, read-only."""

    def __init__(self, paths: RootPaths) -> None:
        self._paths = paths

    def names(self) -> tuple[str, ...]:
        """Return the names of all published tenants, sorted.

        Raises:
            StatusUnreadableError: The folder is missing or closed to us.
        """
        return tuple(sorted(name for name, _ in self._files()))

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Return for each tenant a value that changes whenever its file is replaced.

        Raises:
            StatusUnreadableError: As :meth:`names`.
        """
        found: dict[str, tuple[int, int]] = {}
        for name, entry in self._files():
            try:
                seen = entry.stat()
            except FileNotFoundError:
                continue  # withdrawn between listing and looking
            except OSError as error:
                raise _unreadable(self._paths.status, error) from error
            found[name] = (seen.st_ino, seen.st_mtime_ns)
        return found

    def tenant(self, name: str) -> PublishedTenant | None:
        """Return what was published about *name*, or None.

        Raises:
            StatusUnreadableError: It is there but cannot be read.
        """
        found = _read(self._paths.tenant_status(cast("TenantName", name)))
        if found is None:
            return None
        content, modified = found
        return PublishedTenant(name=name, content=content, confirmed_at=modified)

    def host(self) -> PublishedHost | None:
        """Return what the daemon says about itself, or None if it never spoke or makes no sense.

        Raises:
            StatusUnreadableError: What it says is closed to us.
        """
        try:
            found = _read(self._paths.host_status)
        except StatusUnreadableError as error:
            if isinstance(error.__cause__, PermissionError):
                raise
            return None
        if found is None:
            return None
        content, _ = found
        heartbeat = instant(_object(content.get("daemon")).get("heartbeatAt"))
        return PublishedHost(content=content, heartbeat=heartbeat)

    def newest(self) -> datetime | None:
        """Return when anything here was last written or confirmed, or None."""
        newest = max((stamp for _, stamp in self.stamps().values()), default=0)
        return datetime.fromtimestamp(newest / 1e9, UTC) if newest else None

    def _files(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield every tenant's file with the name of the tenant."""
        folder, host = self._paths.status, self._paths.host_status.name
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name != host and entry.name[0] != "." and entry.name[-5:] == ".json":
                        # A tenant called "host" has a dot more in its file name.
                        yield entry.name[:-5].removesuffix(".tenant"), entry
        except FileNotFoundError as error:
            raise StatusUnreadableError(f"there is no folder {folder}") from error
        except OSError as error:
            raise _unreadable(folder, error) from error


def _read(path: Path) -> tuple[Mapping[str, Any], datetime] | None:
    """Return what a file says and when it was last confirmed, or None if it is not there."""
    try:
        with path.open("rb", buffering=0) as file:
            modified = os.fstat(file.fileno()).st_mtime
            content = _parse(file.read().decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise StatusUnreadableError(f"{path} is not JSON") from error
    return content, datetime.fromtimestamp(modified, UTC)


def _parse(text: str) -> Mapping[str, Any]:
    """Return the published object without its snapshot, which is most of the text.

    The snapshot comes last and is the daemon's own affair, so it is cut off unread.
    """
    head, found, _ = text.partition(_SNAPSHOT)
    if found:
        # Braces balance only if the cut was between keys of the object itself and not, say,
        # between two labels.
        with suppress(ValueError):
            return _object(json.loads(head + "}"))
    content = _object(json.loads(text))
    return {key: value for key, value in content.items() if key != "snapshot"}


def _unreadable(path: Path, error: OSError) -> StatusUnreadableError:
    return StatusUnreadableError(f"{path}: {(error.strerror or type(error).__name__).lower()}")


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def instant(value: object) -> datetime | None:
    """Return the moment that RFC 3339 text stands for, or None."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
