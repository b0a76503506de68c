"""Keeps durably how far new defaults have reached the fleet."""

from __future__ import annotations

from functools import cache

from pydantic import TypeAdapter

from cachepilot.adapters.atomic import Owner, explained, write_durably
from cachepilot.adapters.paths import RootPaths
from cachepilot.errors import StalledError
from cachepilot.plan.rollout import Rollout

_MODE = 0o600


class RolloutFile:
    """One small file, replaced as a whole.

    Args:
        paths: Where it lies.
        owner: Whom it belongs to, or None to leave that to the process.
    """

    def __init__(self, paths: RootPaths, *, owner: Owner | None) -> None:
        self._path = paths.rollout
        self._owner = owner

    def load(self) -> Rollout:
        """Return what was kept last, or a blank one.

        Raises:
            StalledError: It cannot be understood; going on would forget who failed.
            UnavailableError: It cannot be read.
        """
        with explained("read", self._path):
            try:
                content = self._path.read_bytes()
            except FileNotFoundError:
                return Rollout()
        try:
            return _rollouts().validate_json(content)
        except ValueError as error:
            raise StalledError(
                f"cannot read {self._path}; remove it to begin the rollout of defaults anew",
                reason="RolloutUnreadable",
            ) from error

    def save(self, rollout: Rollout) -> None:
        """Keep *rollout*, and return once a power cut cannot undo it.

        Raises:
            UnavailableError: It could not be written.
        """
        write_durably(
            self._path, _rollouts().dump_json(rollout) + b"\n", mode=_MODE, owner=self._owner
        )


@cache
def _rollouts() -> TypeAdapter[Rollout]:
    return TypeAdapter(Rollout)
