"""The leaves of every tenant on disk, one numbered folder a revision."""

from __future__ import annotations

import os
import stat
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
from cachepilot.adapters.authority import CERTIFICATE, KEY, Authority
from cachepilot.adapters.certificate_making import make_leaf
from cachepilot.adapters.certificate_reading import (
    belongs_together,
    find_signer,
    fingerprint,
    list_names,
    parse_bundle,
    parse_pair,
)
from cachepilot.adapters.folder_layout import FILE_MODE, Place
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.records import Records
from cachepilot.adapters.stamp import Stamp, stamp_of
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.snapshot import SeenAuthority, SeenCertificate
from cachepilot.spec.document import TenantName

BUNDLE = "ca.pem"
_FILES = (CERTIFICATE, KEY, BUNDLE)
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
        owners: Whether files can be given to other users; only root can.
    """

    def __init__(
        self, paths: RootPaths, authority: Authority, records: Records, *, owners: bool
    ) -> None:
        self._paths = paths
        self._authority = authority
        self._records = records
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
        now: datetime,
    ) -> None:
        """Write key, leaf and bundle as *revision*, then record the revision.

        Raises:
            StalledError: The root must not be used (reason ``AuthorityBroken``).
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
        contents = (pair.certificate_pem(), pair.key_pem(), root.certificate_pem())
        with staged_folder(final, mode=_FOLDER_MODE, owner=owner) as staged:
            for name, content in zip(_FILES, contents, strict=True):
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

    def _inspect(self, folder: Path, revision: int, uid: int | None) -> SeenCertificate | None:
        try:
            key, bundle = (folder / KEY).read_bytes(), (folder / BUNDLE).read_bytes()
            pair = parse_pair(key, (folder / CERTIFICATE).read_bytes())
            trusted = parse_bundle(bundle)
        except ValueError:
            return None  # torn
        leaf, signer = pair.certificate, find_signer(pair.certificate, trusted)
        checks = (
            ("its key belongs to another certificate", not belongs_together(pair)),
            ("no root in its bundle signed it", signer is None),
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
        )

    def _is_readable(self, folder: Path, uid: int | None) -> bool:
        if uid is None:
            return True
        places = (
            Place(folder, _FOLDER_MODE, (0, uid)),
            *(Place(folder / name, FILE_MODE, (0, uid)) for name in _FILES),
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
    return tuple(found)
