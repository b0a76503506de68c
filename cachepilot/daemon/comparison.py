"""Who needs a visit, found out with one listing for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from cachepilot.daemon.fleet import Fleet
from cachepilot.observe.ports import ContainerGlance
from cachepilot.observe.snapshot import Role
from cachepilot.spec.document import TenantName
from cachepilot.spec.ports import SpecSource

_ROLES = frozenset(Role)

Rows = dict[TenantName, tuple[ContainerGlance, ...]]


def by_tenant(rows: Iterable[ContainerGlance]) -> Rows:
    """Return the rows of a listing, sorted out by tenant; a role unknown to us is nobody's."""
    found: dict[TenantName, list[ContainerGlance]] = defaultdict(list)
    for row in rows:
        if row.role in _ROLES:
            found[row.tenant_name].append(row)
    return {name: tuple(many) for name, many in found.items()}


def find_changed(names: Iterable[TenantName], fleet: Fleet, rows: Rows) -> tuple[TenantName, ...]:
    """Return who does not look as the last visit left them."""
    return tuple(name for name in sorted(names) if not fleet.is_as_seen(name, rows.get(name, ())))


def find_unsettled(
    names: Iterable[TenantName],
    fleet: Fleet,
    source: SpecSource,
    rows: Rows,
    *,
    settings_digest: str,
) -> tuple[TenantName, ...]:
    """Return whom a daemon that just started must visit at once.

    Everybody else is served just as the published status says, by a server that nobody touched
    meanwhile, and is looked at in the course of the first resync.
    """
    return tuple(
        name
        for name in sorted(names)
        if not (
            fleet.is_as_seen(name, rows.get(name, ()))
            and fleet.is_settled(
                name, digest=source.read(name).digest, settings_digest=settings_digest
            )
        )
    )


def find_orphans(
    known: frozenset[TenantName], rows: Iterable[ContainerGlance]
) -> tuple[tuple[str, str], ...]:
    """Return (container, tenant) of labelled containers that belong to nobody we know."""
    return tuple(
        sorted(
            (row.name, row.tenant_name)
            for row in rows
            if row.tenant_name not in known or row.role not in _ROLES
        )
    )
