"""Actions on authorities and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cachepilot.plan.actions.base import BaseAction


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAuthority(BaseAction):
    """Make the host's certificate authority; happens once in the life of a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueCertificate(BaseAction):
    """Sign a fresh key and leaf beside the old ones, then remember its revision.

    Attributes:
        clients: Whether the server that serves it trusts the tenant's client authority.
    """

    revision: int
    names: tuple[str, ...]
    lifetime: timedelta
    uid: int
    clients: bool = False

    def detail(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneCertificates(BaseAction):
    """Delete the leaves that are no longer served."""

    keep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateClientAuthority(BaseAction):
    """Make the tenant's own authority for clients; one that is there ends with all it signed.

    Attributes:
        wish: The ``clientsRotatedAt`` that is served by this, or None.
    """

    wish: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueClientCertificate(BaseAction):
    """Sign a fresh key and certificate for a client, in place of the ones before."""

    client: str
    lifetime: timedelta

    def detail(self) -> str:
        return self.client


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveClientCertificate(BaseAction):
    """Delete the files of a client that the spec no longer names."""

    client: str

    def detail(self) -> str:
        return self.client


CertificateAction = (
    CreateAuthority
    | IssueCertificate
    | PruneCertificates
    | CreateClientAuthority
    | IssueClientCertificate
    | RemoveClientCertificate
)
