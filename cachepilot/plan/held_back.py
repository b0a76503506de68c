"""A change that failed once is not tried again until something else is wanted.

What serves instead is described as a spec, so that everything else of the tenant goes on being
looked after as if nobody had asked for the change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachepilot.observe.replacement import HeldBack, Kept
from cachepilot.observe.snapshot import Liveness, Role, SeenContainer, SeenServer, Snapshot
from cachepilot.plan.actions import Action, Blocked, ForgetHeldBack, Workload
from cachepilot.plan.server_config import needs_restart
from cachepilot.plan.shape import PLAIN_PORT, TLS_PORT
from cachepilot.spec.digest import fingerprint
from cachepilot.spec.document import AccessMode
from cachepilot.spec.tenant import TenantSpec, is_wildcard
from cachepilot.spec.upgrade import UpgradeStrategy


def target_of(spec: TenantSpec) -> str:
    """Return the fingerprint of what *spec* wants that only a restart changes."""
    config = [(name, value) for name, value in spec.config if needs_restart(name)]
    ports = (spec.access.value, spec.bind, spec.tls_port, spec.plain_port)
    # Not for everybody: what is remembered of tenants without a sandbox is older than sandboxes.
    boxed = ("in a sandbox",) if spec.in_sandbox else ()
    return fingerprint(repr((spec.image, ports, config, spec.restarted_at, *boxed)))


def held_back(spec: TenantSpec, seen: Snapshot) -> HeldBack | None:
    """Return what failed before, if the very same is wanted still."""
    failed = seen.memory.held_back
    if failed is None or failed.target not in _targets_of(spec, seen, failed):
        return None
    is_other = seen.image_id and failed.image_id and seen.image_id != failed.image_id
    return None if is_other else failed


def _targets_of(spec: TenantSpec, seen: Snapshot, failed: HeldBack) -> tuple[str, ...]:
    """Return how *spec* may be called in what is remembered of *failed*."""
    if failed.kept.boxed is None and seen.container(Role.SANDBOX):
        # Its version did not say yet of what was in a sandbox that it was.
        return (target_of(spec), target_of(replace(spec, strategy=UpgradeStrategy.RESTART)))
    return (target_of(spec),)


def as_it_was(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec* without the change that failed."""
    failed = held_back(spec, seen)
    if failed is None:
        return _as_opened_before(spec, seen)
    kept = failed.kept
    dialled = (address for address in kept.bind if not is_wildcard(address))
    return replace(
        spec,
        image=kept.image,
        names=spec.names if kept.bind == spec.bind else tuple(sorted({*spec.names, *dialled})),
        access=kept.access,
        bind=kept.bind,
        tls_port=kept.tls_port,
        plain_port=kept.plain_port,
        config=_config_with(spec, kept),
        # For a start; a server that runs gives back what it does not need.
        memory_limit=max(spec.memory_limit, kept.memory if _is_homeless(seen) else 0),
        restarted_at=seen.memory.restarted_at,
        strategy=_strategy_with(spec, kept),
    )


def without_other_image(seen: Snapshot, asked: TenantSpec, kept: TenantSpec) -> Snapshot:
    """Return *seen* without the content of the image that is *asked* for but not of *kept*."""
    return seen if kept.image == asked.image else replace(seen, image_id="")


def _as_opened_before(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec*, with what opened the data before as long as no server has it again.

    Behind a failure its folder has the only copy, and what is wanted by now has to be tried on
    another one. Where the server listens is for the author to say: its old port may be taken.
    """
    if not _is_homeless(seen) or seen.memory.held_back is None:
        return spec
    kept = seen.memory.held_back.kept
    return replace(
        spec,
        image=kept.image,
        config=_config_with(spec, kept),
        memory_limit=max(spec.memory_limit, kept.memory),
        restarted_at=seen.memory.restarted_at,
    )


def _is_homeless(seen: Snapshot) -> bool:
    """Return whether no server has run on the data since a failure."""
    container = seen.container(Role.SERVER)
    return container is None or container.liveness is Liveness.CREATED


def _config_with(spec: TenantSpec, kept: Kept) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((dict(spec.config) | dict(kept.config)).items()))


def _strategy_with(spec: TenantSpec, kept: Kept) -> UpgradeStrategy:
    if kept.boxed is None:
        return spec.strategy
    return UpgradeStrategy.HANDOVER if kept.boxed else UpgradeStrategy.RESTART


def held_back_blocked(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why nothing more is tried."""
    failed = held_back(spec, seen)
    return Blocked(reason=failed.reason, message=failed.message) if failed else None


def plan_new_attempt(spec: TenantSpec, seen: Snapshot) -> Iterator[Action]:
    """Yield the forgetting of a failure that says nothing about what is wanted now."""
    if seen.memory.held_back and not (held_back(spec, seen) or _is_homeless(seen)):
        yield ForgetHeldBack(tenant_name=spec.name, cause="something else is wanted now")


def keep(spec: TenantSpec, seen: Snapshot, container: SeenContainer) -> Kept:
    """Return what *container* has that a replacement would change."""
    shape = container.shape
    # Of a server in a sandbox they are the sandbox's.
    ports = {at.container_port: at.host_port for at in seen.published}
    return Kept(
        image=shape.image,
        image_id=container.image_id,
        access=_access(ports, spec.access),
        bind=tuple(sorted({at.address for at in seen.published})) or spec.bind,
        tls_port=ports.get(TLS_PORT),
        plain_port=ports.get(PLAIN_PORT),
        memory=container.resources.memory,
        config=_restart_only(spec, seen),
        boxed=bool(container.joined),
    )


def made_from(workload: Workload, seen: Snapshot) -> Workload:
    """Return *workload* made from the very content that served before, if it was kept."""
    failed = seen.memory.held_back
    if failed is None or failed.kept.image != workload.shape.image:
        return workload
    return replace(workload, image_id=failed.kept.image_id)


def _restart_only(spec: TenantSpec, seen: Snapshot) -> tuple[tuple[str, str], ...]:
    """Return what the server really has of the directives that are read at a start only."""
    if not isinstance(seen.server, SeenServer):
        return ()
    names = {"databases", *(name for name, _ in spec.config if needs_restart(name))}
    found = ((name, seen.server.directive(name)) for name in sorted(names))
    return tuple((name, value) for name, value in found if value is not None)


def _access(ports: dict[int, int], otherwise: AccessMode) -> AccessMode:
    if TLS_PORT in ports:
        return AccessMode.DUAL_MODE if PLAIN_PORT in ports else AccessMode.TLS_ONLY
    return AccessMode.PLAIN_ONLY if PLAIN_PORT in ports else otherwise
