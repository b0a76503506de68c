"""From Docker's inspect answer to our nouns, and from a workload to Docker's create request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from cachepilot.adapters.labels import (
    DIGEST,
    IMAGE,
    INODES,
    INSTANCE,
    ROLE,
    ROOT,
    TENANT,
    bridge_of,
    network_name,
)
from cachepilot.observe.snapshot import (
    JOINED,
    ContainerShape,
    Liveness,
    Published,
    Resources,
    Role,
    SeenContainer,
)
from cachepilot.plan.actions import Workload
from cachepilot.plan.shape import CPU_PERIOD, DATA_FOLDER, IN_MEMORY, UNLIMITED_CPU
from cachepilot.spec.document import TenantName

Json = dict[str, Any]

# The only folder that a running server reads again. Its configuration is read at a start, when
# the mount is made anew, and what it wrote itself is never a reason to replace it.
_READ_AGAIN = "tls"
_HALF_BORN = (": already exists", "id already in use")
_JOIN = "container:"
# A socket is all that a server without listeners keeps there; any user id may.
_MEMORY_SIZE, _MEMORY_MODE = 2**16, 0o1777
_LONGEST_NUMBER = 10
_LOG_OPTIONS = {"max-size": "5m", "max-file": "3"}


def seen_container(inspected: Json, *, root: str, folder: str) -> SeenContainer:
    """Return what *inspected* says; *folder* is where the tenant's own files live."""
    state, config, host = inspected["State"], inspected["Config"], inspected["HostConfig"]
    labels = config.get("Labels") or {}
    return SeenContainer(
        container_id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        role=Role(labels.get(ROLE, "")),
        liveness=liveness_of(state),
        digest=labels.get(DIGEST, ""),
        shape=ContainerShape(
            image=labels.get(IMAGE) or config["Image"],
            command=(*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
            user=config.get("User") or "",
            published=_published(host.get("PortBindings") or {}),
            bridge=_bridge(inspected, root),
            mounts=_with_lost(_mounts(host, folder), labels.get(INODES, ""), folder),
            security=_security(host),
            pids=host.get("PidsLimit") or 0,
            files=_open_files(host.get("Ulimits") or ()),
        ),
        resources=Resources(
            memory=host.get("Memory") or 0,
            swap=host.get("MemorySwap") or 0,
            cpu_quota=_cpu_quota(host),
            restart=(host.get("RestartPolicy") or {}).get("Name") or "no",
        ),
        instance=_number(labels.get(INSTANCE, ""), _mounts(host, folder)),
        joined=_joined(host),
        started_at=_instant(state.get("StartedAt") or ""),
        exit_code=state.get("ExitCode") or 0,
        error=state.get("Error") or "",
        oom_killed=bool(state.get("OOMKilled")),
        image_id=inspected.get("Image") or "",
        finished_at=_instant(state.get("FinishedAt") or ""),
    )


def is_ours(inspected: Json, tenant_name: TenantName, *, root: str) -> bool:
    """Return whether it is a container of this tenant; one of a role unknown to us is nobody's."""
    labels = inspected["Config"].get("Labels") or {}
    return (
        labels.get(TENANT) == tenant_name
        and labels.get(ROOT) == root
        and labels.get(ROLE) in set(Role)
    )


def liveness_of(state: Json) -> Liveness:
    """Return the state as we name it; Docker says "running" even between two crashes.

    A container whose start an engine's death cut short may never start again, because part of
    it "already exists": only a new one helps.
    """
    stillborn = state.get("Status") == "created" and state.get("Error", "").endswith(_HALF_BORN)
    if state.get("Dead") or state.get("Status") == "removing" or stillborn:
        return Liveness.DEAD
    if state.get("Restarting"):
        return Liveness.RESTARTING
    if state.get("Paused"):
        return Liveness.PAUSED
    if state.get("Running"):
        return Liveness.RUNNING if state.get("Pid") else Liveness.RESTARTING
    return Liveness.CREATED if state.get("Status") == "created" else Liveness.EXITED


def create_request(
    tenant_name: TenantName,
    workload: Workload,
    *,
    instance: int,
    root: str,
    folder: str,
    sandbox: str,
    image: str,
) -> Json:
    """Return the body of the request that creates *workload*.

    Args:
        tenant_name: Whose it will be.
        workload: What it will be.
        instance: Number of the server instance.
        root: Root folder of this installation.
        folder: Where the tenant's own files live.
        sandbox: Name of the container whose network one is to share that joins a sandbox.
        image: What to make it from: the image's name, or its content where the name has moved on.
    """
    shape, resources = workload.shape, workload.resources
    joins = shape.bridge == JOINED
    network = f"{_JOIN}{sandbox}" if joins else network_name(shape.bridge, root)
    bindings: dict[str, list[Json]] = {}
    for listener in shape.published:
        bindings.setdefault(f"{listener.container_port}/tcp", []).append(
            {"HostIp": listener.address, "HostPort": str(listener.host_port)}
        )
    return {
        "Image": image,
        "Entrypoint": list(shape.command[:1]),
        "Cmd": list(shape.command[1:]),
        "User": shape.user,
        "WorkingDir": "/data",
        # Whoever shares a network has the name of its owner, and Docker refuses another one.
        **({} if joins else {"Hostname": tenant_name}),
        "Labels": {
            TENANT: tenant_name,
            ROLE: workload.role,
            INSTANCE: str(instance),
            DIGEST: workload.digest,
            ROOT: root,
            **({} if image == shape.image else {IMAGE: shape.image}),
            INODES: " ".join(inodes_of(folder, (source for _, source, _ in shape.mounts))),
        },
        "ExposedPorts": {port: {} for port in bindings},
        "StopSignal": "SIGTERM",
        "StopTimeout": int(workload.stop_timeout.total_seconds()),
        # An image's own check would start a process in every container every few seconds.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": bindings,
            # Mounts and never Binds: those recreate a vanished data folder as an empty one.
            "Mounts": [_mount(*mount, folder=folder) for mount in shape.mounts],
            "ReadonlyRootfs": "read-only" in shape.security,
            "CapDrop": [
                word.removeprefix("cap-drop=")
                for word in shape.security
                if word.startswith("cap-drop=")
            ],
            "SecurityOpt": [word for word in shape.security if word == "no-new-privileges"],
            "PidsLimit": shape.pids,
            "Ulimits": [{"Name": "nofile", "Soft": shape.files, "Hard": shape.files}],
            "Memory": resources.memory,
            "MemorySwap": resources.swap,
            "CpuPeriod": CPU_PERIOD,
            "CpuQuota": resources.cpu_quota,
            "RestartPolicy": {"Name": resources.restart},
            "LogConfig": {"Type": "local", "Config": _LOG_OPTIONS},
        },
    }


def _published(bindings: Json) -> tuple[Published, ...]:
    return tuple(
        sorted(
            Published(
                container_port=int(port.split("/")[0]),
                address=binding.get("HostIp") or "0.0.0.0",  # noqa: S104 - Docker's own default
                host_port=int(binding.get("HostPort") or 0),
            )
            for port, many in bindings.items()
            for binding in many or ()
        )
    )


def _mount(target: str, source: str, read_only: bool, *, folder: str) -> Json:  # noqa: FBT001 - a mount's three parts
    if source == IN_MEMORY:
        options = {"SizeBytes": _MEMORY_SIZE, "Mode": _MEMORY_MODE}
        return {"Type": "tmpfs", "Target": target, "TmpfsOptions": options}
    return {
        "Type": "bind",
        "Source": f"{folder}/{source}",
        "Target": target,
        "ReadOnly": read_only,
    }


def _joined(host: Json) -> str:
    """Return the id of the container whose network it shares, or empty."""
    mode = str(host.get("NetworkMode") or "")
    return mode.removeprefix(_JOIN) if mode.startswith(_JOIN) else ""


def _number(label: str, mounts: tuple[tuple[str, str, bool], ...]) -> int:
    """Return the number of an instance; a container without our label tells it by its data."""
    source = next((source for target, source, _ in mounts if target == DATA_FOLDER), "")
    text = label or source.rpartition("/")[2]
    return int(text) if text.isdecimal() and len(text) < _LONGEST_NUMBER else 1


def _bridge(inspected: Json, root: str) -> str:
    """Return where it is attached, as one word; anything but one bridge is drift."""
    if _joined(inspected["HostConfig"]):
        return JOINED
    attached = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    return "+".join(sorted(bridge_of(name, root) for name in attached))


def _mounts(host: Json, folder: str) -> tuple[tuple[str, str, bool], ...]:
    found = [
        (
            mount["Target"],
            IN_MEMORY if mount.get("Type") == "tmpfs" else mount.get("Source", ""),
            bool(mount.get("ReadOnly")),
        )
        for mount in host.get("Mounts") or ()
    ]
    found += [
        (target, source, mode.startswith("ro"))
        for source, target, mode in (
            (*bind.split(":"), "rw")[:3] for bind in host.get("Binds") or ()
        )
    ]
    return tuple(
        sorted((target, _below(source, folder), read_only) for target, source, read_only in found)
    )


def inodes_of(folder: str, sources: Iterable[str]) -> tuple[str, ...]:
    """Return ``source=inode`` for each folder whose files a running server reads again."""
    paths = {source: Path(folder, source) for source in sources}
    return tuple(
        f"{source}={path.stat().st_ino}"
        for source, path in paths.items()
        if source == _READ_AGAIN and path.is_dir()
    )


def _with_lost(
    mounts: tuple[tuple[str, str, bool], ...], label: str, folder: str
) -> tuple[tuple[str, str, bool], ...]:
    """Return *mounts* with a mark on those that lead to a folder which is no longer there."""
    then = dict(word.split("=", maxsplit=1) for word in label.split())
    now = dict(word.split("=", maxsplit=1) for word in inodes_of(folder, then))
    lost = {source for source in then if source in now and now[source] != then[source]}
    return tuple(
        (target, f"{source} (deleted)" if source in lost else source, read_only)
        for target, source, read_only in mounts
    )


def _below(source: str, folder: str) -> str:
    path = PurePosixPath(source)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else source


def _security(host: Json) -> tuple[str, ...]:
    words = [f"cap-drop={name}" for name in host.get("CapDrop") or ()]
    words += [f"cap-add={name}" for name in host.get("CapAdd") or ()]
    words += [option.removesuffix(":true") for option in host.get("SecurityOpt") or ()]
    words += ["read-only"] if host.get("ReadonlyRootfs") else []
    words += ["privileged"] if host.get("Privileged") else []
    return tuple(sorted(words))


def _cpu_quota(host: Json) -> int:
    """Return the quota for a period of ours, whatever period somebody else chose."""
    quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or CPU_PERIOD
    return round(quota * CPU_PERIOD / period) if quota > 0 else UNLIMITED_CPU


def _open_files(limits: Iterable[Json]) -> int:
    return next((limit["Hard"] for limit in limits if limit["Name"] == "nofile"), 0)


def _instant(text: str) -> datetime | None:
    """Return Docker's timestamp; year one is its word for never."""
    if not text or text.startswith("0001-"):
        return None
    head, _, tail = text.rstrip("Z").partition(".")
    # Docker gives nanoseconds, Python reads microseconds.
    return datetime.fromisoformat(f"{head}.{tail[:6]:0<6}+00:00")
