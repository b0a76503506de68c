"""What a running server says of itself, and what a client meets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cachepilot.observe.memory import DEFAULT_USER


class Engine(StrEnum):
    """Which program serves."""

    REDIS = "redis"
    VALKEY = "valkey"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenUser:
    """One user of a running server.

    Attributes:
        passwords: Revision of each accepted password, ``unknown`` for one we never set; sorted.
        flags: ``on``, ``nopass`` and the like, sorted; ``sanitize-payload`` is left out because
            engines report it differently for the same rule.
        commands: The server's own wording of the command rules.
    """

    name: str
    flags: tuple[str, ...]
    passwords: tuple[str, ...]
    keys: str
    channels: str
    commands: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenConnection:
    """One client of a user whose password was replaced.

    Attributes:
        address: Address and port that the server sees.
        name: What the client calls itself, or empty.
        age_seconds: Since when it is connected; when it logged in is not known.
    """

    address: str
    name: str
    age_seconds: int
    user: str = DEFAULT_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFailedLogins:
    """Logins as a user that the server refused; nobody knows with which password.

    Attributes:
        address: Where they came from, without the port.
        name: What the client calls itself, or empty.
        is_proxy: Whether the address is the bridge's own, behind which every client on this host
            hides.
    """

    address: str
    name: str
    count: int
    is_proxy: bool = False
    user: str = DEFAULT_USER

    @property
    def whence(self) -> tuple[str, str, str]:
        """What tells one origin from another."""
        return self.user, self.address, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenServer:
    """Answers of a server over its management socket.

    Attributes:
        directives: (name, value) as CONFIG GET says; a directive it does not know is absent.
        used_memory: Bytes of data and buffers, as maxmemory counts them.
        resident_memory: Bytes that the process really holds.
        keys: Keys in all databases.
        old_connections: Clients that connected before the password was replaced, the oldest
            first, and not all if there are many; None when nobody asked, or could not.
        old_connection_count: How many there are in all.
        failed_logins: Of users, since their password before stopped to work; None when nobody
            asked, or could not.
    """

    engine: Engine
    version: str
    run_id: str
    uptime_seconds: int
    loading: bool
    used_memory: int
    resident_memory: int
    keys: int
    clients: int
    directives: tuple[tuple[str, str], ...]
    users: tuple[SeenUser, ...]
    old_connections: tuple[SeenConnection, ...] | None = None
    old_connection_count: int = 0
    failed_logins: tuple[SeenFailedLogins, ...] | None = None

    def directive(self, name: str) -> str | None:
        """Return the value of directive *name*, or None if the server does not know it."""
        return dict(self.directives).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenReplication:
    """What a server that is to take over says of its link to the one in charge.

    Attributes:
        follows: Whether it was told to replicate.
        link_up: Whether it has everything and gets what is new.
        has_password: Whether it could log in again if the link broke.
    """

    follows: bool
    link_up: bool
    has_password: bool


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The server did not answer our question.

    Attributes:
        saturated: It answered that it has no room for another connection, so it is alive.
        busy: It answered that a script or function runs and runs.
        silent: It let us wait, so nobody knows whether it would hear that it is to save and stop.
    """

    why: str
    saturated: bool = False
    busy: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEndpoint:
    """What a client meets at one published address.

    Attributes:
        problem: Why a client would not get in, or empty.
        fingerprint: SHA-256 of the certificate that was served, or empty on a plain port.
        refused: SHA-256 of a certificate that was served but that no client would accept.
    """

    listener: str
    address: str
    port: int
    problem: str = ""
    fingerprint: str = ""
    refused: str = ""
