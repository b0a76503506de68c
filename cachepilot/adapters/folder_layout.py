"""The folders of a server instance with the owners and modes of the contract.

``conf/<n>`` and ``tls`` belong to root and can be read by the server's group; ``run/<n>`` and
``data/<n>`` belong to the server's user.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from cachepilot.adapters.atomic import Owner
from cachepilot.adapters.data_folder import SeenData
from cachepilot.adapters.paths import CONFIGURATION, MARKER, USERS, RootPaths
from cachepilot.errors import StalledError
from cachepilot.spec.document import TenantName

FILE_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or file as the contract wants it."""

    path: Path
    mode: int
    owner: Owner

    def is_right(self, *, owners: bool) -> bool:
        """Return whether it is there and as it should be; a link in its place is not."""
        try:
            seen = self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (
            not stat.S_ISLNK(seen.st_mode)
            and stat.S_IMODE(seen.st_mode) == self.mode
            and (not owners or (seen.st_uid, seen.st_gid) == self.owner)
        )


def list_folders(
    paths: RootPaths, tenant_name: TenantName, instance: int, uid: int
) -> tuple[Place, ...]:
    """Return every folder of an instance in the order of making, except its data folder."""
    conf, run = paths.conf(tenant_name, instance), paths.run(tenant_name, instance)
    data = paths.data(tenant_name, instance)
    parents = (paths.tenants, paths.tenant(tenant_name), conf.parent, run.parent, data.parent)
    return (
        *(Place(parent, 0o711, (0, 0)) for parent in parents),
        Place(conf, 0o750, (0, uid)),
        Place(paths.tls(tenant_name), 0o750, (0, uid)),
        Place(run, 0o700, (uid, uid)),
    )


def data_place(paths: RootPaths, tenant_name: TenantName, instance: int, uid: int) -> Place:
    """Return the data folder of an instance."""
    return Place(paths.data(tenant_name, instance), 0o700, (uid, uid))


def list_files(
    paths: RootPaths, tenant_name: TenantName, instance: int, uid: int
) -> tuple[Place, ...]:
    """Return the configuration files of an instance."""
    conf = paths.conf(tenant_name, instance)
    return tuple(Place(conf / name, FILE_MODE, (0, uid)) for name in (CONFIGURATION, USERS))


def refuse_wrong_data(tenant_name: TenantName, path: Path, data: SeenData | None) -> None:
    """Return only if *data* is what we once made for this tenant.

    Raises:
        StalledError: It is gone or somebody else's (reason ``DataMissing``).
    """
    if data is None:
        why = "it is gone"
    elif not data.marker:
        why = f"its file {MARKER} is gone"
    elif data.marker != tenant_name:
        why = "it is the folder of another tenant"
    else:
        return
    raise StalledError(
        f"cannot use data folder {path}: {why}; put the right folder back, or accept that the "
        f"data is lost: mkdir -p {path} && echo {tenant_name} > {path}/{MARKER}",
        reason="DataMissing",
    )
