"""The leaves of every tenant on disk, one numbered folder a revision."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta

from cachepilot.adapters.atomic import (
    explained,
    make_folder,
    remove_tree,
    staged_folder,
    sweep,
    write_volatile,
)
from cachepilot.adapters.authority import Authority
from cachepilot.adapters.certificate_making import make_leaf
from cachepilot.adapters.client_files import ClientFiles
from cachepilot.adapters.folder_layout import FILE_MODE
from cachepilot.adapters.leaf_reading import (
    BUNDLE,
    CLIENT,
    CLIENT_AUTHORITY,
    CLIENT_KEY,
    FOLDER_MODE,
    inspect_leaf,
    stamp_leaf,
)
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.records import Records
from cachepilot.adapters.root_folders import CERTIFICATE, KEY
from cachepilot.adapters.stamp import Stamp
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.snapshot import SeenAuthority, SeenCertificate, SeenClients
from cachepilot.spec.document import TenantName

_ITSELF = "server"
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
            files = stamp_leaf(folder)
        if files is None:
            return None
        stamp = (revision, files, uid)
        cached = self._cache.get(tenant_name)
        if cached is None or cached[0] != stamp:
            with explained("read", folder):
                seen = inspect_leaf(folder, revision, uid, owners=self._owners)
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
        make_folder(tls, mode=FOLDER_MODE, owner=owner)
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
        with staged_folder(final, mode=FOLDER_MODE, owner=owner) as staged:
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
