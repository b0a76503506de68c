"""What we saw of the host and of the files that belong to a tenant."""

from __future__ import annotations

from dataclasses import dataclass

from cachepilot.observe.snapshot.certificates import SeenAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPasswordFile:
    """A file in which an author put the password of *user*.

    Attributes:
        revision: Which of the user's passwords it holds now; 0 for a new one, None if it cannot
            be used.
        problem: Why it cannot be used, or empty.
    """

    user: str
    revision: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFiles:
    """The folders of the serving instance.

    Attributes:
        folders_ready: Whether conf, run and data exist with the right owner and mode.
        configuration: SHA-256 of redis.conf, None when it is missing.
        users: users.acl with each hash replaced by ``#<revision>`` or ``#unknown``, None when
            missing.
        data_marker: Whether the data folder is the one we made.
        data_problem: Why the data folder is not the one we made and what to do, or empty.
        has_dump: Whether a dump.rdb lies there.
        has_append_only: Whether an append-only folder lies there.
        data_format: Version of the format of what a start would load; None when there is nothing,
            or nobody can tell.
        free_bytes: Room on the disk of the data; None when nobody asked.
        passwords: What the files hold that authors put passwords into.
    """

    folders_ready: bool
    configuration: str | None
    users: str | None
    data_marker: bool
    has_dump: bool
    has_append_only: bool
    data_problem: str = ""
    passwords: tuple[SeenPasswordFile, ...] = ()
    data_format: int | None = None
    free_bytes: int | None = None

    def password_of(self, user: str) -> SeenPasswordFile | None:
        """Return what the file holds that the author named for *user*, or None."""
        return next((seen for seen in self.passwords if seen.user == user), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHost:
    """What all tenants share.

    Attributes:
        owned_ports: (port, tenant) of the durable ledger.
        owned_uids: (uid, tenant) of the durable ledger.
        resting_ports: Ports that were released too recently to be given again.
        listeners: Addresses and ports on which something listens right now, ours included; an
            IPv4 address is always in its own spelling.
        bridges: (bridge index, tenants on it).
        memory_available: Bytes that new processes can have without anybody being swapped out; None
            when nobody knows.
        foreign_addresses: Wanted bind addresses that are not addresses of this host.
    """

    authority: SeenAuthority
    owned_ports: tuple[tuple[int, str], ...] = ()
    owned_uids: tuple[tuple[int, str], ...] = ()
    resting_ports: frozenset[int] = frozenset()
    resting_uids: frozenset[int] = frozenset()
    listeners: frozenset[tuple[str, int]] = frozenset()
    bridges: tuple[tuple[int, int], ...] = ()
    foreign_addresses: tuple[str, ...] = ()
    memory_available: int | None = None

    @property
    def listening_ports(self) -> frozenset[int]:
        """Ports on which something listens right now, on whichever address."""
        return frozenset(port for _, port in self.listeners)
