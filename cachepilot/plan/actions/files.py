"""Actions on a tenant's own folders."""

from __future__ import annotations

from dataclasses import dataclass

from cachepilot.plan.actions.base import AclUser, BaseAction


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareFolders(BaseAction):
    """Make the folders of an instance with owner and mode; never a data folder that was lost."""

    instance: int
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfiguration(BaseAction):
    """Write redis.conf of an instance."""

    instance: int
    uid: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUsers(BaseAction):
    """Write users.acl of an instance."""

    instance: int
    uid: int
    users: tuple[AclUser, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardDump(BaseAction):
    """Delete the dump of a memory-only tenant, so that no later start revives old data."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardAppendOnly(BaseAction):
    """Delete the append-only folder that a finished change of mode left behind."""

    instance: int


FileAction = PrepareFolders | WriteConfiguration | WriteUsers | DiscardDump | DiscardAppendOnly
