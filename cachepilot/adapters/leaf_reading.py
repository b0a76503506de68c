"""What lies in the folder of one leaf: certificate, key, and whom its server trusts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cachepilot.adapters.certificate_making import Pair
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
from cachepilot.adapters.folder_layout import FILE_MODE, Place
from cachepilot.adapters.root_folders import CERTIFICATE, KEY
from cachepilot.adapters.stamp import Stamp, stamp_at, stamp_of
from cachepilot.observe.snapshot import SeenCertificate

BUNDLE = "ca.pem"
# Only where clients are asked for certificates: whom the server trusts to vouch for them, and what
# it shows itself, as a client of the server before it; the daemon's probe shows the same.
CLIENT_AUTHORITY = "client-ca.pem"
CLIENT, CLIENT_KEY = "client.pem", "client-key.pem"
FILES = (CERTIFICATE, KEY, BUNDLE)
_CLIENT_FILES = (CLIENT_AUTHORITY, CLIENT, CLIENT_KEY)
FOLDER_MODE = 0o750


def stamp_leaf(folder: Path) -> tuple[Stamp, ...] | None:
    """Return what changes whenever a file of *folder* does; None unless all are plain files."""
    found = []
    for path in (folder, *(folder / name for name in FILES)):
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


def inspect_leaf(
    folder: Path, revision: int, uid: int | None, *, owners: bool
) -> SeenCertificate | None:
    """Return what the files of a leaf say; None when one of them is torn.

    Args:
        folder: Where they lie.
        revision: Its number.
        uid: The user of the server that is to read them, if any.
        owners: Whether files can belong to other users.
    """
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
        ("its owner or mode was changed", not _is_readable(folder, uid, owners=owners)),
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


def _is_readable(folder: Path, uid: int | None, *, owners: bool) -> bool:
    if uid is None:
        return True
    places = (
        Place(folder, FOLDER_MODE, (0, uid)),
        *(Place(folder / name, FILE_MODE, (0, uid)) for name in FILES),
        *(
            Place(folder / name, FILE_MODE, (0, uid))
            for name in _CLIENT_FILES
            if (folder / name).exists()
        ),
    )
    return all(place.is_right(owners=owners) for place in places)


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
