"""Turns published tenants into the rows of ``get tenants``, selects and sorts them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cachepilot.adapters.published import PublishedTenant, instant
from cachepilot.cli.exits import Exit
from cachepilot.cli.failures import CommandError
from cachepilot.cli.figures import since_text, size_text
from cachepilot.cli.words import HEALTHY, severity
from cachepilot.spec.spelling import did_you_mean

HEADERS = ("NAME", "STATUS", "SINCE", "MEMORY", "ENDPOINTS", "REASON")
WIDE_HEADERS = (
    *("NAME", "STATUS", "SINCE", "MEMORY", "LIMIT", "PERSISTENCE", "IMAGE", "ENDPOINTS"),
    *("LABELS", "FILE", "MESSAGE"),
)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Selector:
    """Labels that a tenant must or must not have."""

    terms: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Selector:
        """Read ``key=value``, ``key!=value``, ``key`` or ``!key``, joined by commas.

        Raises:
            CommandError: A term is none of these.
        """
        terms = [_term(term.strip()) for text in texts for term in text.split(",")]
        return cls(tuple(terms))

    def matches(self, labels: Mapping[str, Any]) -> bool:
        """Return whether *labels* fulfil every term."""
        return all(_holds(labels.get(key), sign, value) for key, sign, value in self.terms)


def _term(text: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"(!?)([A-Za-z0-9._/-]+)(?:(==|=|!=)(.*))?", text)
    if match is None or (match[1] and match[3]):
        raise CommandError(
            f'cannot read the selector "{text}"',
            exit_code=Exit.USAGE,
            hint="write key=value, key!=value, key or !key, joined by commas",
        )
    sign = {"==": "=", None: "absent" if match[1] else "present"}.get(match[3], match[3])
    return match[2], sign, match[4] or ""


def _holds(seen: object, sign: str, value: str) -> bool:
    match sign:
        case "=":
            return seen == value
        case "!=":
            return seen != value
        case "present":
            return seen is not None
        case _:
            return seen is None


def row(tenant: PublishedTenant, now: datetime, *, wide: bool) -> tuple[str, ...]:
    """Return the cells of one tenant."""
    memory = _part(tenant.spec, "memory")
    start = (
        tenant.name,
        tenant.word,
        since_text(_since(tenant), now) or "-",
        size_text(memory.get("max")) or "-",
    )
    if not wide:
        return (*start, _endpoints(tenant) or "-", _reason(tenant))
    return (
        *start,
        size_text(memory.get("limit")) or "-",
        str(_part(tenant.spec, "persistence").get("mode") or "-"),
        str(_part(tenant.spec, "engine").get("image") or "-"),
        _endpoints(tenant) or "-",
        ",".join(f"{key}={value}" for key, value in tenant.labels.items()) or "-",
        str(tenant.metadata.get("source") or "-"),
        message(tenant),
    )


def is_degraded(tenant: PublishedTenant) -> bool:
    """Return whether a tenant is other than its author wants it to be."""
    return tenant.word not in HEALTHY


def message(tenant: PublishedTenant) -> str:
    """Return the sentence that explains the tenant's word, or empty where all is well."""
    if tenant.word in HEALTHY:
        return str(waiting_of(tenant).get("message") or "")
    problems = tenant.status.get("problems") or ()
    if tenant.word == "Invalid" and problems:
        return str(problems[0])
    return str(_telling(tenant).get("message") or "")


def waiting_of(tenant: PublishedTenant) -> Mapping[str, Any]:
    """Return what of a tenant waits for its time, or nothing."""
    return _part(tenant.status, "waiting")


def sorted_by(found: Sequence[PublishedTenant], field: str | None) -> list[PublishedTenant]:
    """Return *found* in the order asked for; without *field* the broken ones come first.

    Raises:
        CommandError: There is no such column.
    """
    if field is None:
        return sorted(found, key=lambda tenant: (severity(tenant.word), tenant.name))
    key = _KEYS.get(field.lower())
    if key is None and not field.lstrip("{").startswith("."):
        raise CommandError(
            f'cannot sort by "{field}"',
            exit_code=Exit.USAGE,
            hint=did_you_mean(field, _KEYS) or f"columns are {', '.join(_KEYS)}; or a .path",
        )
    chosen = key or (lambda tenant: _at(tenant.content, field.strip("{}").lstrip(".")))
    return sorted(found, key=lambda tenant: (*_comparable(chosen(tenant)), tenant.name))


_KEYS: dict[str, Callable[[PublishedTenant], object]] = {
    "name": lambda tenant: tenant.name,
    "status": lambda tenant: severity(tenant.word),
    "since": lambda tenant: (instant(_since(tenant)) or _NEVER).timestamp(),
    "memory": lambda tenant: _part(tenant.spec, "memory").get("max"),
    "limit": lambda tenant: _part(tenant.spec, "memory").get("limit"),
    "persistence": lambda tenant: _part(tenant.spec, "persistence").get("mode"),
    "image": lambda tenant: _part(tenant.spec, "engine").get("image"),
    "file": lambda tenant: tenant.metadata.get("source"),
}


def _comparable(value: object) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value)) if value is not None else (2, 0.0, "")


def _at(content: object, path: str) -> object:
    for step in path.split("."):
        content = content.get(step) if isinstance(content, Mapping) else None
    return content


def _part(spec: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = spec.get(key)
    return value if isinstance(value, dict) else {}


def _since(tenant: PublishedTenant) -> object:
    return tenant.condition("Ready").get("lastTransitionTime")


def _endpoints(tenant: PublishedTenant) -> str:
    return ",".join(
        f"{each.get('host')}:{each.get('port')}"
        + ("" if each.get("listener") == "tls" else "/plain")
        for each in tenant.endpoints
    )


def _reason(tenant: PublishedTenant) -> str:
    telling = waiting_of(tenant) if tenant.word in HEALTHY else _telling(tenant)
    return str(telling.get("reason") or "")


def _telling(tenant: PublishedTenant) -> Mapping[str, Any]:
    """Return the condition that explains the word best."""
    for kind, wanted in (("SpecValid", "False"), ("Stalled", "True"), ("Ready", "False")):
        seen = tenant.condition(kind)
        if seen.get("status") == wanted and (kind != "SpecValid" or tenant.word == "Invalid"):
            return seen
    if seen := tenant.condition("Reconciling"):
        return seen
    ready = tenant.condition("Ready")
    return {} if ready.get("status") == "True" else ready
