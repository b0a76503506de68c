"""The container that a tenant should have."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import ContainerShape, Engine, Published, Resources, Role
from cachepilot.plan.actions import Workload
from cachepilot.spec.tenant import TenantSpec

CONFIG_FOLDER = "/etc/cachepilot"
RUN_FOLDER = "/run/redis"
TLS_FOLDER = "/tls"
DATA_FOLDER = "/data"
TLS_PORT = 6380
PLAIN_PORT = 6379

CPU_PERIOD = 100_000
UNLIMITED_CPU = -1
RESTART_POLICY = "unless-stopped"
LONGEST_STOP = timedelta(minutes=30)

_DIGEST_VERSION = "v1"
_PIDS = 128
# Above the highest maxclients that a spec may ask for, so that raising it never needs a restart.
_OPEN_FILES = 16_384
_MEBIBYTE = 2**20


def engine_of(image: str) -> Engine:
    """Return which program *image* is asked to run; verified once it runs."""
    return Engine.VALKEY if "valkey" in image.lower() else Engine.REDIS


def wanted_workload(spec: TenantSpec, reservation: Reservation, *, instance: int) -> Workload:
    """Return the server container of *spec*."""
    shape = ContainerShape(
        image=spec.image,
        # Explicit, because an image whose own entrypoint is the server would take our first
        # word for the path of a configuration file.
        command=(f"{engine_of(spec.image)}-server", f"{CONFIG_FOLDER}/redis.conf"),
        user=f"{reservation.uid}:{reservation.uid}",
        published=wanted_listeners(spec, reservation),
        bridge=bridge_name(reservation.bridge),
        mounts=(
            (DATA_FOLDER, f"data/{instance}", False),
            (CONFIG_FOLDER, f"conf/{instance}", True),
            (RUN_FOLDER, f"run/{instance}", False),
            (TLS_FOLDER, "tls", True),
        ),
        security=("cap-drop=ALL", "no-new-privileges", "read-only"),
        pids=_PIDS,
        files=_OPEN_FILES,
    )
    return Workload(
        role=Role.SERVER,
        shape=shape,
        resources=wanted_resources(spec),
        digest=digest_of(shape),
        stop_timeout=stop_timeout(spec.memory_max),
    )


def wanted_listeners(spec: TenantSpec, reservation: Reservation) -> tuple[Published, ...]:
    """Return what is published where, sorted."""
    ports = []
    if spec.access.has_tls and reservation.tls_port:
        ports.append((TLS_PORT, reservation.tls_port))
    if spec.access.has_plain and reservation.plain_port:
        ports.append((PLAIN_PORT, reservation.plain_port))
    return tuple(
        sorted(
            Published(container_port=inside, address=address, host_port=outside)
            for inside, outside in ports
            for address in spec.bind
        )
    )


def wanted_resources(spec: TenantSpec) -> Resources:
    """Return what Docker lets us change while the server runs."""
    return Resources(
        memory=spec.memory_limit,
        swap=spec.memory_limit,
        cpu_quota=UNLIMITED_CPU if spec.cpus is None else round(spec.cpus * CPU_PERIOD),
        restart=RESTART_POLICY,
    )


def bridge_name(index: int) -> str:
    """Return the name of the shared bridge number *index*."""
    return f"cachepilot-{index}"


def stop_timeout(data: int) -> timedelta:
    """Return how long a server with *data* bytes may take to save before it is killed.

    Saving 350 MB took 3 s on two slow cores; a tenth of that speed is granted on top of a start
    of ten seconds, because a server killed in the middle loses everything since its last save.
    """
    return min(timedelta(seconds=10 + data // (10 * _MEBIBYTE)), LONGEST_STOP)


def digest_of(shape: ContainerShape) -> str:
    """Return the fingerprint of *shape*, with the version of this very function."""
    return f"{_DIGEST_VERSION}-{hashlib.sha256(repr(shape).encode()).hexdigest()[:20]}"
