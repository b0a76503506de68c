"""What only several fields together, or a field and the host's rules, can get wrong."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise

from cachepilot.spec.document import (
    AccessMode,
    ClientCertificates,
    MemoryFields,
    PersistenceMode,
    TenantDocument,
)
from cachepilot.spec.headroom import container_limit, describe_rule
from cachepilot.spec.quantities import duration_to_text, size_to_text
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec, is_wildcard
from cachepilot.spec.tree import Fault, Path
from cachepilot.spec.upgrade import UpgradeStrategy
from cachepilot.spec.user_faults import find_place_faults, find_user_faults

SHORTEST_LIFETIME = timedelta(hours=1)
LONGEST_LIFETIME = timedelta(days=3650)
SHORTEST_ROTATION = timedelta(hours=1)
LONGEST_GRACE = timedelta(days=365)

_MAX: Path = ("spec", "memory", "max")
_LIMIT: Path = ("spec", "memory", "limit")
_CPUS: Path = ("spec", "cpus")
_IMAGE: Path = ("spec", "engine", "image")
_CONFIG: Path = ("spec", "engine", "config")
_PERSISTENCE: Path = ("spec", "persistence", "mode")
_ACCESS: Path = ("spec", "access", "mode")
_PORTS: Path = ("spec", "access", "ports")
_BIND: Path = ("spec", "access", "bind")
_CLIENT_CERTIFICATES: Path = ("spec", "access", "clientCertificates")
_CLIENTS: Path = ("spec", "tls", "clients")
_LIFETIME: Path = ("spec", "tls", "lifetime")
_RENEW: Path = ("spec", "tls", "renewBefore")
_FALLBACK: Path = ("spec", "upgrade", "fallback")
_STRATEGY: Path = ("spec", "upgrade", "strategy")
_EXTRA: Path = ("spec", "tls", "extraNames")
_PASSWORD: Path = ("spec", "auth", "passwordFile")
_ROTATED: Path = ("spec", "auth", "rotatedAt")
_EVERY: Path = ("spec", "auth", "rotateEvery")
_GRACE: Path = ("spec", "auth", "grace")


def find_faults(spec: TenantSpec, document: TenantDocument, rules: Rules) -> tuple[Fault, ...]:
    """Return everything in *spec* that does not fit together; *document* says what was asked."""
    asked = document.spec.memory or MemoryFields()
    engine = document.spec.engine
    appendfsync = engine.config.appendfsync if engine and engine.config else None
    return (
        *_memory_faults(spec, asked, rules),
        *_engine_faults(spec, appendfsync, rules),
        *_port_faults(spec),
        *_bind_faults(spec, rules),
        *_certificate_faults(spec),
        *_client_faults(spec),
        *_rotation_faults(spec),
        *_upgrade_faults(spec, document),
        *_name_faults(document, rules),
        *_password_faults(spec, rules),
        *find_user_faults(spec, rules),
    )


def _memory_faults(spec: TenantSpec, asked: MemoryFields, rules: Rules) -> Iterator[Fault]:
    limits = rules.limits
    origin = "" if asked.max else " (the default of this host)"
    if not limits.minimumMemory <= spec.memory_max <= limits.memory:
        yield Fault(
            path=_MAX,
            message=f"expected {size_to_text(limits.minimumMemory)} to "
            f"{size_to_text(limits.memory)} as this host's limits say; "
            f"got {size_to_text(spec.memory_max)}{origin}",
        )
    needed = container_limit(spec.memory_max, spec.persistence, rules.headRoom)
    if spec.memory_limit < needed:
        rule = describe_rule(spec.memory_max, spec.persistence, rules.headRoom)
        yield Fault(
            path=_LIMIT,
            message=f"expected at least {size_to_text(needed)}, or the kernel may kill the "
            f"server: {rule}; got {size_to_text(spec.memory_limit)}",
            hint="raise memory.limit, lower memory.max, or leave memory.limit out",
            involves=(_MAX, _PERSISTENCE),
        )
    most = limits.containerMemory
    if most is not None and spec.memory_limit > most:
        rule = describe_rule(spec.memory_max, spec.persistence, rules.headRoom)
        why = "" if asked.limit else f": {rule}"
        yield Fault(
            path=_LIMIT,
            message=f"expected at most {size_to_text(most)} as this host's limits say; "
            f"got {size_to_text(spec.memory_limit)}{why}",
            involves=(_MAX, _PERSISTENCE),
        )


def _engine_faults(spec: TenantSpec, appendfsync: str | None, rules: Rules) -> Iterator[Fault]:
    allowed = rules.limits.images
    if not any(fnmatchcase(spec.image, pattern) for pattern in allowed):
        yield Fault(
            path=_IMAGE,
            message=f"expected an image that this host allows ({', '.join(allowed)}); "
            f'got "{spec.image}"',
        )
    most = rules.limits.cpus
    if most is not None and spec.cpus is not None and spec.cpus > most:
        yield Fault(
            path=_CPUS,
            message=f"expected at most {most:g} as this host's limits say; got {spec.cpus:g}",
        )
    if appendfsync and spec.persistence is not PersistenceMode.AOF:
        yield Fault(
            path=(*_CONFIG, "appendfsync"),
            message=f"has no effect while persistence.mode is {spec.persistence.value}",
            hint="remove it, or set persistence.mode to aof",
            involves=(_PERSISTENCE,),
        )


def _port_faults(spec: TenantSpec) -> Iterator[Fault]:
    closed = (
        ("tls", spec.tls_port, spec.access.has_tls, AccessMode.TLS_ONLY),
        ("plain", spec.plain_port, spec.access.has_plain, AccessMode.PLAIN_ONLY),
    )
    for kind, port, is_open, mode in closed:
        if port is not None and not is_open:
            yield Fault(
                path=(*_PORTS, kind),
                message=f"this port is never opened: access.mode is {spec.access.value}",
                hint=f"remove it, or set access.mode to {mode.value} or dual-mode",
                involves=(_ACCESS,),
            )
    if spec.tls_port is not None and spec.tls_port == spec.plain_port:
        yield Fault(
            path=(*_PORTS, "plain"),
            message=f"expected another port than ports.tls; got {spec.plain_port} for both",
            involves=((*_PORTS, "tls"),),
        )


@lru_cache(maxsize=1024)
def _is_within(address: str, subnets: tuple[str, ...]) -> bool:
    """Return whether an address lies in one of *subnets*; most tenants ask for the same one."""
    dialled = ipaddress.ip_address(address)
    return any(dialled in ipaddress.ip_network(text, strict=False) for text in subnets)


def _bind_faults(spec: TenantSpec, rules: Rules) -> Iterator[Fault]:
    families = {":" in text: text for text in spec.bind if is_wildcard(text)}
    seen: set[str] = set()
    for index, text in enumerate(spec.bind):
        path, wildcard = (*_BIND, index), families.get(":" in text)
        if is_wildcard(text) and not rules.network.allowWildcardBind:
            yield Fault(
                path=path,
                message=f'this host does not allow a wildcard address; got "{text}"',
                hint="name the addresses, or set network.allowWildcardBind in the settings",
            )
        if not is_wildcard(text) and _is_within(text, tuple(rules.network.subnets)):
            yield Fault(
                path=path,
                message=f'"{text}" lies in network.subnets, where other tenants could dial it',
                hint="use an address of this host that its clients dial",
            )
        if text in seen:
            yield Fault(path=path, message=f'the address "{text}" is listed twice')
        elif wildcard not in (None, text):
            yield Fault(path=path, message=f'the address "{text}" is already part of "{wildcard}"')
        seen.add(text)


# What a wildcard contributes by itself; no client elsewhere can dial it.
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


def _certificate_faults(spec: TenantSpec) -> Iterator[Fault]:
    lifetime = duration_to_text(spec.certificate_lifetime)
    if not SHORTEST_LIFETIME <= spec.certificate_lifetime <= LONGEST_LIFETIME:
        yield Fault(path=_LIFETIME, message=f"expected 1h to 3650d; got {lifetime}")
    if not timedelta() < spec.renew_before < spec.certificate_lifetime:
        yield Fault(
            path=_RENEW,
            message=f"expected more than 0s and less than tls.lifetime ({lifetime}); "
            f"got {duration_to_text(spec.renew_before)}",
            involves=(_LIFETIME,),
        )
    only_wildcards = all(is_wildcard(address) for address in spec.bind)
    if spec.access.has_tls and only_wildcards and not set(spec.names) - _LOCAL_NAMES:
        yield Fault(
            path=_EXTRA,
            message="expected a name for the certificate; a wildcard address is none",
            hint="add a name here, or to hostNames in the settings",
            involves=(_BIND, _ACCESS),
        )


def _client_faults(spec: TenantSpec) -> Iterator[Fault]:
    asked = spec.client_certificates
    if asked is not ClientCertificates.OFF and not spec.access.has_tls:
        yield Fault(
            path=_CLIENT_CERTIFICATES,
            message=f"no client can show one: access.mode is {spec.access.value}",
            hint="remove it, or set access.mode to tls-only or dual-mode",
            involves=(_ACCESS,),
        )
    elif asked is ClientCertificates.REQUIRED and not spec.clients:
        yield Fault(
            path=_CLIENT_CERTIFICATES,
            message="nobody could get in: tls.clients names no client",
            hint="name the clients that get a certificate in tls.clients, or say optional",
            involves=(_CLIENTS,),
        )
    for index, (before, name) in enumerate(pairwise(spec.clients), start=1):
        if before == name:
            yield Fault(path=(*_CLIENTS, index), message=f'the client "{name}" is listed twice')


def _rotation_faults(spec: TenantSpec) -> Iterator[Fault]:
    drawn = ((_ROTATED, spec.rotated_at), (_EVERY, spec.rotate_every))
    for path, wish in drawn if spec.password_file else ():
        if wish is not None:
            yield Fault(
                path=path,
                message="draws a new password, but auth.passwordFile says which one it is",
                hint="remove it and change that file, or remove auth.passwordFile",
                involves=(_PASSWORD,),
            )
    grace = duration_to_text(spec.grace)
    if spec.grace > LONGEST_GRACE:
        longest = duration_to_text(LONGEST_GRACE)
        yield Fault(path=_GRACE, message=f"expected at most {longest}; got {grace}")
    if spec.rotate_every is None:
        return
    every = duration_to_text(spec.rotate_every)
    if not SHORTEST_ROTATION <= spec.rotate_every <= LONGEST_LIFETIME:
        yield Fault(path=_EVERY, message=f"expected 1h to 3650d; got {every}")
    elif spec.grace >= spec.rotate_every:
        yield Fault(
            path=_EVERY,
            message=f"expected more than auth.grace ({grace}), or ever more passwords would "
            f"work at once; got {every}",
            involves=(_GRACE,),
        )


def _upgrade_faults(spec: TenantSpec, document: TenantDocument) -> Iterator[Fault]:
    said = document.spec.upgrade
    if said and said.fallback and spec.strategy is not UpgradeStrategy.HANDOVER:
        yield Fault(
            path=_FALLBACK,
            message=f"has no effect while upgrade.strategy is {spec.strategy.value}",
            hint="remove it, or set upgrade.strategy to handover",
            involves=(_STRATEGY,),
        )


def _name_faults(document: TenantDocument, rules: Rules) -> Iterator[Fault]:
    tls, allowed = document.spec.tls, rules.limits.extraNames
    for index, name in enumerate((tls.extraNames if tls else None) or ()):
        if not any(_may_claim(name, pattern.lower()) for pattern in allowed):
            yield Fault(
                path=(*_EXTRA, index),
                message="expected a name that limits.extraNames in the settings allows "
                f'({", ".join(allowed) or "none"}); got "{name}"',
            )


def _may_claim(name: str, pattern: str) -> bool:
    # A name that stands for many is only covered by a pattern that does so at the same place.
    is_covered = not name.startswith("*") or pattern.startswith("*")
    return is_covered and fnmatchcase(name, pattern)


def _password_faults(spec: TenantSpec, rules: Rules) -> Iterator[Fault]:
    if spec.password_file:
        yield from find_place_faults(spec.password_file, _PASSWORD, rules)
