"""The folder of tenant files as an editor sees it: finds documents, guards and replaces files."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cachepilot.adapters.atomic import write_durably
from cachepilot.adapters.regular_file import UnusableFileError, read_regular_file
from cachepilot.adapters.spec_location import (
    Index,
    Located,
    broken_documents_in,
    documents_in,
    real_path,
)
from cachepilot.adapters.spec_refusals import (
    EditConflictError,
    NoSuchDocumentError,
    SpecEditError,
)
from cachepilot.adapters.tenant_folder import is_tenant_file
from cachepilot.adapters.yaml_reader import MAX_BYTES

NEW_FILE_MODE = 0o640
# Beyond so many names, reading every file once is cheaper than looking for each.
_FEW = 8
_LOCK_TRIES, _LOCK_PAUSE = 100, 0.1


class SpecFolder:
    """One folder of tenant files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._searches = 0
        self._index: Index | None = None

    def files(self) -> tuple[Path, ...]:
        """Return the files that may hold tenants, sorted by name.

        Raises:
            SpecEditError: The folder is missing or closed to us.
        """
        try:
            found = sorted(path for path in self.folder.iterdir() if is_tenant_file(path.name))
        except OSError as error:
            raise _unusable(self.folder, "list", error) from error
        return tuple(path for path in found if not path.is_dir())

    def find(self, name: str, *, prefer: str = "") -> Located | None:
        """Return where *name* lives, or None.

        Args:
            name: Which tenant.
            prefer: Path of the file that counts where several hold the name.

        Raises:
            EditConflictError: Several files hold it and none of them is preferred.
        """
        found = list(self._search(name))
        preferred = [each for each in found if prefer and each.path == real_path(Path(prefer))]
        if len(found) > 1 and not preferred:
            files = " and ".join(str(each.path) for each in found)
            raise EditConflictError(
                f"cannot choose between two documents of tenant {name}: {files}",
                hint="remove one of them",
            )
        return next(iter(preferred or found), None)

    def get(self, name: str, *, prefer: str = "") -> Located:
        """Return where *name* lives.

        Raises:
            NoSuchDocumentError: Nowhere.
            EditConflictError: As :meth:`find`.
        """
        found = self.find(name, prefer=prefer)
        if found is None:
            raise NoSuchDocumentError(name, str(self.folder), self.names())
        return found

    def names(self) -> tuple[str, ...]:
        """Return every tenant that some file names, sorted."""
        return tuple(sorted({each.name for each in self.documents()}))

    def documents(self) -> Iterator[Located]:
        """Yield every document that has a name."""
        for path, data in self._contents():
            yield from documents_in(path, data)

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None if it is not there or cannot hold a tenant anyway.

        Raises:
            SpecEditError: It is closed to us but perhaps not to the daemon.
        """
        try:
            return read_regular_file(path, most=MAX_BYTES)[0]
        except FileNotFoundError:
            return None
        except UnusableFileError as error:
            if isinstance(error.__cause__, PermissionError):
                raise _unusable(path, "read", error.__cause__) from error
            return None

    def replace(self, path: Path, before: bytes | None, after: bytes) -> None:
        """Write *after* durably if the file still holds *before*; owner and mode stay.

        Raises:
            EditConflictError: Somebody else changed the file.
            UnavailableError: It could not be written; the old file is untouched.
        """
        target = real_path(path)
        if self.read(target) != before:
            raise EditConflictError(
                f"cannot write {target}: it changed in the meantime", hint="look again"
            )
        mode, owner = _mode_and_owner(target)
        write_durably(target, after, mode=mode, owner=owner)

    @contextmanager
    def locked(self, pause: Callable[[float], object]) -> Iterator[None]:
        """Keep other edits of this folder out for the duration of a block.

        Raises:
            EditConflictError: Somebody else would not let go for ten seconds.
        """
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unusable(self.folder, "open", error) from error
        try:
            # The folder itself is the lock: nothing is left behind for a watcher or for git.
            _lock(descriptor, self.folder, pause)
            yield
        finally:
            os.close(descriptor)

    def _search(self, name: str) -> Iterator[Located]:
        """Yield the documents of *name*; files that cannot hold it are not parsed."""
        self._searches += 1
        if self._searches > _FEW:
            self._index = self._index or Index.of(self._contents())
            yield from self._index.find(name)
            return
        wanted = name.encode()
        for path, data in self._contents():
            # A backslash may spell the name in escapes.
            if wanted in data or b"\\" in data:
                found = [each for each in documents_in(path, data) if each.name == name]
                yield from found or broken_documents_in(name, path, data)

    def _contents(self) -> Iterator[tuple[Path, bytes]]:
        for path in self.files():
            if data := self.read(path):
                yield path, data


def _mode_and_owner(path: Path) -> tuple[int, tuple[int, int] | None]:
    ours = (os.geteuid(), os.getegid())
    try:
        seen = path.stat()
        owner = (seen.st_uid, seen.st_gid)
        return stat.S_IMODE(seen.st_mode), None if owner == ours else owner
    except FileNotFoundError:
        # A new file belongs to the folder's group, so that whoever may read its siblings may
        # read it too.
        group = path.parent.stat().st_gid
        is_root = ours[0] == 0
        return NEW_FILE_MODE, (0, group) if is_root and group != ours[1] else None


def _lock(descriptor: int, folder: Path, pause: Callable[[float], object]) -> None:
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause(_LOCK_PAUSE)
        else:
            return
    raise EditConflictError(
        f"cannot change {folder}: another edit is going on", hint="try again in a moment"
    )


def _unusable(path: Path, verb: str, error: OSError) -> SpecEditError:
    words = (error.strerror or type(error).__name__).lower()
    hints = {
        PermissionError: "are you root?",
        FileNotFoundError: f"make it: install -d -m 0750 {path}" if verb == "list" else "",
    }
    return SpecEditError(f"cannot {verb} {path}: {words}", hint=hints.get(type(error), ""))
