"""Tells that something happened to the folder of tenants, whatever happens to the folder.

A hint and never a fact: whoever is told lists the folder again. Edits to the target of a
symbolic link inside the folder are not seen here; the periodic resync finds them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from watchfiles import watch

_Identity = tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Post:
    """What we watch at the moment.

    Attributes:
        paths: The folder and the folders that its own name stands in, as far as they exist.
        named: The paths at which the folder itself appears or vanishes.
        identities: Which folders these really are.
    """

    folder: Path
    paths: tuple[Path, ...]
    named: frozenset[Path]
    identities: tuple[_Identity, ...]

    @property
    def is_current(self) -> bool:
        """Whether the paths still lead to the folders that we watch."""
        return self.identities == _identities(self.folder)

    def is_replaced_by(self, paths: frozenset[Path]) -> bool:
        """Return whether events at *paths* tell that the folder appeared or vanished."""
        return not self.named.isdisjoint(paths)

    def is_changed_by(self, paths: frozenset[Path]) -> bool:
        """Return whether events at *paths* happened inside the folder, not beside it."""
        return not self.named.isdisjoint(path.parent for path in paths)


def watch_folder(
    folder: Path,
    on_change: Callable[[], None],
    stop: threading.Event,
    *,
    debounce: timedelta = timedelta(milliseconds=50),
    tick: timedelta = timedelta(seconds=1),
) -> None:
    """Call *on_change* soon after anything in *folder* changed, until *stop* is set.

    The folder may be missing, removed, renamed, or a link that is pointed elsewhere: what replaces
    it is watched next, at the latest after one *tick*. Each time watching begins *on_change* is
    called once, because something may have happened before.
    """
    folder = folder.absolute()
    while not stop.is_set():
        post = _take_post(folder)
        on_change()
        try:
            for paths in _events(post, stop, debounce=debounce, tick=tick):
                if post.is_replaced_by(paths) or not post.is_current:
                    break
                if post.is_changed_by(paths):
                    on_change()
        except OSError:
            # Gone between looking and watching, or the host has no watches left: then every tick
            # is a hint, so that changes are found all the same.
            stop.wait(tick.total_seconds())


def _events(
    post: _Post, stop: threading.Event, *, debounce: timedelta, tick: timedelta
) -> Iterator[frozenset[Path]]:
    """Yield the paths of what happened, and nothing once every *tick*."""
    if not post.paths:
        while not stop.wait(tick.total_seconds()):
            yield frozenset()
        return
    quiet = int(debounce.total_seconds() * 1000)
    for changes in watch(
        *post.paths,
        watch_filter=None,
        debounce=quiet,
        step=max(quiet // 2, 1),
        stop_event=stop,
        rust_timeout=int(tick.total_seconds() * 1000),
        yield_on_timeout=True,
        raise_interrupt=False,
        recursive=False,
        ignore_permission_denied=True,
    ):
        yield frozenset(Path(path) for _, path in changes)


def _take_post(folder: Path) -> _Post:
    # First of all: what is replaced from here on differs from this, and is found by it.
    identities = _identities(folder)
    real = _real(folder)
    homes = dict.fromkeys((folder.parent, real.parent))
    candidates = dict.fromkeys((folder, *homes))
    return _Post(
        folder=folder,
        paths=tuple(path for path in candidates if path.is_dir()),
        named=frozenset({folder, real}),
        identities=identities,
    )


def _identities(folder: Path) -> tuple[_Identity, ...]:
    return tuple(_identity(path) for path in (folder, folder.parent, _real(folder).parent))


def _real(folder: Path) -> Path:
    # Unlike Path.resolve this does not raise where links go round in a circle.
    return Path(os.path.realpath(folder))


def _identity(path: Path) -> _Identity:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
