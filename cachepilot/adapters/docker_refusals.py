"""What Docker says of a start that failed, as a reason that a person can act on."""

from __future__ import annotations

import re

from cachepilot.errors import StalledError

# Docker reports a failed start in prose only. The first pattern that is found counts.
_START_FAILURES: tuple[tuple[str, str, str], ...] = (
    (
        "port is already allocated",
        "PortInUse",
        # An engine that was killed in the middle of a start may come back with its port taken by
        # nobody; only its own restart frees it.
        "another container holds the port; if none does, Docker forgot to free it: restart Docker",
    ),
    ("address already in use", "PortInUse", "another program holds the port"),
    ("cannot assign requested address", "AddressNotLocal", "not an address of this host"),
    ("bind source path does not exist", "FolderMissing", "a mounted folder is missing"),
    ("executable file not found", "EngineMismatch", "the image lacks the server"),
    ("no such file or directory: unknown", "EngineMismatch", "the image lacks the server"),
)


def refuse_known_failure(verb: str, name: str, text: str) -> None:
    """Raise StalledError when Docker's words name a cause that a person must mend."""
    for pattern, reason, meaning in _START_FAILURES:
        if pattern in text:
            port = re.search(r"([0-9.:\[\]a-f]+:\d+)", text)
            where = f" ({port.group(1)})" if port else ""
            raise StalledError(f"cannot {verb} container {name}: {meaning}{where}", reason=reason)
