"""A private copy of a text while a person edits it; kept on request, otherwise gone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from cachepilot.adapters.atomic import remove_tree, write_volatile


class ScratchFile:
    """A file that only we can read, in a folder of its own."""

    def __init__(self, name: str, content: bytes) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="cachepilot-edit-")) / name
        self._keep = False
        write_volatile(self.path, content, mode=0o600, owner=None)

    def read(self) -> bytes:
        """Return what the file holds now; nothing if it was removed."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def keep(self) -> None:
        """Leave the file where it is when the block ends, so that no work is lost."""
        self._keep = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._keep:
            remove_tree(self.path.parent)
