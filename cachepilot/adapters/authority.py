"""The certificate authority of this host: made once, and never silently replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cachepilot.adapters.atomic import explained, make_folder, write_durably
from cachepilot.adapters.certificate_making import Pair
from cachepilot.adapters.certificate_reading import fingerprint
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.root_folders import CERTIFICATE, KEY, RootFolders
from cachepilot.adapters.rotation_format import FIRST, Rotation
from cachepilot.adapters.stamp import Stamp
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.snapshot import RotationPhase, SeenAuthority, SeenRoot, SeenRotation

_REPLACE = "put the folder back from a backup"
# In these phases the other root has not joined yet, or has left already.
_APART = (RotationPhase.MAKING, RotationPhase.REMOVING)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the files said when they were read last."""

    stamps: tuple[Stamp | None, ...]
    rotation: Rotation
    signer: Pair
    roots: tuple[Pair, ...]
    seen: SeenAuthority

    @property
    def bundle_pem(self) -> bytes:
        """The certificates of all roots that are trusted."""
        return b"".join(root.certificate_pem() for root in self.roots)


class Authority:
    """Key and certificate of the root, and the public copy that clients trust.

    Args:
        paths: Where they lie.
        utc_now: The time at which a root is made.
        owners: Whether files can be given to root.
        born_with: Returns the wish for another root that a host which has none yet is born with.
    """

    def __init__(
        self,
        paths: RootPaths,
        *,
        utc_now: Callable[[], datetime],
        owners: bool,
        born_with: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._paths = paths
        self._utc_now = utc_now
        self._born_with = born_with
        self._owner = (0, 0) if owners else None
        self.folders = RootFolders(paths.ca, self._owner)
        self._lock = threading.Lock()
        self._cached: _Read | None = None

    def look(self) -> SeenAuthority:
        """Return the state of the authority; parsed again only when its files changed."""
        cached = self._cached
        if cached and cached.stamps == self._stamps(cached.rotation):
            return cached.seen
        # Before its content: whatever replaces the file meanwhile shows at the next look.
        (stamp,) = self.folders.stamps()
        try:
            rotation = self.folders.rotation()
        except (ValueError, OSError) as error:
            return _broken(f"{self._paths.ca}: {_words(error)}; {_REPLACE}")
        key, certificate = self.folders.stamps(rotation.signer)[1:]
        if key and certificate:
            try:
                return self._read(rotation, stamp).seen
            except (ValueError, OSError) as error:
                return _broken(f"{self.folders.at(rotation.signer)}: {_words(error)}; {_REPLACE}")
        if key or certificate or rotation.signer != FIRST or rotation.phase:
            missing = self.folders.at(rotation.signer) / (CERTIFICATE if key else KEY)
            return _broken(f"{missing} is missing beside what belongs to it; {_REPLACE}")
        return self._look_for_traces()

    def load(self) -> Pair:
        """Return the root, to sign with.

        Raises:
            WaitingError: There is none yet.
            StalledError: It must not be used (reason ``AuthorityBroken``).
        """
        return self._current().signer

    def bundle_pem(self) -> bytes:
        """Return the certificates of all roots that are trusted.

        Raises:
            WaitingError: There is none yet.
            StalledError: It must not be used (reason ``AuthorityBroken``).
        """
        return self._current().bundle_pem

    def create(self) -> None:
        """Make the root once, then publish its certificate; safe to repeat.

        Raises:
            StalledError: Making one would replace a lost root (reason ``AuthorityBroken``).
        """
        with self._lock:
            seen = self.look()
            if seen.problem:
                raise StalledError(seen.problem, reason="AuthorityBroken")
            if not seen.exists:
                wish = self._born_with()
                rotation = Rotation(served=wish) if wish else None
                self.folders.make(FIRST, self._utc_now(), rotation=rotation)
        self.mend()

    def mend(self) -> None:
        """Give the files their modes and clients their copy back, if there is a root.

        Raises:
            UnavailableError: Something could not be written.
        """
        if not self.look().exists:
            return
        with self._lock:
            current = self._current()
            self.folders.mend(current.rotation.signer, current.rotation.other)
            rotation = current.seen.rotation
            if rotation is None or not rotation.problem:
                self._publish(current.bundle_pem)

    def _current(self) -> _Read:
        seen = self.look()
        if seen.problem:
            raise StalledError(seen.problem, reason="AuthorityBroken")
        if not seen.exists or self._cached is None:
            raise WaitingError("cannot sign a certificate: there is no authority yet")
        return self._cached

    def _publish(self, wanted: bytes) -> None:
        path = self._paths.public_ca
        make_folder(path.parent, mode=0o755, owner=self._owner)
        with explained("read", path):
            is_right = path.is_file() and path.stat().st_mode & 0o777 == 0o644  # noqa: PLR2004 - a mode
            if is_right and path.read_bytes() == wanted:
                return
        write_durably(path, wanted, mode=0o644, owner=self._owner)

    def _read(self, rotation: Rotation, stamp: Stamp | None) -> _Read:
        stamps, problem = (stamp, *self._stamps(rotation)[1:]), ""
        roots = [self.folders.parse(rotation.signer)]
        if rotation.other and rotation.phase not in _APART:
            try:
                roots.append(self.folders.parse(rotation.other))
            except (ValueError, OSError) as error:
                # What signs is whole, so leaves can be issued; but nothing moves any further.
                where = self.folders.at(rotation.other)
                problem = f"cannot use the root in {where}: {_words(error)}; {_REPLACE}"
        self._cached = _Read(
            stamps=stamps,
            rotation=rotation,
            signer=roots[0],
            roots=tuple(roots),
            seen=_seen(rotation, roots, problem),
        )
        return self._cached

    def _stamps(self, rotation: Rotation) -> tuple[Stamp | None, ...]:
        return self.folders.stamps(rotation.signer, rotation.other)

    def _look_for_traces(self) -> SeenAuthority:
        """Tell a host that never had an authority from one that lost it."""
        if trace := next(self._traces(), None):
            return _broken(f"{self._paths.ca} is gone although {trace} is there; {_REPLACE}")
        return SeenAuthority(exists=False)

    def _traces(self) -> Iterator[Path]:
        if self._paths.public_ca.exists():
            yield self._paths.public_ca
        with explained("look for certificates in", self._paths.tenants):
            yield from self._paths.tenants.glob(f"*/tls/[0-9]*/{CERTIFICATE}")
            # Whatever else lies there may be what somebody rescued.
            if self._paths.ca.is_dir():
                yield from self._paths.ca.iterdir()


def _seen(rotation: Rotation, roots: list[Pair], problem: str) -> SeenAuthority:
    under_way = None
    if rotation.phase and rotation.since:
        under_way = SeenRotation(
            phase=rotation.phase, since=rotation.since, by_wish=rotation.by_wish, problem=problem
        )
    return SeenAuthority(
        exists=True,
        fingerprint=fingerprint(roots[0].certificate),
        not_after=roots[0].certificate.not_valid_after_utc,
        roots=tuple(map(_seen_root, roots)),
        rotation=under_way,
        served_wish=rotation.served,
    )


def _seen_root(root: Pair) -> SeenRoot:
    return SeenRoot(
        fingerprint=fingerprint(root.certificate),
        not_after=root.certificate.not_valid_after_utc,
    )


def _words(error: ValueError | OSError) -> str:
    return str(error.strerror).lower() if isinstance(error, OSError) else str(error)


def _broken(why: str) -> SeenAuthority:
    return SeenAuthority(exists=False, problem=f"cannot use the certificate authority: {why}")
