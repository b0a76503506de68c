"""Fill in every default: from a valid document to a spec, or to what does not fit together."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

from cachepilot.spec.coherence import find_faults
from cachepilot.spec.directives import BufferLimits, EngineConfig
from cachepilot.spec.document import (
    AccessFields,
    AuthFields,
    ClientCertificates,
    EngineFields,
    MaintenanceFields,
    MemoryFields,
    MemoryPolicy,
    PersistenceFields,
    PersistenceMode,
    PortFields,
    State,
    TenantDocument,
    TenantName,
    TlsFields,
    UserFields,
    WindowFields,
)
from cachepilot.spec.headroom import container_limit
from cachepilot.spec.maintenance import Window
from cachepilot.spec.rules import Rules
from cachepilot.spec.tenant import TenantSpec, UserSpec, is_loopback, is_wildcard
from cachepilot.spec.tree import Fault
from cachepilot.spec.upgrade import UpgradeFallback, UpgradeFields, UpgradeStrategy

# Most tenants are idle most of the time. At the engine's own 10 rounds a second a thousand idle
# servers keep more than a core busy; the engine raises the rate by itself while clients are busy.
DEFAULT_HZ = 2


def resolve(document: TenantDocument, rules: Rules) -> TenantSpec | tuple[Fault, ...]:
    """Return what *document* wishes under *rules*, or everything that does not fit together."""
    spec = _fill_in(document, rules)
    faults = find_faults(spec, document, rules)
    return faults or spec


def _fill_in(document: TenantDocument, rules: Rules) -> TenantSpec:
    said, given = document.spec, rules.defaults
    engine, memory = said.engine or EngineFields(), said.memory or MemoryFields()
    access, tls = said.access or AccessFields(), said.tls or TlsFields()
    upgrade = said.upgrade or UpgradeFields()
    ports, auth = access.ports or PortFields(), said.auth or AuthFields()
    maintenance = said.maintenance or MaintenanceFields()
    persistence = (said.persistence or PersistenceFields()).mode or given.persistence.mode
    memory_max = memory.max or given.memory.max
    bind = tuple(given.access.bind if access.bind is None else access.bind)
    lifetime = given.tls.lifetime if tls.lifetime is None else tls.lifetime
    renew_before = _third(lifetime) if tls.renewBefore is None else tls.renewBefore
    return TenantSpec(
        name=TenantName(document.metadata.name),
        state=said.state or State.RUNNING,
        paused=bool(said.paused),
        image=engine.image or given.engine.image,
        config=_merge_config(_config(document), given.engine.config, persistence),
        memory_max=memory_max,
        memory_limit=memory.limit or container_limit(memory_max, persistence, rules.headRoom),
        memory_policy=memory.policy or given.memory.policy or _default_policy(persistence),
        cpus=said.cpus or given.cpus or rules.limits.cpus,
        persistence=persistence,
        access=access.mode or given.access.mode,
        tls_port=ports.tls,
        plain_port=ports.plain,
        bind=bind,
        names=_names(bind, rules.hostNames, tls.extraNames or ()),
        certificate_lifetime=lifetime,
        renew_before=renew_before,
        client_certificates=access.clientCertificates or ClientCertificates.OFF,
        clients=tuple(sorted(tls.clients or ())),
        clients_rotated_at=tls.clientsRotatedAt,
        password_file=auth.passwordFile,
        rotated_at=auth.rotatedAt,
        rotate_every=auth.rotateEvery or (None if auth.passwordFile else given.auth.rotateEvery),
        grace=given.auth.grace if auth.grace is None else auth.grace,
        scripting=rules.scripting,
        window=_window(maintenance.window or given.maintenance.window),
        open_until=maintenance.openUntil,
        strategy=upgrade.strategy or UpgradeStrategy.RESTART,
        fallback=upgrade.fallback or UpgradeFallback.WAIT,
        restarted_at=said.restartedAt,
        users=tuple(_user(each, auth.rotateEvery or given.auth.rotateEvery) for each in auth.users)
        if auth.users
        else (),
        inherited=_inherited(document),
    )


def _user(said: UserFields, rotate_every: timedelta | None) -> UserSpec:
    return UserSpec(
        name=said.name,
        keys=tuple(said.keys or ()),
        channels=tuple(said.channels or ()),
        commands=tuple(said.commands),
        password_file=said.passwordFile,
        rotated_at=said.rotatedAt,
        rotate_every=None if said.passwordFile else rotate_every,
    )


def _inherited(document: TenantDocument) -> frozenset[str]:
    """Return which fields that only a restart changes *document* leaves to the host."""
    engine, access = document.spec.engine or EngineFields(), document.spec.access or AccessFields()
    said = {
        "image": engine.image,
        "access": access.mode,
        "bind": access.bind,
        "databases": _config(document).databases,
    }
    return frozenset(field for field, value in said.items() if value is None)


def _window(said: WindowFields | None) -> Window | None:
    if said is None:
        return None
    return Window(cron=said.cron, duration=said.duration, time_zone=said.timeZone)


def _config(document: TenantDocument) -> EngineConfig:
    engine = document.spec.engine
    return (engine.config if engine else None) or EngineConfig()


# Most tenants of a host have the same few configurations.
@lru_cache(maxsize=256)
def _merge_config(
    said: EngineConfig, given: EngineConfig, mode: PersistenceMode
) -> tuple[tuple[str, str], ...]:
    """Return the directives of *said* over those of *given*, each by itself."""
    merged: dict[str, Any] = {
        name: _over(getattr(said, name), getattr(given, name))
        for name in EngineConfig.model_fields
    }
    if merged["hz"] is None:
        merged["hz"] = DEFAULT_HZ
    if mode is not PersistenceMode.AOF:
        # It says how an append-only file is written; without one it has no meaning.
        merged["appendfsync"] = None
    return tuple(sorted(EngineConfig.model_construct(**merged).as_directives().items()))


def _over(said: object, given: object) -> object:
    if isinstance(said, BufferLimits) and isinstance(given, BufferLimits):
        return BufferLimits(normal=said.normal or given.normal, pubsub=said.pubsub or given.pubsub)
    return given if said is None else said


def _default_policy(mode: PersistenceMode) -> MemoryPolicy:
    """Return what a cache does when it is full, or a store that must not forget."""
    is_cache = mode is PersistenceMode.NONE
    return MemoryPolicy.ALLKEYS_LRU if is_cache else MemoryPolicy.NOEVICTION


def _third(lifetime: timedelta) -> timedelta:
    return timedelta(seconds=int(lifetime.total_seconds()) // 3)


def _loopback_of(wildcard: str) -> str:
    return "::1" if ":" in wildcard else "127.0.0.1"


def _names(bind: tuple[str, ...], *more: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Return what clients may dial.

    A wildcard is no address that anybody dials, but it is open on loopback too, and that is
    where the daemon itself proves what clients would meet.
    """
    dialled = {_loopback_of(address) if is_wildcard(address) else address for address in bind}
    if any(is_loopback(address) for address in dialled):
        dialled.add("localhost")
    return tuple(sorted(dialled.union(*more)))
