"""What the files want right now, so that nobody waits for an answer to an older question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.published import PublishedStatus, PublishedTenant, StatusUnreadableError
from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.adapters.spec_refusals import EditConflictError
from cachepilot.adapters.stamp import Stamp, stamp_at
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.settings import Settings, check_settings
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.rules import Rules

_Stamp = tuple[str, Stamp]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fingerprints that a status must name to speak about the files as they are.

    Attributes:
        digest: Of the document; empty while it is invalid.
        problem: Why no status can be about it, or empty.
    """

    digest: str
    settings_digest: str
    problem: str = ""

    def is_seen_by(self, tenant: PublishedTenant) -> bool:
        """Return whether *tenant*'s status was made from these files."""
        status = tenant.status
        return bool(self.digest) and (
            status.get("observedDigest") == self.digest
            and status.get("settingsDigest") == self.settings_digest
        )


class WantedDocuments:
    """Reads the documents of some tenants again whenever a file of the folder changed."""

    def __init__(self, paths: RootPaths, names: Sequence[str]) -> None:
        self._paths = paths
        self._names = tuple(names)
        self._stamps: tuple[_Stamp, ...] | None = None
        self._wanted: dict[str, Wanted] = {}

    def look(self) -> dict[str, Wanted]:
        """Return what the files want of each tenant that has a document."""
        stamps = self._stamp_all()
        if stamps != self._stamps:
            self._wanted, self._stamps = self._read(), stamps
        return self._wanted

    def _stamp_all(self) -> tuple[_Stamp, ...]:
        files = (*SpecFolder(self._paths.tenants_d).files(), self._paths.settings_file)
        return tuple(stamp for path in files if (stamp := _stamp(path)))

    def _read(self) -> dict[str, Wanted]:
        settings = check_settings(self._paths.settings_file)
        if not isinstance(settings, Settings):
            problem = f"the settings are invalid: {settings[0]}"
            return {name: Wanted("", "", problem) for name in self._names}
        rules, digest = settings.rules(), settings.digest
        folder = SpecFolder(self._paths.tenants_d)
        found = {name: self._one(folder, name, rules, digest) for name in self._names}
        return {name: wanted for name, wanted in found.items() if wanted}

    def _one(
        self, folder: SpecFolder, name: str, rules: Rules, settings_digest: str
    ) -> Wanted | None:
        try:
            located = folder.find(name, prefer=self._incumbent(name))
        except EditConflictError as error:
            return Wanted("", settings_digest, str(error))
        if located is None:
            return None
        parsed = parse(located.tree, rules) if located.tree else ()
        if isinstance(parsed, Parsed):
            return Wanted(parsed.digest, settings_digest)
        problems = parsed or read_documents(located.data, str(located.path)).problems
        return Wanted("", settings_digest, str(problems[0]))

    def _incumbent(self, name: str) -> str:
        try:
            tenant = PublishedStatus(self._paths).tenant(name)
        except StatusUnreadableError:
            return ""
        return str(tenant.metadata.get("source") or "") if tenant else ""


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = stamp_at(path)
    except OSError:
        return None
    return (str(path), found) if found else None
