"""The text of rotation.json: which root signs, and how far it is being replaced by another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cachepilot.clock import rfc3339
from cachepilot.observe.snapshot import RotationPhase

FIRST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What the host remembers of its roots, which are numbered from 1.

    Attributes:
        signer: The root that signs.
        other: The root that joins or leaves; None while there is no rotation.
        phase: How far the rotation is; None while there is none.
        since: When the phase began.
        by_wish: Whether somebody wished for the rotation, who may withdraw it.
        served: The newest served ``authority.rotatedAt``.
    """

    signer: int = FIRST
    other: int | None = None
    phase: RotationPhase | None = None
    since: datetime | None = None
    by_wish: bool = False
    served: str | None = None


class _Stored(BaseModel):
    # An unknown key was written by a newer program; dropping it at the next write would forget it.
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    version: Literal[1]
    signer: int = Field(ge=FIRST)
    other: int | None = Field(ge=FIRST)
    phase: RotationPhase | None
    since: datetime | None
    by_wish: bool
    served: str | None


def render_rotation(rotation: Rotation) -> bytes:
    """Return the content of rotation.json."""
    content = {
        "version": 1,
        "signer": rotation.signer,
        "other": rotation.other,
        "phase": rotation.phase,
        "since": rfc3339(rotation.since) if rotation.since else None,
        "by_wish": rotation.by_wish,
        "served": rotation.served,
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def parse_rotation(content: bytes) -> Rotation:
    """Return what *content* says.

    Raises:
        ValueError: It makes no sense.
    """
    try:
        stored = _Stored.model_validate_json(content)
    except ValidationError:
        raise ValueError("rotation.json cannot be read") from None
    rotates = stored.phase is not None
    if rotates is not (stored.other is not None and stored.since is not None):
        raise ValueError("rotation.json contradicts itself")
    if stored.other == stored.signer:
        raise ValueError("rotation.json contradicts itself")
    return Rotation(
        signer=stored.signer,
        other=stored.other,
        phase=stored.phase,
        since=stored.since,
        by_wish=stored.by_wish,
        served=stored.served,
    )
