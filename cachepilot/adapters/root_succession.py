"""AuthorityWriter: each step of replacing the root is one durable write, or safe to repeat."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cachepilot.adapters.authority import Authority
from cachepilot.adapters.rotation_format import Rotation
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.snapshot import RotationPhase

_EARLY = (RotationPhase.MAKING, RotationPhase.JOINING, RotationPhase.ANNOUNCED)


class RootSuccession:
    """Lets one root follow another.

    Every verb looks again at what is recorded, and does nothing that its phase does not allow.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._folders = authority.folders

    def begin(self, *, by_wish: bool, now: datetime) -> None:
        """Record that another root is about to be made; nothing if one is already."""
        rotation = self._rotation()
        if rotation.phase is not None:
            return
        number = max(rotation.signer, *self._folders.later(), 1) + 1
        self._remember(
            replace(rotation, other=number, phase=RotationPhase.MAKING, since=now, by_wish=by_wish)
        )

    def join(self, *, now: datetime) -> None:
        """Make the new root unless it was made, record that it joins, and publish it."""
        rotation, number = self._expect(RotationPhase.MAKING)
        try:
            self._folders.parse(number)
        except (ValueError, OSError):
            self._folders.make(number, now)
        self._remember(replace(rotation, phase=RotationPhase.JOINING, since=now))
        self._authority.mend()

    def announce(self, *, now: datetime) -> None:
        """Record that the time to take the new root up begins."""
        rotation, _ = self._expect(RotationPhase.JOINING, RotationPhase.ANNOUNCED)
        self._remember(replace(rotation, phase=RotationPhase.ANNOUNCED, since=now))

    def promote(self, *, served: str | None, now: datetime) -> None:
        """Let the new root sign from now on."""
        rotation, number = self._expect(RotationPhase.ANNOUNCED)
        try:
            self._folders.parse(number)
        except (ValueError, OSError) as error:
            message = f"cannot sign with the root in {self._folders.at(number)}: it is not whole"
            raise StalledError(message, reason="AuthorityRotationBroken") from error
        self._remember(
            replace(
                rotation,
                signer=number,
                other=rotation.signer,
                phase=RotationPhase.REISSUING,
                since=now,
                served=served or rotation.served,
            )
        )

    def release(self, *, now: datetime) -> None:
        """Record that the last time of the old root begins."""
        rotation, _ = self._expect(RotationPhase.REISSUING, RotationPhase.LEAVING)
        self._remember(replace(rotation, phase=RotationPhase.LEAVING, since=now))

    def drop(self, *, now: datetime) -> None:
        """Take the root that does not sign out of what clients trust."""
        rotation, _ = self._expect(*_EARLY, RotationPhase.LEAVING)
        self._remember(replace(rotation, phase=RotationPhase.REMOVING, since=now))
        self._authority.mend()

    def remove(self) -> None:
        """Delete the root that left, then record that the rotation is over."""
        rotation, number = self._expect(RotationPhase.REMOVING)
        self._authority.mend()
        self._folders.remove(number)
        self._remember(replace(rotation, other=None, phase=None, since=None, by_wish=False))

    def _expect(self, *phases: RotationPhase) -> tuple[Rotation, int]:
        rotation = self._rotation()
        if rotation.phase not in phases or rotation.other is None:
            raise WaitingError(
                "cannot go on with the rotation: it is in another phase; look again"
            )
        return rotation, rotation.other

    def _rotation(self) -> Rotation:
        seen = self._authority.look()
        if seen.problem or not seen.exists:
            message = seen.problem or "there is no certificate authority to replace"
            raise StalledError(message, reason="AuthorityBroken")
        return self._folders.rotation()

    def _remember(self, rotation: Rotation) -> None:
        self._folders.remember(rotation)
