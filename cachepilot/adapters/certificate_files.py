"""The leaves of every tenant on disk, one numbered folder a revision."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cachepilot.adapters.atomic import (
    explained,
    make_folder,
    remove_tree,
    staged_folder,
    sweep,
    write_volatile,
)
from cachepilot.adapters.authority import Authority
from cachepilot.adapters.certificate_making import Pair, make_leaf
from cachepilot.adapters.certificate_reading import (
    Certificate,
    belongs_together,
    find_signer,
    fingerprint,
    is_signed_by,
    list_names,
    parse_bundle,
    parse_pair,
)
from cachepilot.adapters.client_files import ClientFiles
from cachepilot.adapters.folder_layout import FILE_MODE, Place
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.records import Records
from cachepilot.adapters.root_folders import CERTIFICATE, KEY
from cachepilot.adapters.stamp import Stamp, stamp_at, stamp_of
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.snapshot import SeenAuthority, SeenCertificate, SeenClients
from cachepilot.spec.document import TenantName

BUNDLE = "ca.pem"
# Only where clients are asked for certificates: whom the server trusts to vouch for them, and what
# it shows itself, as a client of the server before it; the daemon's probe shows the same.
CLIENT_AUTHORITY = "client-ca.pem"
CLIENT, CLIENT_KEY = "client.pem", "client-key.pem"
_FILES = (CERTIFICATE, KEY, BUNDLE)
_CLIENT_FILES = (CLIENT_AUTHORITY, CLIENT, CLIENT_KEY)
_ITSELF = "server"
_FOLDER_MODE = 0o750
_Stamps = tuple[Stamp, ...]
# Revision, files and user id that a leaf was judged by.
_Look = tuple[int, _Stamps, int | None]


class CertificateFiles:
    """The read and write ports of certificates.

    Args:
        paths: Where they lie.
        authority: Signs them.
        records: Remembers which revision should be served, and the server's user.
        clients: Signs certificates of clients.
        owners: Whether files can be given to other users; only root can.
    """

    def __init__(
        self,
        paths: RootPaths,
        authority: Authority,
        records: Records,
        clients: ClientFiles,
        *,
        owners: bool,
    ) -> None:
        self._paths = paths
        self._authority = authority
        self._records = records
        self._clients = clients
        self._owners = owners
        self._cache: dict[TenantName, tuple[_Look, SeenCertificate | None]] = {}

    def authority(self) -> SeenAuthority:
        """Return the state of the host's authority; cheap enough for every visit."""
        return self._authority.look()

    def create_authority(self) -> None:
        """Make the root once; a root that is there, or leaves without one, are left alone.

        Raises:
            StalledError: Making one would replace a lost root (reason ``AuthorityBroken``).
        """
        self._authority.create()

    def leaf(self, tenant_name: TenantName, revision: int) -> SeenCertificate | None:
        """Return the leaf of *revision*, or None when its folder is not complete."""
        folder = self._paths.leaf(tenant_name, revision)
        reservation = self._records.recall(tenant_name).reservation
        uid = reservation.uid if reservation else None
        with explained("look at", folder):
            files = _stamp(folder)
        if files is None:
            return None
        stamp = (revision, files, uid)
        cached = self._cache.get(tenant_name)
        if cached is None or cached[0] != stamp:
            with explained("read", folder):
                seen = self._inspect(folder, revision, uid)
            cached = self._cache[tenant_name] = (stamp, seen)
        return cached[1]

    def has_stale(self, tenant_name: TenantName, revision: int) -> bool:
        """Return whether other revisions than *revision* lie there."""
        folder = self._paths.tls(tenant_name)
        with explained("list", folder):
            try:
                names = os.listdir(folder)  # noqa: PTH208 - asked on every visit
            except (FileNotFoundError, NotADirectoryError):
                return False
        return any(name != str(revision) for name in names)

    def issue(
        self,
        tenant_name: TenantName,
        *,
        revision: int,
        names: tuple[str, ...],
        lifetime: timedelta,
        uid: int,
        clients: bool,
        now: datetime,
    ) -> None:
        """Write key, leaf and bundle as *revision*, then record the revision.

        Raises:
            StalledError: An authority must not be used (reason ``AuthorityBroken`` or
                ``ClientAuthorityBroken``).
        """
        root = self._authority.load()
        self._authority.mend()
        try:
            pair = make_leaf(root, names=names, lifetime=lifetime, now=now)
        except ValueError as error:
            message = f"cannot sign a certificate for tenant {tenant_name}: {error}"
            raise StalledError(message, reason="AuthorityBroken") from error
        owner = (0, uid) if self._owners else None
        tls = self._paths.tls(tenant_name)
        make_folder(tls, mode=_FOLDER_MODE, owner=owner)
        sweep(tls)
        final = self._paths.leaf(tenant_name, revision)
        contents = {
            CERTIFICATE: pair.certificate_pem(),
            KEY: pair.key_pem(),
            BUNDLE: self._authority.bundle_pem(),
        }
        if clients:
            trusted = self._clients.load(tenant_name).certificate_pem()
            itself = self._clients.sign(tenant_name, _ITSELF, lifetime=lifetime, now=now)
            contents[BUNDLE] += trusted
            contents |= {CLIENT_AUTHORITY: trusted, CLIENT: itself.certificate_pem()}
            contents[CLIENT_KEY] = itself.key_pem()
        with staged_folder(final, mode=_FOLDER_MODE, owner=owner) as staged:
            for name, content in contents.items():
                write_volatile(staged / name, content, mode=FILE_MODE, owner=owner)
        self._records.remember_certificate(tenant_name, revision)

    def prune(self, tenant_name: TenantName, *, keep: int) -> None:
        """Delete every revision but *keep*.

        Raises:
            WaitingError: *keep* is not what should be served, or is not there; look again.
        """
        if self._records.recall(tenant_name).certificate != keep or not self.leaf(
            tenant_name, keep
        ):
            raise WaitingError(
                f"cannot prune certificates of tenant {tenant_name}: {keep} is not the one to keep"
            )
        for entry in self._paths.tls(tenant_name).iterdir():
            if entry.name != str(keep):
                remove_tree(entry)

    def clients(self, tenant_name: TenantName) -> SeenClients:
        """Return the tenant's client authority and what it signed; cheap if nothing changed."""
        return self._clients.look(tenant_name)

    def create_client_authority(self, tenant_name: TenantName, *, wish: str | None) -> None:
        """Make or replace the tenant's authority for clients, then record *wish* as served."""
        self._clients.create(tenant_name)
        self._records.amend(tenant_name, lambda memory: replace(memory, clients_rotated_at=wish))

    def issue_client(
        self, tenant_name: TenantName, *, client: str, lifetime: timedelta, now: datetime
    ) -> None:
        """Replace key and certificate of one client.

        Raises:
            StalledError: The client authority must not be used (``ClientAuthorityBroken``).
        """
        self._clients.issue(tenant_name, client=client, lifetime=lifetime, now=now)

    def remove_client(self, tenant_name: TenantName, *, client: str) -> None:
        """Delete key and certificate of one client."""
        self._clients.remove(tenant_name, client=client)

    def _inspect(self, folder: Path, revision: int, uid: int | None) -> SeenCertificate | None:
        try:
            key, bundle = (folder / KEY).read_bytes(), (folder / BUNDLE).read_bytes()
            pair = parse_pair(key, (folder / CERTIFICATE).read_bytes())
            trusted = parse_bundle(bundle)
            clients, itself = _read_clients(folder)
        except ValueError:
            return None  # torn
        roots = tuple(root for root in trusted if root != clients)
        leaf, signer = pair.certificate, find_signer(pair.certificate, roots)
        vouches = clients is None or (
            clients in trusted
            and itself is not None
            and belongs_together(itself)
            and is_signed_by(itself.certificate, clients)
        )
        checks = (
            ("its key belongs to another certificate", not belongs_together(pair)),
            ("no root in its bundle signed it", signer is None),
            ("its files for clients do not fit together", not vouches),
            ("its owner or mode was changed", not self._is_readable(folder, uid)),
        )
        return SeenCertificate(
            revision=revision,
            names=list_names(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            authority=fingerprint(signer) if signer else "",
            fingerprint=fingerprint(leaf),
            problem=next((why for why, holds in checks if holds), ""),
            roots=tuple(sorted(map(fingerprint, roots))),
            clients=fingerprint(clients) if clients else "",
        )

    def _is_readable(self, folder: Path, uid: int | None) -> bool:
        if uid is None:
            return True
        places = (
            Place(folder, _FOLDER_MODE, (0, uid)),
            *(Place(folder / name, FILE_MODE, (0, uid)) for name in _FILES),
            *(
                Place(folder / name, FILE_MODE, (0, uid))
                for name in _CLIENT_FILES
                if (folder / name).exists()
            ),
        )
        return all(place.is_right(owners=self._owners) for place in places)


def _stamp(folder: Path) -> _Stamps | None:
    """Return what changes whenever a file of *folder* does; None unless all are plain files."""
    found = []
    for path in (folder, *(folder / name for name in _FILES)):
        try:
            seen = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if path is not folder and not stat.S_ISREG(seen.st_mode):
            return None
        found.append(stamp_of(seen))
    # The folder's own stamp tells whether these are there at all.
    found += filter(None, (stamp_at(folder / name) for name in _CLIENT_FILES))
    return tuple(found)


def _read_clients(folder: Path) -> tuple[Certificate | None, Pair | None]:
    """Return whom the server trusts to vouch for clients, and what it shows as one itself.

    Raises:
        ValueError: Something of it is torn.
    """
    try:
        trusted = parse_bundle((folder / CLIENT_AUTHORITY).read_bytes())[0]
    except FileNotFoundError:
        return None, None
    try:
        return trusted, parse_pair(
            (folder / CLIENT_KEY).read_bytes(), (folder / CLIENT).read_bytes()
        )
    except FileNotFoundError:
        return trusted, None
