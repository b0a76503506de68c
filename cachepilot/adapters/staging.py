"""Folders of an instance that does not serve: made beside those in use, filled, and removed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress

from cachepilot.adapters.atomic import (
    Owner,
    explained,
    make_folder,
    remove_entry,
    remove_tree,
    settle,
)
from cachepilot.adapters.data_folder import (
    APPEND_ONLY,
    DUMP,
    look_into,
    opened_data,
    write_marker,
)
from cachepilot.adapters.folder_layout import data_place, list_folders
from cachepilot.adapters.lost_server import is_served
from cachepilot.adapters.paths import MARKER, RootPaths
from cachepilot.adapters.replacement_record import ReplacementRecord
from cachepilot.errors import StalledError, WaitingError
from cachepilot.spec.document import TenantName

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Servers replace these as a whole and never write into one, so two instances may share them.
_WRITTEN_ONCE = (".rdb", ".base.aof")
_NO_LINKS = {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP}


class StagedFolders:
    """The write port of instances that do not serve.

    Args:
        paths: Where they lie.
        replacements: What is remembered of them.
        owners: Whether files can be given to other users; only root can.
    """

    def __init__(self, paths: RootPaths, replacements: ReplacementRecord, *, owners: bool) -> None:
        self._paths = paths
        self._replacements = replacements
        self._owners = owners

    def stage(self, tenant_name: TenantName, *, instance: int, uid: int) -> None:
        """Make empty folders of *instance*, then record that they are ours to empty.

        Raises:
            StalledError: Data of unknown origin lies there (reason ``DataFolderTaken``).
        """
        is_ours = self._replacements.under_way(tenant_name).staged
        for place in list_folders(self._paths, tenant_name, instance, uid):
            make_folder(place.path, mode=place.mode, owner=self._owner(place.owner))
        place = data_place(self._paths, tenant_name, instance, uid)
        make_folder(place.path, mode=place.mode, owner=self._owner(place.owner))
        with explained("stage", place.path), opened_data(place.path) as folder:
            if folder is None:
                raise WaitingError(f"{place.path} is gone again")
            if not (is_ours or look_into(folder, uid=None).is_empty):
                raise StalledError(
                    f"cannot stage data of {tenant_name} in {place.path}: something lies there "
                    "that nobody remembers; move it away",
                    reason="DataFolderTaken",
                )
            _empty(folder)
            write_marker(folder, tenant_name, owners=self._owners)
            settle(folder, mode=place.mode, owner=self._owner(place.owner))
            os.fsync(folder)
        self._replacements.remember_staged(tenant_name)

    def carry_data(
        self,
        tenant_name: TenantName,
        *,
        source: int,
        instance: int,
        uid: int,
        dump: bool,
        append_only: bool,
    ) -> None:
        """Let *instance* have what a start on *source* would load; *source* keeps all of it."""
        if is_served(self._paths.run(tenant_name, source)):
            # What it holds is not all on disk.
            raise StalledError(
                f"cannot carry data of {tenant_name}: a server that Docker lost track of runs on "
                "it; end that process, or restart the host",
                reason="ServerLost",
            )
        old, new = self._paths.data(tenant_name, source), self._paths.data(tenant_name, instance)
        owner = self._owner((uid, uid))
        with explained("carry data to", new), opened_data(old) as before, opened_data(new) as now:
            if before is None or now is None:
                raise StalledError(
                    f"cannot carry data of {tenant_name} from {old} to {new}: a folder is gone",
                    reason="DataMissing",
                )
            _empty(now)
            if dump:
                with suppress(FileNotFoundError):
                    _share(before, now, DUMP, owner)
            if append_only:
                with suppress(FileNotFoundError):
                    _carry_folder(before, now, owner)
            os.fsync(now)

    def discard_instance(self, tenant_name: TenantName, *, instance: int) -> None:
        """Delete every folder of *instance*, then forget it.

        Raises:
            WaitingError: It is in charge, or may be again.
        """
        if self._replacements.may_be_needed(tenant_name, instance):
            raise WaitingError(f"instance {instance} of {tenant_name} may be needed again")
        for folder in (self._paths.run, self._paths.conf, self._paths.data):
            remove_tree(folder(tenant_name, instance))
        self._replacements.forget_instance(tenant_name, instance)

    def _owner(self, owner: Owner) -> Owner | None:
        return owner if self._owners else None


def _empty(folder: int) -> None:
    for name in os.listdir(folder):
        if name != MARKER:
            with suppress(FileNotFoundError):
                remove_entry(folder, name)


def _carry_folder(before: int, now: int, owner: Owner | None) -> None:
    """Carry the append-only folder; what a server appends to is copied, the rest is shared."""
    source = os.open(APPEND_ONLY, _FOLDER, dir_fd=before)
    try:
        os.mkdir(APPEND_ONLY, 0o700, dir_fd=now)
        target = os.open(APPEND_ONLY, _FOLDER, dir_fd=now)
        try:
            settle(target, mode=stat.S_IMODE(os.fstat(source).st_mode), owner=owner)
            for name in sorted(os.listdir(source)):  # noqa: PTH208 - it is a descriptor
                carry = _share if name.endswith(_WRITTEN_ONCE) else _copy
                carry(source, target, name, owner)
            os.fsync(target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _share(source: int, target: int, name: str, owner: Owner | None) -> None:
    """Let *target* have the very file of *source*, or a copy where a disk shares none."""
    try:
        os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(source, target, name, owner)


def _copy(source: int, target: int, name: str, owner: Owner | None) -> None:
    reading = os.open(name, _FILE, dir_fd=source)
    try:
        seen = os.fstat(reading)
        if not stat.S_ISREG(seen.st_mode):
            return  # no server makes anything but files here
        writing = os.open(name, _NEW, 0o600, dir_fd=target)
        with (
            os.fdopen(os.dup(reading), "rb") as old,
            os.fdopen(writing, "wb") as new,
        ):
            settle(new.fileno(), mode=stat.S_IMODE(seen.st_mode), owner=owner)
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            os.fsync(new.fileno())
    finally:
        os.close(reading)
