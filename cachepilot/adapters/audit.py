"""Writes into the log of events what a person did, before it is done."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cachepilot.adapters.atomic import explained
from cachepilot.adapters.event_line import append_line, render_event


def record_deed(
    path: Path,
    *,
    at: datetime,
    tenant_name: str,
    reason: str,
    message: str,
    details: Mapping[str, str],
) -> None:
    """Append one event durably.

    Raises:
        UnavailableError: It could not be written, so the deed must not happen either.
    """
    line = render_event(
        at=at,
        tenant_name=tenant_name,
        warning=False,
        reason=reason,
        message=message,
        details=details,
    )
    with explained("write to", path):
        append_line(path, line, owner=None, durable=True)


def person(environment: Mapping[str, str]) -> str:
    """Return who runs this program, also behind sudo."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    behind = environment.get("SUDO_USER", "")
    return f"{behind} (as {name})" if behind and behind != name else name
