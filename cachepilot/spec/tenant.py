"""The wanted state of one tenant, with every default filled in."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from cachepilot.spec.document import (
    AccessMode,
    ClientCertificates,
    MemoryPolicy,
    PersistenceMode,
    State,
    TenantName,
)
from cachepilot.spec.maintenance import Window
from cachepilot.spec.upgrade import UpgradeFallback, UpgradeStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpec:
    """A further user of the server, as its author describes it.

    Attributes:
        keys: Patterns of keys, in order; likewise *channels*.
        commands: Rules that add to nothing, in order.
        rotate_every: How old a generated password gets, or None.
    """

    name: str
    keys: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    commands: tuple[str, ...]
    password_file: str | None = None
    rotated_at: str | None = None
    rotate_every: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSpec:
    """What one tenant should be; sizes in bytes, cpus in cores, addresses as text.

    Attributes:
        config: Directives of ``engine.config`` merged over the defaults, in the server's words.
        memory_limit: Bytes of the container, head-room included.
        tls_port: The pinned encrypted port, or None where any will do.
        names: Every name and address a client is told to dial, sorted.
        client_certificates: Whether clients of the encrypted port show a certificate.
        clients: Names of the clients that get a certificate, sorted.
        clients_rotated_at: The newest wish for other client certificates, as written.
        rotated_at: The newest wish for another password, as written.
        rotate_every: How old a generated password gets, or None.
        grace: How long a replaced password still works.
        scripting: Whether the customer may run scripts.
        window: When what disturbs clients may happen; None is always.
        open_until: Until when it may happen whatever the window says, as written.
        users: Further users in the order of the document.
        strategy: How the server is replaced where it cannot be changed.
        fallback: What happens where that is not possible.
        restarted_at: The newest wish for a restart, as written.
        inherited: Which fields that only a restart changes come from the host's defaults.
    """

    name: TenantName
    state: State
    paused: bool
    image: str
    config: tuple[tuple[str, str], ...]
    memory_max: int
    memory_limit: int
    memory_policy: MemoryPolicy
    cpus: float | None
    persistence: PersistenceMode
    access: AccessMode
    tls_port: int | None
    plain_port: int | None
    bind: tuple[str, ...]
    names: tuple[str, ...]
    certificate_lifetime: timedelta
    renew_before: timedelta
    client_certificates: ClientCertificates
    clients: tuple[str, ...]
    clients_rotated_at: str | None
    password_file: str | None
    rotated_at: str | None
    rotate_every: timedelta | None
    grace: timedelta
    scripting: bool
    window: Window | None
    open_until: str | None
    strategy: UpgradeStrategy
    fallback: UpgradeFallback
    restarted_at: str | None
    users: tuple[UserSpec, ...] = ()
    inherited: frozenset[str] = frozenset()

    @property
    def listeners(self) -> tuple[tuple[str, int | None], ...]:
        """Each open listener with the port it pins, or None."""
        tls = (("tls", self.tls_port),) if self.access.has_tls else ()
        plain = (("plain", self.plain_port),) if self.access.has_plain else ()
        return (*tls, *plain)

    @property
    def in_sandbox(self) -> bool:
        """Whether the server shares the network of a sandbox, so that another can take over."""
        return self.strategy is UpgradeStrategy.HANDOVER

    @property
    def serves(self) -> bool:
        """Whether a server should be running."""
        return self.state is State.RUNNING


@lru_cache(maxsize=1024)
def is_wildcard(address: str) -> bool:
    """Return whether *address* means all addresses of the host."""
    return ipaddress.ip_address(address).is_unspecified


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Return whether only this host can dial *address*."""
    return ipaddress.ip_address(address).is_loopback
