"""Passes on what comes in, dots as they come, but keeps the last line with text for a file.

``pytest … | python tests/closing_line.py FILE``
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_BLOCK = 2**16
# How a closing line begins, coloured or not; such a line is never shown before the next one comes.
_MAY_CLOSE = re.compile(rb"(\x1b\[[0-9;]*m)*[=0-9n]")


def main() -> None:
    """Copy standard input to standard output until it ends."""
    held, line, shown = b"", b"", 0
    while block := os.read(0, _BLOCK):
        *ended, rest = (line + block).split(b"\n")
        for text in ended:
            if shown:
                _show(text[shown:] + b"\n")
            elif text.strip():
                _show(held)
                held = text + b"\n"
            else:
                held += b"\n"
            shown = 0
        line = rest
        if line.strip() and not (shown or _MAY_CLOSE.match(line)):
            _show(held)
            held = b""
            _show(line)
            shown = len(line)
        elif shown:
            _show(line[shown:])
            shown = len(line)
    Path(sys.argv[1]).write_bytes(held.strip(b"\n") or line)


def _show(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
