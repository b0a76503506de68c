"""The authority for clients of each tenant, and the certificates that it signed, on disk.

Neither is mounted into a container: keys of clients are handed out by people with root.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from cachepilot.adapters.atomic import (
    PREFIX,
    explained,
    make_folder,
    remove_tree,
    staged_folder,
    sweep,
    write_volatile,
)
from cachepilot.adapters.certificate_making import Pair, make_client, make_client_authority
from cachepilot.adapters.certificate_reading import (
    belongs_together,
    fingerprint,
    is_root,
    is_signed_by,
    parse_pair,
)
from cachepilot.adapters.folder_layout import Place
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.root_folders import CERTIFICATE, KEY
from cachepilot.adapters.stamp import Stamp, stamp_at
from cachepilot.errors import StalledError
from cachepilot.observe.snapshot import SeenClientCertificate, SeenClients
from cachepilot.spec.document import TenantName

_FOLDER_MODE = 0o700
_FILES = ((KEY, 0o600), (CERTIFICATE, 0o644))
_Stamps = tuple[object, ...]
_NOTHING = SeenClients()


class ClientFiles:
    """Reads and writes what belongs to the clients of tenants.

    Args:
        paths: Where it lies.
        utc_now: The time at which an authority is made.
        owners: Whether files can be given to root.
    """

    def __init__(self, paths: RootPaths, *, utc_now: Callable[[], datetime], owners: bool) -> None:
        self._paths = paths
        self._utc_now = utc_now
        self._owners = owners
        self._owner = (0, 0) if owners else None
        self._cache: dict[TenantName, tuple[_Stamps, SeenClients]] = {}

    def look(self, tenant_name: TenantName) -> SeenClients:
        """Return the client authority and what it signed; parsed only when a file changed."""
        folder = self._paths.clients(tenant_name)
        with explained("look at", folder):
            authority, names = self._paths.client_authority(tenant_name), _list(folder)
            if not names and not os.path.lexists(authority):
                return _NOTHING  # as of most tenants, and asked on every visit
            places = (authority, *(folder / at for at in names))
            stamps = (names, *(stamp for place in places for stamp in _stamps(place)))
        cached = self._cache.get(tenant_name)
        if cached and cached[0] == stamps:
            return cached[1]
        seen = self._inspect(tenant_name, names)
        self._cache[tenant_name] = (stamps, seen)
        return seen

    def load(self, tenant_name: TenantName) -> Pair:
        """Return the client authority, to sign with.

        Raises:
            StalledError: It must not be used (reason ``ClientAuthorityBroken``).
        """
        place = self._paths.client_authority(tenant_name)
        try:
            return _parse_authority(place)
        except (ValueError, OSError) as error:
            raise StalledError(_broken(place, error), reason="ClientAuthorityBroken") from error

    def create(self, tenant_name: TenantName) -> None:
        """Make the client authority, in place of one that is there."""
        make_folder(self._paths.tenant(tenant_name), mode=0o711, owner=self._owner)
        pair = make_client_authority(tenant_name, self._utc_now())
        self._write(self._paths.client_authority(tenant_name), pair)

    def issue(
        self, tenant_name: TenantName, *, client: str, lifetime: timedelta, now: datetime
    ) -> None:
        """Replace key and certificate of one client, both at once.

        Raises:
            StalledError: It cannot be signed (reason ``ClientAuthorityBroken``).
        """
        pair = self.sign(tenant_name, client, lifetime=lifetime, now=now)
        folder = self._paths.clients(tenant_name)
        make_folder(folder, mode=_FOLDER_MODE, owner=self._owner)
        sweep(folder)
        self._write(folder / client, pair)

    def sign(
        self, tenant_name: TenantName, client: str, *, lifetime: timedelta, now: datetime
    ) -> Pair:
        """Return a fresh certificate for somebody who is a client of this tenant's server.

        Raises:
            StalledError: It cannot be signed (reason ``ClientAuthorityBroken``).
        """
        authority = self.load(tenant_name)
        try:
            return make_client(authority, name=client, lifetime=lifetime, now=now)
        except ValueError as error:
            message = f"cannot sign a certificate for client {client} of {tenant_name}: {error}"
            raise StalledError(message, reason="ClientAuthorityBroken") from error

    def remove(self, tenant_name: TenantName, *, client: str) -> None:
        """Delete key and certificate of one client."""
        remove_tree(self._paths.clients(tenant_name) / client)

    def _write(self, final: Path, pair: Pair) -> None:
        contents = {KEY: pair.key_pem(), CERTIFICATE: pair.certificate_pem()}
        with staged_folder(final, mode=_FOLDER_MODE, owner=self._owner) as staged:
            for name, mode in _FILES:
                write_volatile(staged / name, contents[name], mode=mode, owner=self._owner)

    def _inspect(self, tenant_name: TenantName, names: tuple[str, ...]) -> SeenClients:
        place, folder = self._paths.client_authority(tenant_name), self._paths.clients(tenant_name)
        authority, problem = None, ""
        if place.exists() or names:
            try:
                authority = _parse_authority(place)
                problem = "" if self._is_private(place) else _exposed(place)
            except (ValueError, OSError) as error:
                problem = _broken(place, error)
        found = (self._inspect_client(folder / name, authority) for name in names)
        return SeenClients(
            authority=fingerprint(authority.certificate) if authority else "",
            problem=problem,
            certificates=tuple(each for each in found if each),
            names=names,
        )

    def _inspect_client(
        self, folder: Path, authority: Pair | None
    ) -> SeenClientCertificate | None:
        try:
            pair = parse_pair((folder / KEY).read_bytes(), (folder / CERTIFICATE).read_bytes())
        except (ValueError, OSError):
            return None
        ours = authority and is_signed_by(pair.certificate, authority.certificate)
        return SeenClientCertificate(
            name=folder.name,
            folder=str(folder),
            not_before=pair.certificate.not_valid_before_utc,
            not_after=pair.certificate.not_valid_after_utc,
            authority=fingerprint(authority.certificate) if authority and ours else "",
            fingerprint=fingerprint(pair.certificate),
            problem=self._problem(folder, pair),
        )

    def _problem(self, folder: Path, pair: Pair) -> str:
        if not belongs_together(pair):
            return "its key belongs to another certificate"
        return "" if self._is_private(folder) else "its owner or mode was changed"

    def _is_private(self, folder: Path) -> bool:
        places = (
            Place(folder, _FOLDER_MODE, (0, 0)),
            *(Place(folder / name, mode, (0, 0)) for name, mode in _FILES),
        )
        return all(place.is_right(owners=self._owners) for place in places)


def _parse_authority(folder: Path) -> Pair:
    """Return the authority in *folder*.

    Raises:
        ValueError: It is torn.
        OSError: It is not there, or not all of it.
    """
    pair = parse_pair((folder / KEY).read_bytes(), (folder / CERTIFICATE).read_bytes())
    if not belongs_together(pair):
        raise ValueError(f"{KEY} is not the key of {CERTIFICATE}")
    if not is_root(pair.certificate):
        raise ValueError(f"{CERTIFICATE} is not an authority's certificate")
    return pair


def _broken(folder: Path, error: Exception) -> str:
    words = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
    return (
        f"cannot use the authority for clients in {folder}: {words}; put the folder back from a "
        f"backup, or move it and {folder.with_name('clients')} away to make all certificates of "
        "its clients anew"
    )


def _exposed(folder: Path) -> str:
    return (
        f"the owner or mode of the authority for clients in {folder} was changed, so others may "
        f"have its key: give it back to root, mode 0700 with {KEY} 0600 and {CERTIFICATE} 0644, "
        "then give tls.clientsRotatedAt a new value"
    )


def _list(folder: Path) -> tuple[str, ...]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - asked on every visit
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(sorted(name for name in names if not name.startswith(PREFIX)))


def _stamps(folder: Path) -> tuple[Stamp | None, ...]:
    return tuple(stamp_at(path) for path in (folder, folder / KEY, folder / CERTIFICATE))
