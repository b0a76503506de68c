"""The certificate authority of this host: made once, and never silently replaced."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from cachepilot.adapters.atomic import (
    explained,
    make_folder,
    settle,
    staged_folder,
    write_durably,
    write_volatile,
)
from cachepilot.adapters.certificate_making import Pair, make_root
from cachepilot.adapters.certificate_reading import (
    belongs_together,
    fingerprint,
    is_root,
    parse_pair,
)
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.stamp import Stamp, stamp_at
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.snapshot import SeenAuthority

KEY = "key.pem"
CERTIFICATE = "cert.pem"
_REPLACE = "put the folder back from a backup"


class Authority:
    """Key and certificate of the root, and the public copy that clients trust.

    Args:
        paths: Where they lie.
        utc_now: The time at which a root is made.
        owners: Whether files can be given to root.
    """

    def __init__(self, paths: RootPaths, *, utc_now: Callable[[], datetime], owners: bool) -> None:
        self._paths = paths
        self._utc_now = utc_now
        self._owner = (0, 0) if owners else None
        self._lock = threading.Lock()
        self._cached: tuple[tuple[Stamp, Stamp], Pair, SeenAuthority] | None = None

    def look(self) -> SeenAuthority:
        """Return the state of the authority; parsed again only when its files changed."""
        key, certificate = self._stamps()
        if key and certificate:
            try:
                return self._parse((key, certificate))[1]
            except (ValueError, OSError) as error:
                words = error.strerror if isinstance(error, OSError) else str(error)
                return _broken(f"{self._paths.ca}: {words}; {_REPLACE}")
        if key or certificate:
            missing = self._paths.ca / (CERTIFICATE if key else KEY)
            return _broken(f"{missing} is missing beside its other half; {_REPLACE}")
        return self._look_for_traces()

    def load(self) -> Pair:
        """Return the root, to sign with.

        Raises:
            WaitingError: There is none yet.
            StalledError: It must not be used (reason ``AuthorityBroken``).
        """
        seen = self.look()
        if seen.problem:
            raise StalledError(seen.problem, reason="AuthorityBroken")
        if not seen.exists or self._cached is None:
            raise WaitingError("cannot sign a certificate: there is no authority yet")
        return self._cached[1]

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
                self._make()
        self.mend()

    def mend(self) -> None:
        """Give the files their modes and clients their copy back, if there is a root.

        Raises:
            UnavailableError: Something could not be written.
        """
        if not self.look().exists:
            return
        with self._lock:
            make_folder(self._paths.ca, mode=0o700, owner=self._owner)
            key = self._paths.ca / KEY
            with explained("mend", key):
                descriptor = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    settle(descriptor, mode=0o600, owner=self._owner)
                finally:
                    os.close(descriptor)
            self._publish()

    def _make(self) -> None:
        """Make both files at once: there is never one without the other."""
        root = make_root(self._utc_now())
        owner = self._owner
        with staged_folder(self._paths.ca, mode=0o700, owner=owner) as staged:
            write_volatile(staged / KEY, root.key_pem(), mode=0o600, owner=owner)
            write_volatile(staged / CERTIFICATE, root.certificate_pem(), mode=0o644, owner=owner)

    def _publish(self) -> None:
        path = self._paths.public_ca
        with explained("read", self._paths.ca / CERTIFICATE):
            wanted = (self._paths.ca / CERTIFICATE).read_bytes()
        make_folder(path.parent, mode=0o755, owner=self._owner)
        with explained("read", path):
            is_right = path.is_file() and path.stat().st_mode & 0o777 == 0o644  # noqa: PLR2004 - a mode
            if is_right and path.read_bytes() == wanted:
                return
        write_durably(path, wanted, mode=0o644, owner=self._owner)

    def _parse(self, stamps: tuple[Stamp, Stamp]) -> tuple[Pair, SeenAuthority]:
        cached = self._cached
        if cached and cached[0] == stamps:
            return cached[1], cached[2]
        folder = self._paths.ca
        pair = parse_pair((folder / KEY).read_bytes(), (folder / CERTIFICATE).read_bytes())
        if not belongs_together(pair):
            raise ValueError(f"{KEY} is not the key of {CERTIFICATE}")
        if not is_root(pair.certificate):
            raise ValueError(f"{CERTIFICATE} is not an authority's certificate")
        seen = SeenAuthority(
            exists=True,
            fingerprint=fingerprint(pair.certificate),
            not_after=pair.certificate.not_valid_after_utc,
        )
        self._cached = (stamps, pair, seen)
        return pair, seen

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

    def _stamps(self) -> tuple[Stamp | None, Stamp | None]:
        with explained("look at", self._paths.ca):
            return stamp_at(self._paths.ca / KEY), stamp_at(self._paths.ca / CERTIFICATE)


def _broken(why: str) -> SeenAuthority:
    return SeenAuthority(exists=False, problem=f"cannot use the certificate authority: {why}")
