"""Scalars of a tenant's document and of the settings: what each accepts, and how it is spelled."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
LABEL_KEY_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?$"
IMAGE_PATTERN = r"^[a-z0-9][A-Za-z0-9._:-]*(/[a-z0-9][A-Za-z0-9._:-]*)*(@sha256:[0-9a-f]{64})?$"
_HOST_NAME = re.compile(
    r"^(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
)
HOST_NAME_LENGTH = 253


def _address(text: str) -> str:
    """Return an IP address in its one canonical spelling."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    # An address with a zone cannot stand in a certificate.
    if address is None or getattr(address, "scope_id", None):
        raise PydanticCustomError("ip_address", "expected an IP address such as 127.0.0.1")
    # Docker takes ::ffff:0.0.0.0 for 0.0.0.0, so the check for wildcards must see the same.
    return str(getattr(address, "ipv4_mapped", None) or address)


def _dialled_name(text: str) -> str:
    """Accept what may stand in a certificate: a DNS name or an IP address."""
    try:
        return _address(text)
    except PydanticCustomError:
        pass
    # A name that ends in a number is a mistyped address: resolvers treat it as one.
    is_number = text.rpartition(".")[2].isdigit()
    if len(text) <= HOST_NAME_LENGTH and _HOST_NAME.fullmatch(text) and not is_number:
        return text.lower()
    raise PydanticCustomError("host_name", "expected a host name or an IP address")


def _instant(text: str) -> str:
    """Accept an RFC 3339 timestamp with a time zone; keep the author's text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PydanticCustomError(
            "timestamp", "expected a time with its zone such as 2026-01-31T12:00:00Z"
        )
    return text


def _absolute(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise PydanticCustomError("path", "expected an absolute path")
    return text


Address = Annotated[
    str,
    AfterValidator(_address),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]
DialledName = Annotated[
    str, AfterValidator(_dialled_name), WithJsonSchema({"type": "string", "minLength": 1})
]
Instant = Annotated[
    str, AfterValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
AbsolutePath = Annotated[
    str, AfterValidator(_absolute), WithJsonSchema({"type": "string", "pattern": "^/"})
]
Image = Annotated[str, StringConstraints(pattern=IMAGE_PATTERN, max_length=255)]
Port = Annotated[int, Field(ge=1024, le=65_535)]
ClientName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY_PATTERN)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
