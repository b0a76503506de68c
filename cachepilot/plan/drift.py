"""Why a container must be replaced, in order of precedence; the first reason that holds counts."""

from __future__ import annotations

from collections.abc import Callable

from cachepilot.observe.snapshot import JOINED, ContainerShape

ShapeCheck = Callable[[ContainerShape, ContainerShape], bool]

SHAPE_CHECKS: tuple[tuple[str, ShapeCheck], ...] = (
    ("image changed", lambda want, seen: want.image != seen.image),
    # Its ports become, or were, those of the sandbox: the same ones, which did not change.
    ("it moves into a sandbox", lambda want, seen: want.bridge == JOINED != seen.bridge),
    ("it leaves its sandbox", lambda want, seen: seen.bridge == JOINED != want.bridge),
    ("published ports changed", lambda want, seen: want.published != seen.published),
    ("command changed", lambda want, seen: want.command != seen.command),
    ("user changed", lambda want, seen: want.user != seen.user),
    ("network changed", lambda want, seen: want.bridge != seen.bridge),
    ("mounts changed", lambda want, seen: want.mounts != seen.mounts),
    ("hardening changed", lambda want, seen: want.security != seen.security),
    ("process limit changed", lambda want, seen: want.pids != seen.pids),
    ("open file limit changed", lambda want, seen: want.files != seen.files),
)


def shape_drift(wanted: ContainerShape, seen: ContainerShape) -> str | None:
    """Return the first cause to replace a container, or None if it may stay."""
    for cause, has_drifted in SHAPE_CHECKS:
        if has_drifted(wanted, seen):
            return cause
    return None
