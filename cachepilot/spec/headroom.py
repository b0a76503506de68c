"""How much memory a container needs beside the data.

``memory.max`` bounds only the data (``maxmemory``); the kernel counts everything, and kills the
server when the container's limit is reached. Three things come on top, all in bytes::

    limit = base + max * (1 + buffers + copy-on-write)      rounded up to a whole MiB

base
    The program, its libraries, an empty key space and the connections of a few clients. It does
    not grow with the data.
buffers
    What grows with the data although ``maxmemory`` does not stop it: fragmentation of the
    allocator, output buffers of clients that read slowly, and the buffer of the append-only
    file. A share of ``memory.max``.
copy-on-write
    While a child process saves, every page that the parent writes to exists twice. In the worst
    case that is nearly all of the data. It counts only where the persistence mode forks (``rdb``
    and ``aof``): a memory-only tenant never pays for it. A share of ``memory.max``.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.quantities import size_to_text
from cachepilot.spec.rules import HeadRoom

_MIB = 2**20


def container_limit(memory_max: int, mode: PersistenceMode, rule: HeadRoom) -> int:
    """Return the smallest safe memory limit of a container in bytes, whole MiB."""
    # Decimal, because 1.1 times 100 MiB must be 110 MiB and not one float's error more.
    share = 1 + Decimal(str(rule.buffers)) + Decimal(str(_copy_on_write(mode, rule)))
    needed = (rule.base + memory_max * share) / _MIB
    return int(needed.to_integral_value(ROUND_CEILING)) * _MIB


def describe_rule(memory_max: int, mode: PersistenceMode, rule: HeadRoom) -> str:
    """Return the rule with its numbers filled in, for the author of a document."""
    shares = f"1 + {rule.buffers:g} for buffers"
    if copies := _copy_on_write(mode, rule):
        shares += f" + {copies:g} for copy-on-write while {mode.value} saves"
    return (
        f"{size_to_text(rule.base)} + {size_to_text(memory_max)} x ({shares}) = "
        f"{size_to_text(container_limit(memory_max, mode, rule))}"
    )


def _copy_on_write(mode: PersistenceMode, rule: HeadRoom) -> float:
    return 0.0 if mode is PersistenceMode.NONE else rule.copyOnWrite
