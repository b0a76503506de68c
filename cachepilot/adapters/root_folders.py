"""The roots of this host on disk: the first in the folder itself, later ones in numbered folders.

Which of them signs and which is coming or going stands in rotation.json, so that one durable write
changes it. Where that file is missing, there never was any root but the first.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from cachepilot.adapters.atomic import (
    Owner,
    explained,
    make_folder,
    remove_tree,
    settle,
    staged_folder,
    sweep,
    write_durably,
    write_volatile,
)
from cachepilot.adapters.certificate_making import Pair, make_root
from cachepilot.adapters.certificate_reading import belongs_together, is_root, parse_pair
from cachepilot.adapters.rotation_format import FIRST, Rotation, parse_rotation, render_rotation
from cachepilot.adapters.stamp import Stamp, stamp_at

KEY = "key.pem"
CERTIFICATE = "cert.pem"
ROTATION = "rotation.json"


class RootFolders:
    """Keys and certificates of roots, by number.

    Args:
        folder: Where the first one lies.
        owner: Whom files are given to, or None.
    """

    def __init__(self, folder: Path, owner: Owner | None) -> None:
        self.folder = folder
        self._owner = owner
        self._known: dict[tuple[int | None, ...], tuple[Path, ...]] = {}

    def at(self, number: int) -> Path:
        """Return the folder of a root."""
        return self.folder if number == FIRST else self.folder / str(number)

    def rotation(self) -> Rotation:
        """Return which root signs and which comes or goes.

        Raises:
            ValueError: rotation.json is torn, or gone although later roots are there.
        """
        try:
            return parse_rotation((self.folder / ROTATION).read_bytes())
        except FileNotFoundError:
            if self.later():
                raise ValueError(f"{ROTATION} is missing beside later roots") from None
            return Rotation()

    def remember(self, rotation: Rotation) -> None:
        """Replace rotation.json; durable before it returns."""
        path = self.folder / ROTATION
        write_durably(path, render_rotation(rotation), mode=0o600, owner=self._owner)

    def stamps(self, *numbers: int | None) -> tuple[Stamp | None, ...]:
        """Return what changes whenever rotation.json or the files of these roots do."""
        with explained("look at", self.folder):
            return tuple(map(stamp_at, self._files(numbers)))

    def _files(self, numbers: tuple[int | None, ...]) -> tuple[Path, ...]:
        """Return rotation.json and the files of these roots; asked on every visit."""
        found = self._known.get(numbers)
        if found is None:
            places = (self.at(number) for number in numbers if number is not None)
            files = (place / name for place in places for name in (KEY, CERTIFICATE))
            found = self._known[numbers] = (self.folder / ROTATION, *files)
        return found

    def later(self) -> tuple[int, ...]:
        """Return the numbers of all roots but the first that have a folder."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - asked on every visit of a new host
        except (FileNotFoundError, NotADirectoryError):
            return ()
        return tuple(sorted(int(name) for name in names if name.isdecimal()))

    def parse(self, number: int) -> Pair:
        """Return a root.

        Raises:
            ValueError: It is torn, or no root.
            OSError: It is not there, or not all of it.
        """
        place = self.at(number)
        pair = parse_pair((place / KEY).read_bytes(), (place / CERTIFICATE).read_bytes())
        if not belongs_together(pair):
            raise ValueError(f"{KEY} is not the key of {CERTIFICATE}")
        if not is_root(pair.certificate):
            raise ValueError(f"{CERTIFICATE} is not an authority's certificate")
        return pair

    def make(self, number: int, now: datetime, *, rotation: Rotation | None = None) -> None:
        """Make key and certificate of a root at once: there is never one without the other."""
        root, place, owner = make_root(now), self.at(number), self._owner
        if number != FIRST:
            sweep(self.folder)
        with staged_folder(place, mode=0o700, owner=owner) as staged:
            write_volatile(staged / KEY, root.key_pem(), mode=0o600, owner=owner)
            write_volatile(staged / CERTIFICATE, root.certificate_pem(), mode=0o644, owner=owner)
            if rotation:
                content = render_rotation(rotation)
                write_volatile(staged / ROTATION, content, mode=0o600, owner=owner)

    def mend(self, *numbers: int | None) -> None:
        """Give folders and keys their modes back."""
        make_folder(self.folder, mode=0o700, owner=self._owner)
        for number in numbers:
            key = self.at(number) / KEY if number else None
            if key is None or not key.exists():
                continue
            make_folder(key.parent, mode=0o700, owner=self._owner)
            with explained("mend", key):
                descriptor = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    settle(descriptor, mode=0o600, owner=self._owner)
                finally:
                    os.close(descriptor)

    def remove(self, number: int) -> None:
        """Delete key and certificate of a root."""
        if number != FIRST:
            remove_tree(self.at(number))
            return
        for name in (KEY, CERTIFICATE):
            remove_tree(self.folder / name)
