"""Which format of data a server writes and loads, by what it says it is.

Files begin with ``REDIS`` and four digits, the version of their format. A server loads every
version up to its own, and refuses a newer one at its start. The numbers were read from what the
servers wrote; the contract suite holds those of the lab against the servers again.
"""

from __future__ import annotations

import re

from cachepilot.observe.snapshot import Engine

_REDIS = {(7, 0): 10, (7, 2): 11, (7, 4): 12, (8, 0): 12}
# The numbers between 11 and its own are Redis's alone.
_VALKEY = {(7, 2): 11, (8, 0): 11, (8, 1): 11}
_KNOWN = {Engine.REDIS: _REDIS, Engine.VALKEY: _VALKEY}
_VERSION = re.compile(r"(\d+)\.(\d+)")


def data_format_of(engine: str, version: str) -> int | None:
    """Return the version of the format that a server writes, or None for one we do not know.

    Whatever it is, a trial tells: a server that cannot load its data is taken back.
    """
    found = _VERSION.match(version)
    if found is None or engine not in set(Engine):
        return None
    return _KNOWN[Engine(engine)].get((int(found[1]), int(found[2])))
