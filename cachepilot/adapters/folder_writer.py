"""Makes and mends a tenant's own folders."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cachepilot.adapters.acl_file import render_acl
from cachepilot.adapters.atomic import (
    explained,
    make_folder,
    settle,
    sweep,
    write_durably,
)
from cachepilot.adapters.data_folder import (
    APPEND_ONLY,
    discard_entries,
    give_to,
    list_dumps,
    look_into,
    opened_data,
    write_marker,
)
from cachepilot.adapters.folder_layout import (
    FILE_MODE,
    Place,
    data_place,
    list_files,
    list_folders,
    refuse_wrong_data,
)
from cachepilot.adapters.paths import CONFIGURATION, USERS, RootPaths
from cachepilot.adapters.records import Records
from cachepilot.adapters.replacement_record import ReplacementRecord
from cachepilot.adapters.staging import StagedFolders
from cachepilot.plan.actions import AclUser
from cachepilot.spec.document import TenantName

_PLAIN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_THERE = {errno.ENOENT, errno.ELOOP}


class FolderWriter(StagedFolders):
    """The write port of a tenant's folders.

    Args:
        paths: Where they lie.
        records: What is remembered of passwords, and whether data was ever made.
        owners: Whether files can be given to other users; only root can.
    """

    def __init__(self, paths: RootPaths, records: Records, *, owners: bool) -> None:
        super().__init__(paths, ReplacementRecord(records), owners=owners)
        self._records = records

    def prepare(self, tenant_name: TenantName, *, instance: int, uid: int) -> None:
        """Make conf, run, and data with its marker; then record that data is there.

        Raises:
            StalledError: Data was recorded but its folder is gone (reason ``DataMissing``).
        """
        for place in list_folders(self._paths, tenant_name, instance, uid):
            self._make(place)
        sweep(self._paths.conf(tenant_name, instance))
        for place in list_files(self._paths, tenant_name, instance, uid):
            self._mend_file(place)
        self._prepare_data(tenant_name, instance, uid)

    def write_configuration(
        self, tenant_name: TenantName, *, instance: int, uid: int, text: str
    ) -> None:
        """Replace redis.conf."""
        path = self._paths.conf(tenant_name, instance) / CONFIGURATION
        self._write(path, text, uid)

    def write_users(
        self, tenant_name: TenantName, *, instance: int, uid: int, users: tuple[AclUser, ...]
    ) -> None:
        """Replace users.acl, with SHA-256 hashes of the recorded passwords."""
        path = self._paths.conf(tenant_name, instance) / USERS
        text = render_acl(
            users, lambda user, revisions: self._records.hashes(tenant_name, user, revisions)
        )
        self._write(path, text, uid)

    def discard_dump(self, tenant_name: TenantName, *, instance: int) -> None:
        """Delete dump.rdb and left-over temporary dumps."""
        path = self._paths.data(tenant_name, instance)
        with explained("discard the dump in", path), opened_data(path) as folder:
            if folder is not None:
                discard_entries(folder, list_dumps(folder))

    def discard_append_only(self, tenant_name: TenantName, *, instance: int) -> None:
        """Delete the append-only folder."""
        path = self._paths.data(tenant_name, instance)
        with explained("discard the append-only folder in", path), opened_data(path) as folder:
            if folder is not None:
                discard_entries(folder, (APPEND_ONLY,))

    def _prepare_data(self, tenant_name: TenantName, instance: int, uid: int) -> None:
        """Make the data folder once; from then on only its owner and mode are mended."""
        memory = self._records.recall(tenant_name)
        place = data_place(self._paths, tenant_name, instance, uid)
        is_recorded = memory.data_ready and instance == memory.instance
        if not is_recorded:
            self._make(place)
            sweep(place.path)
        with explained("prepare", place.path), opened_data(place.path) as folder:
            data = None if folder is None else look_into(folder, uid=uid)
            if is_recorded or folder is None or (data and data.marker):
                refuse_wrong_data(tenant_name, place.path, data)
            else:
                write_marker(folder, tenant_name, owners=self._owners)
            if folder is not None:
                settle(folder, mode=place.mode, owner=self._owner(place.owner))
                if self._owners:
                    give_to(folder, uid)
        if not is_recorded:
            self._records.remember_data(tenant_name)

    def _make(self, place: Place) -> None:
        make_folder(place.path, mode=place.mode, owner=self._owner(place.owner))

    def _mend_file(self, place: Place) -> None:
        """Give a configuration file owner and mode back; one that is a link gets replaced."""
        with explained("mend", place.path):
            try:
                file = os.open(place.path, _PLAIN_FILE)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    raise
                return
            try:
                settle(file, mode=place.mode, owner=self._owner(place.owner))
            finally:
                os.close(file)

    def _write(self, path: Path, text: str, uid: int) -> None:
        write_durably(path, text.encode(), mode=FILE_MODE, owner=self._owner((0, uid)))
