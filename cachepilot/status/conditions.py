"""The words a tenant's status is written in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cachepilot.observe.snapshot import Snapshot
from cachepilot.spec.document import TenantName
from cachepilot.spec.tenant import TenantSpec


class ConditionType(StrEnum):
    """Adjectives and participles; each is described in docs/reference/conditions.md.

    READY, RECONCILING and STALLED follow kstatus: the last two are listed only while True.
    """

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SPEC_VALID = "SpecValid"
    CONTAINER_CURRENT = "ContainerCurrent"
    SERVER_REACHABLE = "ServerReachable"
    CONFIG_APPLIED = "ConfigApplied"
    CREDENTIALS_APPLIED = "CredentialsApplied"
    CERTIFICATE_SERVED = "CertificateServed"
    CLIENT_CERTIFICATES_ISSUED = "ClientCertificatesIssued"
    ENDPOINTS_REACHABLE = "EndpointsReachable"


class ConditionStatus(StrEnum):
    """Three-valued on purpose: we may not know."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One fact about a tenant, and since when it has held.

    Attributes:
        reason: One CamelCase word.
        message: A sentence for a person.
        last_transition_time: When the status last changed, not the reason.
    """

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a client connects."""

    listener: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What would disturb clients, and waits.

    Attributes:
        reason: One CamelCase word.
        message: A sentence that says what waits, and for what.
        until: When it goes on by itself, if that is known.
        plan: Lines of what is done then.
    """

    reason: str
    message: str
    until: datetime | None
    plan: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedUser:
    """Somebody who can log in.

    Attributes:
        revision: Counts the passwords this user ever had, from 1.
        since: When the present one came into force, if that is known.
        may: What a user of the spec may do on the server, in its words; empty for our own.
    """

    name: str
    revision: int
    since: datetime | None
    may: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedClient:
    """The certificate of a client, as it lies ready to be handed out.

    Attributes:
        fingerprint: SHA-256 of the certificate, hexadecimal.
        renew_at: When another one takes its place.
        folder: Where certificate and key are.
        problem: Why nobody gets in with it, or empty.
    """

    name: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    renew_at: datetime
    folder: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantStatus:
    """Everything we say about one tenant.

    Attributes:
        word: The one word of ``get tenants``, derived from the conditions.
        generation: Count of the distinct valid documents of this tenant.
        observed_digest: Fingerprint of the newest document as written, even an invalid one's
            predecessor; ``wait`` compares it with the file.
        settings_digest: Fingerprint of the settings this status was made under.
        observed_at: When the newest snapshot was taken.
        spec: What is wanted, None while no valid document was ever seen.
        users: Who can log in, the customer first.
        clients: The certificates of clients.
        plan: Lines of what is still to be done.
        snapshot: What ``plan`` and ``diff`` start from; None before the first look.
        waiting: What has to be done besides, but not yet.
    """

    tenant_name: TenantName
    word: str
    generation: int
    observed_generation: int
    observed_digest: str
    settings_digest: str
    observed_at: datetime
    source: str
    labels: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...]
    spec: TenantSpec | None
    conditions: tuple[Condition, ...]
    endpoints: tuple[Endpoint, ...]
    problems: tuple[str, ...]
    plan: tuple[str, ...]
    snapshot: Snapshot | None
    waiting: Waiting | None = None
    users: tuple[PublishedUser, ...] = ()
    clients: tuple[PublishedClient, ...] = ()

    def condition(self, condition_type: ConditionType) -> Condition | None:
        """Return the condition of *condition_type*, or None when it does not apply."""
        return next((seen for seen in self.conditions if seen.type is condition_type), None)
