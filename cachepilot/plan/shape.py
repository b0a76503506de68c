"""The container that a tenant should have."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import (
    JOINED,
    ContainerShape,
    Engine,
    Published,
    Resources,
    Role,
)
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
SANDBOX_STOP = timedelta(seconds=5)

# In place of a mounted folder: a small file system in memory.
IN_MEMORY = "tmpfs"

_DIGEST_VERSION = "v1"
_PIDS = 128
# Above the highest maxclients that a spec may ask for, so that raising it never needs a restart.
_OPEN_FILES = 16_384
_MEBIBYTE = 2**20
_HARDENING = ("cap-drop=ALL", "no-new-privileges", "read-only")
# A server without listeners and data, which only keeps a network namespace open.
_SANDBOX_MEMORY = 24 * _MEBIBYTE
_SANDBOX_PIDS = 32
_SANDBOX_FILES = 1024
# It has to be a folder that images have, open to every user: when a container is started again,
# whatever is mounted there gets the mode that the folder below it has.
_SCRATCH = "/tmp"  # noqa: S108 - a file system of the container's own
_SANDBOX_OPTIONS = (
    *("--port", "0", "--unixsocket", f"{_SCRATCH}/sandbox.sock", "--unixsocketperm", "700"),
    *("--save", "", "--appendonly", "no", "--dir", _SCRATCH, "--hz", "1"),
    *("--maxclients", "32", "--maxmemory", "1mb"),
)


def engine_of(image: str) -> Engine:
    """Return which program *image* is asked to run; verified once it runs."""
    return Engine.VALKEY if "valkey" in image.lower() else Engine.REDIS


def wanted_workload(
    spec: TenantSpec, reservation: Reservation, *, instance: int, role: Role = Role.SERVER
) -> Workload:
    """Return the container of one server of *spec*: the serving one or its successor."""
    joins = spec.in_sandbox
    shape = ContainerShape(
        image=spec.image,
        # Explicit, because an image whose own entrypoint is the server would take our first
        # word for the path of a configuration file.
        command=(f"{engine_of(spec.image)}-server", f"{CONFIG_FOLDER}/redis.conf"),
        user=f"{reservation.uid}:{reservation.uid}",
        published=() if joins else wanted_listeners(spec, reservation),
        bridge=JOINED if joins else bridge_name(reservation.bridge),
        mounts=(
            (DATA_FOLDER, f"data/{instance}", False),
            (CONFIG_FOLDER, f"conf/{instance}", True),
            (RUN_FOLDER, f"run/{instance}", False),
            (TLS_FOLDER, "tls", True),
        ),
        security=_HARDENING,
        pids=_PIDS,
        files=_OPEN_FILES,
    )
    return Workload(
        role=role,
        shape=shape,
        resources=wanted_resources(spec),
        digest=digest_of(shape),
        stop_timeout=stop_timeout(spec.memory_max),
    )


def wanted_sandbox(spec: TenantSpec, reservation: Reservation) -> Workload:
    """Return the container that owns the network and the ports of *spec*.

    What keeps it alive is the server's own program, because an image need not have any other.
    """
    shape = ContainerShape(
        image=spec.image,
        command=(f"{engine_of(spec.image)}-server", *_SANDBOX_OPTIONS),
        user=f"{reservation.uid}:{reservation.uid}",
        published=wanted_listeners(spec, reservation),
        bridge=bridge_name(reservation.bridge),
        # An image that declares /data a volume would get one on the disk for each sandbox.
        mounts=((DATA_FOLDER, IN_MEMORY, False), (_SCRATCH, IN_MEMORY, False)),
        security=_HARDENING,
        pids=_SANDBOX_PIDS,
        files=_SANDBOX_FILES,
    )
    return Workload(
        role=Role.SANDBOX,
        shape=shape,
        resources=Resources(
            memory=_SANDBOX_MEMORY,
            swap=_SANDBOX_MEMORY,
            cpu_quota=UNLIMITED_CPU,
            restart=RESTART_POLICY,
        ),
        digest=digest_of(shape),
        stop_timeout=SANDBOX_STOP,
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
