"""What all actions have in common, and the nouns they carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from cachepilot.observe.snapshot import ContainerShape, Resources, Role
from cachepilot.spec.document import TenantName


class Disruption(StrEnum):
    """What connected clients notice."""

    NONE = "none"
    RECONNECT = "reconnect"
    RESTART = "restart"
    DATA_RISK = "data-risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class AclUser:
    """One line of users.acl; passwords are named by revision, never by content.

    Attributes:
        passwords: Revisions of this user's own passwords that are accepted.
        enabled: Whether anybody may log in as this user.
        keys: Key pattern rules such as ``~*``, with blanks between them; empty for no key at all.
        channels: Channel rules such as ``&*``, likewise.
        commands: Command rules in order.
    """

    name: str
    passwords: tuple[int, ...] = ()
    enabled: bool = True
    keys: str = ""
    channels: str = ""
    commands: tuple[str, ...]

    def rules(self, passwords: tuple[str, ...]) -> tuple[str, ...]:
        """Return all rules in order, with *passwords* as the server is to be told them."""
        access = (self.keys or "resetkeys").split() + (self.channels or "resetchannels").split()
        return ("on" if self.enabled else "off", *passwords, *access, *self.commands)

    def line(self, passwords: tuple[str, ...]) -> str:
        """Return this user's line of users.acl, without its end."""
        return " ".join(("user", self.name, *self.rules(passwords)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A container to be: all that an engine needs to make it.

    Attributes:
        digest: Fingerprint of the shape with its version, written as a label.
        stop_timeout: Time a server gets to save before it is killed.
        image_id: Content that the image's name has to stand for, or empty for the newest.
    """

    role: Role
    shape: ContainerShape
    resources: Resources
    digest: str
    stop_timeout: timedelta
    image_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseAction:
    """What every action says: whom it concerns, why, and what clients notice."""

    disruption: ClassVar[Disruption] = Disruption.NONE

    tenant_name: TenantName
    cause: str

    def detail(self) -> str:
        """Return what a person wants to know besides the name, or empty."""
        return ""
