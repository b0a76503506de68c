"""What only a person can mend, and what is done in the meantime."""

from __future__ import annotations

from dataclasses import replace

from cachepilot.observe.snapshot import Role, SeenServer, Snapshot
from cachepilot.plan.actions import Blocked
from cachepilot.plan.certificates import authority_blocked, trusts_nobody_yet
from cachepilot.plan.clients import clients_blocked
from cachepilot.plan.identity import password_blocked
from cachepilot.plan.live import memory_blocked
from cachepilot.plan.shape import engine_of
from cachepilot.plan.user_rules import as_tried, rules_refused
from cachepilot.spec.document import ClientCertificates
from cachepilot.spec.tenant import TenantSpec


def list_blocks(spec: TenantSpec, seen: Snapshot) -> tuple[Blocked, ...]:
    """Return everything that a person must mend, the most important first."""
    found = (
        _foreign_address(seen),
        authority_blocked(spec, seen),
        clients_blocked(spec, seen),
        password_blocked(spec, seen),
        memory_blocked(spec, seen),
        _wrong_engine(spec, seen),
        rules_refused(spec, seen),
    )
    return tuple(blocked for blocked in found if blocked)


def feasible(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec* with what cannot be had replaced by what is there already."""
    container = seen.container(Role.SERVER)
    spec = as_tried(spec, seen)
    if seen.host.foreign_addresses:
        # An address that is away for a moment must not restart a server that is published on it.
        local = tuple(at for at in spec.bind if at not in seen.host.foreign_addresses)
        if container:
            local = tuple(sorted({listener.address for listener in seen.published}))
        spec = replace(spec, bind=local)
    if trusts_nobody_yet(spec, seen):
        spec = replace(spec, client_certificates=ClientCertificates.OFF)
    if container and isinstance(seen.server, SeenServer) and memory_blocked(spec, seen):
        spec = replace(
            spec,
            memory_max=int(seen.server.directive("maxmemory") or spec.memory_max),
            memory_limit=container.resources.memory,
        )
    return spec


def _foreign_address(seen: Snapshot) -> Blocked | None:
    if not seen.host.foreign_addresses:
        return None
    addresses = ", ".join(seen.host.foreign_addresses)
    message = f"{addresses} is not an address of this host; correct spec.access.bind"
    return Blocked(reason="AddressNotLocal", message=message)


def _wrong_engine(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    container = seen.container(Role.SERVER)
    if (
        container is None
        or container.shape.image != spec.image
        or not isinstance(seen.server, SeenServer)
        or seen.server.engine is engine_of(spec.image)
    ):
        return None
    message = f"image {spec.image} runs {seen.server.engine}, its name says otherwise"
    return Blocked(reason="EngineMismatch", message=message)


def data_missing(spec: TenantSpec, seen: Snapshot) -> Blocked:
    """Return why nothing may be started on, or stopped beside, data that is gone."""
    message = seen.files.data_problem or f"the data folder of {spec.name} is gone; put it back"
    return Blocked(reason="DataMissing", message=message)


def record_missing(seen: Snapshot) -> Blocked | None:
    """Return why a tenant with a container but without a record must be left alone.

    The state folder was lost or is not mounted; going on would serve an empty server under a
    fresh authority in place of the customer's data.
    """
    container = seen.container(Role.SERVER)
    if container is None or seen.memory.data_ready or seen.memory.reservation is not None:
        return None
    message = (
        f"container {container.name} exists, but nothing is remembered of its tenant; mount or "
        "restore the state folder, or remove the container if its data may be lost"
    )
    return Blocked(reason="RecordMissing", message=message)
