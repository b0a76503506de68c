"""How a server is replaced, where a running one cannot be changed."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from cachepilot.spec.directives import LIVE, RESTART, SpecModel


class UpgradeStrategy(StrEnum):
    """How a server is replaced by another one."""

    RESTART = "restart"
    HANDOVER = "handover"


class UpgradeFallback(StrEnum):
    """What happens where a hand-over cannot be made."""

    WAIT = "wait"
    RESTART = "restart"


class UpgradeFields(SpecModel):
    """How the server is replaced, where a running one cannot be changed."""

    strategy: UpgradeStrategy | None = Field(
        default=None,
        description="`restart` keeps every acknowledged write and takes as long as loading the "
        "data does. `handover` starts a second server beside the first and breaks each connection "
        "once; it needs the memory of both meanwhile, and a small container more all the time, so "
        "choosing or leaving it is a restart.",
        json_schema_extra=RESTART,
    )
    fallback: UpgradeFallback | None = Field(
        default=None,
        description="What to do where the host lacks the memory for a hand-over: `wait` for it, "
        "or `restart`.",
        json_schema_extra=LIVE,
    )
