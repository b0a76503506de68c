"""What applying needs: verbs only, one for each action. Each is safe to repeat.

Every verb may raise WaitingError, StalledError or UnavailableError; whatever else it raises is
treated as unavailable and tried again with growing pauses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cachepilot.apply.hand_over_port import HandOverWriter
from cachepilot.apply.replacement_ports import (
    ReplacementContainers,
    ReplacementFiles,
    ReplacementMemory,
    ReplacementServer,
)
from cachepilot.observe.memory import HandOver, Reservation
from cachepilot.observe.snapshot import Resources, Role
from cachepilot.observe.user_memory import KeptRules
from cachepilot.plan.actions import AclUser, TriedUser, Workload
from cachepilot.spec.document import PersistenceMode, TenantName


class MemoryWriter(ReplacementMemory, Protocol):
    """Changes what we remember; durable before it returns."""

    def remember_document(
        self, tenant_name: TenantName, *, generation: int, digest: str, source: str, document: str
    ) -> None:
        """Keep a document as the last good one."""

    def retire(self, tenant_name: TenantName) -> None:
        """Record that serving ended with the tenant's file; remembering a document undoes it."""

    def reserve(self, tenant_name: TenantName, reservation: Reservation) -> None:
        """Take ports and uid in the ledger, release what the tenant held before, and record it.

        Raises:
            WaitingError: Another tenant was faster; look again.
        """

    def generate_credential(
        self,
        tenant_name: TenantName,
        *,
        user: str,
        pending: bool,
        wish: str | None,
        now: datetime,
    ) -> None:
        """Draw a 32-character password as the next revision of *user*, and *wish* as served."""

    def adopt_password(
        self, tenant_name: TenantName, *, user: str, path: str, pending: bool, now: datetime
    ) -> None:
        """Read the first line of *path* as the next revision of *user*.

        Raises:
            StalledError: The file cannot be used (reason ``PasswordFileUnusable``).
        """

    def promote_credential(
        self, tenant_name: TenantName, *, user: str, revision: int, now: datetime
    ) -> None:
        """Record that a password came into force now."""

    def forget_credentials(
        self, tenant_name: TenantName, *, user: str, revisions: tuple[int, ...]
    ) -> None:
        """Remove passwords from the record."""

    def begin_restart(self, tenant_name: TenantName, *, wish: str, at: datetime) -> None:
        """Record which wish is being served."""

    def finish_restart(self, tenant_name: TenantName, *, wish: str) -> None:
        """Record that a wish was served."""

    def expect_dump(self, tenant_name: TenantName, *, expected: bool) -> None:
        """Record whether a memory-only tenant's dump is there to be loaded."""

    def remember_persistence(self, tenant_name: TenantName, *, mode: PersistenceMode) -> None:
        """Record in which mode the data on disk is kept."""

    def remember_wait(self, tenant_name: TenantName, *, wait: tuple[int, datetime] | None) -> None:
        """Record which generation's wish to end serving waits, and until when."""

    def remember_rules(self, tenant_name: TenantName, *, rules: tuple[KeptRules, ...]) -> None:
        """Record what the users of the spec may do on the server, and forget all others' rules."""

    def remember_hand_over(self, tenant_name: TenantName, *, hand_over: HandOver | None) -> None:
        """Record how far a hand-over is; one that is won makes its successor the server."""

    def remember_applied(self, tenant_name: TenantName, *, fingerprint: str) -> None:
        """Record which directives the server was seen to have; empty for a doubt."""


class CertificateWriter(Protocol):
    """Makes the authority and signs leaves."""

    def create_authority(self) -> None:
        """Make the root once; a root that is there, or leaves without one, are left alone.

        Raises:
            StalledError: Making one would replace a lost root (reason ``AuthorityBroken``).
        """

    def issue(
        self,
        tenant_name: TenantName,
        *,
        revision: int,
        names: tuple[str, ...],
        lifetime: timedelta,
        uid: int,
        clients: bool,
        now: datetime,
    ) -> None:
        """Write key, leaf and bundle as *revision*, then record the revision.

        With *clients* the bundle trusts the tenant's client authority, and a certificate lies
        beside it with which the server itself is a client of its predecessor.
        """

    def prune(self, tenant_name: TenantName, *, keep: int) -> None:
        """Delete every revision but *keep*."""

    def create_client_authority(self, tenant_name: TenantName, *, wish: str | None) -> None:
        """Make or replace the tenant's authority for clients, then record *wish* as served."""

    def issue_client(
        self, tenant_name: TenantName, *, client: str, lifetime: timedelta, now: datetime
    ) -> None:
        """Replace key and certificate of one client.

        Raises:
            StalledError: The client authority must not be used (``ClientAuthorityBroken``).
        """

    def remove_client(self, tenant_name: TenantName, *, client: str) -> None:
        """Delete key and certificate of one client."""


class FileWriter(ReplacementFiles, Protocol):
    """Changes a tenant's own folders."""

    def prepare(self, tenant_name: TenantName, *, instance: int, uid: int) -> None:
        """Make conf, run, and data with its marker; then record that data is there.

        Raises:
            StalledError: Data was recorded but its folder is gone (reason ``DataMissing``).
        """

    def write_configuration(
        self, tenant_name: TenantName, *, instance: int, uid: int, text: str
    ) -> None:
        """Replace redis.conf."""

    def write_users(
        self, tenant_name: TenantName, *, instance: int, uid: int, users: tuple[AclUser, ...]
    ) -> None:
        """Replace users.acl, with SHA-256 hashes of the recorded passwords."""

    def discard_dump(self, tenant_name: TenantName, *, instance: int) -> None:
        """Delete dump.rdb and left-over temporary dumps."""

    def discard_append_only(self, tenant_name: TenantName, *, instance: int) -> None:
        """Delete the append-only folder."""


class ContainerWriter(ReplacementContainers, Protocol):
    """Changes what is running."""

    def ensure_image(self, image: str) -> None:
        """Fetch *image* unless the engine has it.

        Raises:
            StalledError: There is no such image (reason ``ImageUnavailable``).
        """

    def ensure_network(self, *, bridge: str, subnet: str) -> None:
        """Make the shared bridge; one that is there is left alone."""

    def create(self, tenant_name: TenantName, workload: Workload, *, instance: int) -> None:
        """Create a container, stopped; the same one twice is fine.

        Raises:
            StalledError: The image or a mounted folder is missing.
        """

    def start(self, tenant_name: TenantName, *, role: Role, instance: int) -> None:
        """Start a container after checking the data folder's marker and owner.

        Raises:
            StalledError: A port is taken, an address is foreign, or data is missing.
        """

    def stop(
        self, tenant_name: TenantName, *, container_id: str, timeout: timedelta, kills: bool = True
    ) -> None:
        """Stop a container, giving the server *timeout* to save; only if it *kills*, kill it then.

        Raises:
            StalledError: It cannot save and serves on (reason ``SaveFailed``).
            WaitingError: It ended, but not of its own accord, or its clients could write again
                before it ended. Neither if it *kills*.
        """

    def restart(
        self, tenant_name: TenantName, *, container_id: str, timeout: timedelta, instance: int
    ) -> None:
        """Stop and start a container, whatever state it is in."""

    def remove(self, tenant_name: TenantName, *, container_id: str, digest: str) -> None:
        """Remove a container if its id and digest are still those that were seen.

        Raises:
            WaitingError: It changed in the meantime; look again.
        """

    def unpause(self, *, container_id: str) -> None:
        """Thaw a frozen container."""

    def rename(self, tenant_name: TenantName, *, container_id: str, role: Role) -> None:
        """Give a container its contracted name."""

    def update(self, *, container_id: str, resources: Resources) -> None:
        """Change memory, processor time and restart policy while running.

        Raises:
            WaitingError: The kernel refused because more memory is in use.
        """


class ServerWriter(ReplacementServer, Protocol):
    """Changes a running server over its management socket."""

    def wait(self, tenant_name: TenantName, *, instance: int, patience: timedelta) -> None:
        """Return when the server answers and has loaded its data.

        Raises:
            WaitingError: It still loads after *patience*.
            UnavailableError: It does not answer at all.
        """

    def save(self, tenant_name: TenantName, *, instance: int, pause: timedelta) -> None:
        """Pause writes for *pause* and save; return only when the dump is complete on disk.

        Raises:
            StalledError: The server cannot save (reason ``SaveFailed``).
        """

    def resume_writes(self, tenant_name: TenantName, *, instance: int) -> None:
        """End a pause of writes; fine when there is none."""

    def save_in_background(self, tenant_name: TenantName, *, instance: int) -> None:
        """Start a background save and return when that very save has succeeded.

        Raises:
            StalledError: The server cannot save (reason ``SaveFailed``).
        """

    def wait_for_rewrite(self, tenant_name: TenantName, *, instance: int) -> None:
        """Return when no rewrite of the append-only file runs or waits and the last succeeded.

        Raises:
            StalledError: The rewrite failed (reason ``RewriteFailed``).
        """

    def end_script(self, tenant_name: TenantName, *, instance: int) -> None:
        """End the script or function that runs; fine when there is none.

        Raises:
            WaitingError: It has written already, so only time or a kill can end it.
        """

    def purge_memory(self, tenant_name: TenantName, *, instance: int) -> None:
        """Ask the allocator to return freed pages."""

    def set_directives(
        self, tenant_name: TenantName, *, instance: int, directives: tuple[tuple[str, str], ...]
    ) -> None:
        """Set all *directives* in one call.

        Raises:
            StalledError: The server refused (reason ``DirectiveRefused``), with its words.
        """

    def set_user(self, tenant_name: TenantName, *, instance: int, user: AclUser) -> None:
        """Replace everything about one user in one call."""

    def prove_login(
        self, tenant_name: TenantName, *, instance: int, user: str, passwords: tuple[int, ...]
    ) -> None:
        """Log in with each of *passwords*.

        Raises:
            StalledError: The server refuses one (reason ``LoginRefused``).
        """

    def delete_user(self, tenant_name: TenantName, *, instance: int, user: str) -> None:
        """Remove one user."""


class TrialWriter(Protocol):
    """Tries rules of users, and records every verdict before it says how that ended.

    Nothing that was made for a trial is left when a verb returns; what a crash left is taken away
    by the next trial, or when the daemon starts.
    """

    def on_server(
        self,
        tenant_name: TenantName,
        *,
        instance: int,
        image: str,
        image_id: str,
        users: tuple[TriedUser, ...],
    ) -> None:
        """Try rules on the running server.

        Raises:
            StalledError: It refuses rules that the spec asks for (reason ``UserRulesRefused``).
        """

    def apart(
        self,
        tenant_name: TenantName,
        *,
        image: str,
        image_id: str,
        uid: int,
        users: tuple[TriedUser, ...],
    ) -> None:
        """Try rules on a server of *image* that nobody can reach.

        Raises:
            StalledError: It refuses rules that the spec asks for, or no server runs (reason
                ``UserRulesRefused``).
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Writers:
    """Everything one visit may change."""

    memory: MemoryWriter
    certificates: CertificateWriter
    files: FileWriter
    containers: ContainerWriter
    server: ServerWriter
    trials: TrialWriter
    hand_over: HandOverWriter
