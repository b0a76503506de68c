"""The text of record.json: what we remember of one tenant, passwords included."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cachepilot.adapters.secret import Secret
from cachepilot.observe.memory import Memory, SeenCredential
from cachepilot.spec.document import TenantName

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A tenant's memory with the passwords that it names, in the same order."""

    memory: Memory
    passwords: tuple[Secret, ...] = ()


class _Stored(BaseModel):
    # An unknown key was written by a newer program; dropping it at the next write would forget it.
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _StoredCredential(_Stored):
    user: str = Field(min_length=1)
    revision: int = Field(ge=1)
    from_file: bool
    # Records of the first release say none of these.
    pending: bool = False
    since: datetime | None = None
    replaced: datetime | None = None
    password: str = Field(min_length=1, repr=False)


class _StoredRecord(_Stored):
    version: Literal[1]
    tenant: str
    memory: Memory
    credentials: tuple[_StoredCredential, ...]


def render_record(tenant_name: TenantName, record: Record) -> bytes:
    """Return the content of record.json."""
    credentials = tuple(
        _StoredCredential(
            user=seen.user,
            revision=seen.revision,
            from_file=seen.from_file,
            pending=seen.pending,
            since=seen.since,
            replaced=seen.replaced,
            password=password.reveal(),
        )
        for seen, password in zip(record.memory.credentials, record.passwords, strict=True)
    )
    stored = _StoredRecord(
        version=VERSION,
        tenant=tenant_name,
        memory=replace(record.memory, credentials=()),
        credentials=credentials,
    )
    content = stored.model_dump(mode="json")
    del content["memory"]["credentials"]
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def parse_record(tenant_name: TenantName, content: bytes) -> Record:
    """Return what *content* says.

    Raises:
        ValueError: It is no record of this tenant that we understand; the message says why and
            shows nothing of it.
    """
    version = _version(content)
    if version != VERSION:
        raise ValueError(f"its version is {version}, this program knows {VERSION}")
    try:
        stored = _StoredRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"at {where}: {first['type'].replace('_', ' ')}") from None
    if stored.tenant != tenant_name:
        raise ValueError(f"it is the record of tenant {stored.tenant[:64]!r}")
    credentials = tuple(
        SeenCredential(
            user=kept.user,
            revision=kept.revision,
            from_file=kept.from_file,
            pending=kept.pending,
            since=kept.since,
            replaced=kept.replaced,
        )
        for kept in stored.credentials
    )
    return Record(
        memory=replace(stored.memory, credentials=credentials),
        passwords=tuple(Secret(kept.password) for kept in stored.credentials),
    )


def _version(content: bytes) -> object:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("version"), int):
        raise ValueError("it names no version")  # noqa: TRY004 - every flaw is one kind of error
    return tree["version"]
