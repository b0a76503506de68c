"""Where everything lies; the one place that knows the contract's folder names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the model would bring pydantic into every listing of the command line
    from cachepilot.spec.document import TenantName

MARKER = ".cachepilot"
RECORD = "record.json"
CONFIGURATION = "redis.conf"
USERS = "users.acl"
SOCKET = "redis.sock"


@dataclass(frozen=True)  # without slots, so that folders asked for on every visit can be kept
class RootPaths:
    """All paths below one root, which is ``/`` unless ``CACHEPILOT_ROOT`` says otherwise."""

    root: Path

    @property
    def etc(self) -> Path:
        """What people and their tools write."""
        return self.root / "etc/cachepilot"

    @property
    def settings_file(self) -> Path:
        """Settings of the daemon."""
        return self.etc / "cachepilot.yaml"

    @cached_property
    def tenants_d(self) -> Path:
        """One document a tenant."""
        return self.etc / "tenants.d"

    @cached_property
    def state(self) -> Path:
        """What must survive."""
        return self.root / "var/lib/cachepilot"

    @property
    def lock(self) -> Path:
        """Held by the one daemon of this root."""
        return self.state / "daemon.lock"

    @cached_property
    def ledger(self) -> Path:
        """Who holds which port and user id."""
        return self.state / "ledger.json"

    @cached_property
    def rollout(self) -> Path:
        """How far new defaults have reached the fleet."""
        return self.state / "rollout.json"

    @property
    def ca(self) -> Path:
        """Key and certificate of the root."""
        return self.state / "ca"

    @property
    def public(self) -> Path:
        """What anybody on the host may read."""
        return self.state / "public"

    @cached_property
    def public_ca(self) -> Path:
        """The bundle that clients trust."""
        return self.public / "ca.pem"

    @property
    def backups(self) -> Path:
        """Artefacts with their manifests, one folder a tenant."""
        return self.state / "backups"

    @cached_property
    def tenants(self) -> Path:
        """One folder a tenant."""
        return self.state / "tenants"

    def tenant(self, name: TenantName) -> Path:
        """Return the folder of everything that belongs to one tenant."""
        return self.tenants / name

    def record(self, name: TenantName) -> Path:
        """Return the file of what we remember of a tenant."""
        return self.tenants.joinpath(name, RECORD)

    def tls(self, name: TenantName) -> Path:
        """Return the folder of a tenant's certificates, which is mounted whole."""
        return self.tenants.joinpath(name, "tls")

    def leaf(self, name: TenantName, revision: int) -> Path:
        """Return the folder of one certificate with its key and bundle."""
        return self.tenants.joinpath(name, "tls", str(revision))

    def client_authority(self, name: TenantName) -> Path:
        """Return the folder of a tenant's own authority for its clients."""
        return self.tenants.joinpath(name, "client-ca")

    def clients(self, name: TenantName) -> Path:
        """Return the folder of what is handed to a tenant's clients, one folder each."""
        return self.tenants.joinpath(name, "clients")

    def conf(self, name: TenantName, instance: int) -> Path:
        """Return the configuration folder of one server instance."""
        return self.tenants.joinpath(name, "conf", str(instance))

    def run(self, name: TenantName, instance: int) -> Path:
        """Return the folder in which one server instance makes its socket."""
        return self.tenants.joinpath(name, "run", str(instance))

    def probe(self, name: TenantName) -> Path:
        """Return the folder in which a server makes its socket that only tries rules."""
        return self.tenants.joinpath(name, "probe")

    def data(self, name: TenantName, instance: int) -> Path:
        """Return the data folder of one server instance."""
        return self.tenants.joinpath(name, "data", str(instance))

    @property
    def runtime(self) -> Path:
        """What need not survive a start of the machine."""
        return self.root / "run/cachepilot"

    @cached_property
    def status(self) -> Path:
        """Published status, one file a tenant."""
        return self.runtime / "status"

    @cached_property
    def host_status(self) -> Path:
        """Published status of the daemon and the host."""
        return self.status / "host.json"

    def tenant_status(self, name: TenantName) -> Path:
        """Return the published status of a tenant.

        A tenant may be called ``host``; its file has a dot more, which no tenant's name has.
        """
        return self.status / ("host.tenant.json" if name == "host" else f"{name}.json")

    @property
    def log(self) -> Path:
        """What happened."""
        return self.root / "var/log/cachepilot"

    @property
    def events(self) -> Path:
        """One event a line."""
        return self.log / "events.jsonl"
