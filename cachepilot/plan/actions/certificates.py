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
    """Sign a fresh key and leaf beside the old ones, then remember its revision."""

    revision: int
    names: tuple[str, ...]
    lifetime: timedelta
    uid: int

    def detail(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneCertificates(BaseAction):
    """Delete the leaves that are no longer served."""

    keep: int


CertificateAction = CreateAuthority | IssueCertificate | PruneCertificates
