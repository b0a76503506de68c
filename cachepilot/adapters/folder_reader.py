"""Looks at a tenant's own folders and changes nothing there."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from cachepilot.adapters.acl_file import mask_acl
from cachepilot.adapters.atomic import explained
from cachepilot.adapters.data_folder import SeenData, look_into, opened_data
from cachepilot.adapters.folder_layout import (
    data_place,
    list_files,
    list_folders,
    refuse_wrong_data,
)
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.adapters.paths import CONFIGURATION, USERS, RootPaths
from cachepilot.adapters.records import UNKNOWN, Records
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import SeenFiles, SeenPasswordFile
from cachepilot.spec.document import TenantName


class FolderReader:
    """The read port of a tenant's folders.

    Args:
        paths: Where they lie.
        records: What is remembered of passwords.
        passwords: Reads what authors name.
        owners: Whether files can belong to other users; only root can give them away.
    """

    def __init__(
        self, paths: RootPaths, records: Records, passwords: PasswordFiles, *, owners: bool
    ) -> None:
        self._paths = paths
        self._records = records
        self._passwords = passwords
        self._owners = owners

    def look(
        self,
        tenant_name: TenantName,
        memory: Memory,
        *,
        password_files: tuple[tuple[str, str], ...],
    ) -> SeenFiles:
        """Return the state of the serving instance's folders, and of (user, path) elsewhere."""
        conf = self._paths.conf(tenant_name, memory.instance)
        uid = memory.reservation.uid if memory.reservation else None
        data = self._look_into(tenant_name, memory.instance, uid)
        configuration, users = _read(conf / CONFIGURATION), _read(conf / USERS)
        return SeenFiles(
            folders_ready=uid is not None
            and data is not None
            and not data.has_foreign_entry
            and self._are_right(tenant_name, memory.instance, uid),
            configuration=None if configuration is None else _fingerprint(configuration),
            users=None if users is None else self._mask(tenant_name, users),
            data_marker=data is not None and data.marker == tenant_name,
            has_dump=data is not None and data.has_dump,
            has_append_only=data is not None and data.has_append_only,
            data_problem=self._data_problem(tenant_name, memory, data),
            passwords=tuple(
                self._look_at_password(tenant_name, user, Path(path))
                for user, path in password_files
            ),
            data_format=None if data is None else data.data_format,
            free_bytes=None if data is None else data.free_bytes,
        )

    def check_data(self, tenant_name: TenantName, instance: int) -> None:
        """Return only if a server may be started on this data folder.

        Raises:
            StalledError: The folder or its marker is gone (reason ``DataMissing``).
            WaitingError: It has another owner; the next visit mends that.
        """
        reservation = self._records.recall(tenant_name).reservation
        uid = reservation.uid if reservation else None
        path = self._paths.data(tenant_name, instance)
        data = self._look_into(tenant_name, instance, uid)
        refuse_wrong_data(tenant_name, path, data)
        if uid is None or data is None:
            raise WaitingError(f"cannot start on {path}: tenant {tenant_name} has no user id yet")
        place = data_place(self._paths, tenant_name, instance, uid)
        if data.has_foreign_entry or not place.is_right(owners=self._owners):
            raise WaitingError(f"cannot start on {path}: it does not belong to user {uid} yet")

    def _are_right(self, tenant_name: TenantName, instance: int, uid: int) -> bool:
        about = (self._paths, tenant_name, instance, uid)
        with explained("look at", self._paths.tenant(tenant_name)):
            return all(
                place.is_right(owners=self._owners)
                for place in (*list_folders(*about), data_place(*about))
            ) and all(
                # One that is missing or a link is about to be written anyway.
                place.is_right(owners=self._owners)
                for place in list_files(*about)
                if place.path.exists()
            )

    def _data_problem(self, tenant_name: TenantName, memory: Memory, data: SeenData | None) -> str:
        """Return why the folder of data that was once made is not to be used, or empty."""
        if not memory.data_ready:
            return ""
        try:
            refuse_wrong_data(tenant_name, self._paths.data(tenant_name, memory.instance), data)
        except StalledError as error:
            return str(error)
        return ""

    def _look_into(
        self, tenant_name: TenantName, instance: int, uid: int | None
    ) -> SeenData | None:
        path = self._paths.data(tenant_name, instance)
        with explained("look into", path), opened_data(path) as folder:
            if folder is None:
                return None
            return look_into(folder, uid=uid if self._owners else None)

    def _look_at_password(
        self, tenant_name: TenantName, user: str, path: Path
    ) -> SeenPasswordFile:
        try:
            secret = self._passwords.read(path)
        except StalledError as error:
            return SeenPasswordFile(user=user, revision=None, problem=str(error))
        found = self._records.revision_of(tenant_name, user, secret.sha256())
        return SeenPasswordFile(user=user, revision=0 if found == UNKNOWN else int(found))

    def _mask(self, tenant_name: TenantName, content: bytes) -> str:
        return mask_acl(
            content.decode(errors="replace"),
            lambda user, text: self._records.revision_of(tenant_name, user, text),
        )


def _read(path: Path) -> bytes | None:
    """Return a file's content; None when it is missing or no plain file."""
    with explained("read", path):
        try:
            return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            return None


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
