"""Why a replacement is refused before anything stops."""

from __future__ import annotations

from cachepilot.observe.snapshot import Role, SeenServer, Snapshot
from cachepilot.plan.actions import Blocked
from cachepilot.plan.data_format import data_format_of
from cachepilot.plan.shape import engine_of
from cachepilot.spec.quantities import approximate_size
from cachepilot.spec.tenant import TenantSpec

# Beside the data itself: configuration, and what is written while it is saved.
_SPARE = 16 * 2**20


def replacement_refused(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why the wanted image or the disk would not do for the data that is there."""
    return _unfit_image(spec, seen) or _no_room(spec, seen)


def data_format_of_server(seen: Snapshot) -> int | None:
    """Return the newest format that the data is in, or will be once the server has saved it."""
    server, found = seen.server, seen.files.data_format
    if not isinstance(server, SeenServer):
        return found
    written = data_format_of(server.engine, server.version)
    return max((each for each in (found, written) if each is not None), default=None)


def refuse_unfit(
    image: str, *, asked: str, engine: str, version: str, problem: str, data_format: int | None
) -> Blocked | None:
    """Return why a server that says it is *engine* of *version* cannot take the data over."""
    if problem:
        return Blocked(reason="EngineMismatch", message=f"image {image} cannot serve: {problem}")
    if engine != asked:
        message = f"image {image} runs {engine} {version}, its name says otherwise"
        return Blocked(reason="EngineMismatch", message=message)
    loads = data_format_of(engine, version)
    if loads is not None and data_format is not None and data_format > loads:
        message = (
            f"{engine} {version} of image {image} loads data up to format {loads}, and this "
            f"tenant's is in format {data_format}; choose an image that loads it"
        )
        return Blocked(reason="DataTooNew", message=message)
    return None


def _unfit_image(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    container, learned = seen.container(Role.SERVER), seen.memory.learned
    if (
        container is None
        or learned is None
        or not seen.image_id
        or seen.image_id in (container.image_id, "")
        or learned.image_id != seen.image_id
    ):
        return None
    return refuse_unfit(
        spec.image,
        asked=engine_of(spec.image),
        engine=learned.engine,
        version=learned.version,
        problem=learned.problem,
        data_format=data_format_of_server(seen),
    )


def _no_room(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    server, free = seen.server, seen.files.free_bytes
    if not isinstance(server, SeenServer) or free is None:
        return None
    needed = server.used_memory + _SPARE
    if free >= needed:
        return None
    message = (
        f"cannot restart {spec.name} without losing data: saving it may take "
        f"{approximate_size(needed)} of disk, and {approximate_size(free)} are free"
    )
    return Blocked(reason="DiskTooFull", message=message)
