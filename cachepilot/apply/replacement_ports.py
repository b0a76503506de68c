"""What putting one server in the place of another needs of the outside; each is safe to repeat."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from cachepilot.observe.replacement import Replacement
from cachepilot.observe.snapshot import Engine
from cachepilot.spec.document import TenantName


class ReplacementMemory(Protocol):
    """Remembers how far a replacement has come; durable before it returns."""

    def begin_replacement(self, tenant_name: TenantName, replacement: Replacement) -> None:
        """Record what is to take whose place."""

    def abandon_replacement(self, tenant_name: TenantName) -> None:
        """Forget a replacement whose server was never started."""

    def switch_instance(self, tenant_name: TenantName, *, instance: int) -> None:
        """Record that *instance* is in charge."""

    def accept_replacement(self, tenant_name: TenantName) -> None:
        """Record that the new server stays, that its wish is served and whose folders may go."""

    def condemn_replacement(
        self, tenant_name: TenantName, *, reason: str, message: str, image_id: str
    ) -> None:
        """Record why the new server failed."""

    def return_to_former(self, tenant_name: TenantName) -> None:
        """Record that the former instance is in charge again, and what not to try once more."""

    def forget_held_back(self, tenant_name: TenantName) -> None:
        """Forget what failed once."""


class ReplacementFiles(Protocol):
    """Changes the folders of instances that do not serve."""

    def stage(self, tenant_name: TenantName, *, instance: int, uid: int) -> None:
        """Make empty folders of *instance*, then record that they are ours to empty.

        Raises:
            StalledError: Data of unknown origin lies there (reason ``DataFolderTaken``).
        """

    def carry_data(
        self,
        tenant_name: TenantName,
        *,
        source: int,
        instance: int,
        uid: int,
        dump: bool,
        append_only: bool,
    ) -> None:
        """Let *instance* have what a start on *source* would load; *source* keeps all of it."""

    def discard_instance(self, tenant_name: TenantName, *, instance: int) -> None:
        """Delete every folder of *instance*, then forget it.

        Raises:
            WaitingError: It is in charge, or may be again.
        """


class ReplacementContainers(Protocol):
    """Looks into images."""

    def examine_image(
        self, tenant_name: TenantName, *, image: str, engine: Engine, data_format: int | None
    ) -> None:
        """Record which server *image* holds.

        Raises:
            StalledError: It is not *engine* (reason ``EngineMismatch``), or it cannot load data
                of *data_format* (reason ``DataTooNew``).
        """


class ReplacementServer(Protocol):
    """Asks servers for their data, as a user that lives no longer than the question."""

    def rewrite_append_only(self, tenant_name: TenantName, *, instance: int) -> None:
        """Rewrite the append-only file and return when that has succeeded.

        Raises:
            StalledError: The rewrite failed (reason ``RewriteFailed``).
        """

    def note_data(self, tenant_name: TenantName, *, instance: int, pause: timedelta) -> None:
        """Pause writes for *pause*, then record what the server holds."""

    def compare_data(self, tenant_name: TenantName, *, instance: int) -> None:
        """Return if the server holds what was noted, but for what expired or was evicted.

        Raises:
            StalledError: It does not (reason ``DataDiffers``); that is recorded first.
        """
