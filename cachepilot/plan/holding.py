"""What disturbs clients waits for the time that is meant for it; all else goes through at once.

Only a server that runs has clients to disturb. While something waits, the tenant is held to the
spec that needs no restart: its files say what the present container must find when it crashes and
starts again, not what its successor will need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from cachepilot.observe.memory import HandOverPhase
from cachepilot.observe.snapshot import Liveness, Published, Role, SeenServer, Snapshot
from cachepilot.plan.actions import Action, Disruption, FenceServer, Plan, interrupts
from cachepilot.plan.hand_over.need import patience_to_copy
from cachepilot.plan.held_back import target_of
from cachepilot.plan.restart_length import preparation_length, restart_length
from cachepilot.plan.sandbox import stranded_cause
from cachepilot.plan.server_config import DATABASES
from cachepilot.plan.shape import PLAIN_PORT, TLS_PORT
from cachepilot.spec.document import AccessMode
from cachepilot.spec.maintenance import Window
from cachepilot.spec.tenant import TenantSpec
from cachepilot.spec.upgrade import UpgradeStrategy

# What a wildcard address or a loopback address adds to the names of a certificate.
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


# What only a restart changes, and a document may leave to the defaults of the host.
INHERITABLE = frozenset({"image", "access", "bind", "databases"})


class Turn(Enum):
    """Whose turn it is to take new defaults that need a restart."""

    ITS_OWN = "its own"
    ANOTHERS = "another's"  # a server that is down takes them all the same: it misses nothing
    NOBODYS = "nobody's"  # not even a server that is down: they have harmed somebody


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why something waits.

    Attributes:
        until: When it goes on by itself, if that is known.
    """

    reason: str
    message: str
    until: datetime | None = None


def disturbance(plan: Plan, seen: Snapshot) -> Action | None:
    """Return the first action that takes a running server from its clients, or None."""
    container, sandbox = seen.container(Role.SERVER), seen.container(Role.SANDBOX)
    if container is None or container.liveness is not Liveness.RUNNING:
        return None
    if sandbox and (sandbox.liveness is not Liveness.RUNNING or stranded_cause(seen, container)):
        return None  # no client gets in
    return next(
        (
            action
            for action in plan.actions
            if (interrupts(action) or isinstance(action, FenceServer))
            and action.disruption is not Disruption.NONE
        ),
        None,
    )


def why_wait(spec: TenantSpec, seen: Snapshot, disturbing: Action, now: datetime) -> Wait | None:
    """Return why *disturbing* must wait, or None if it may begin now."""
    window = spec.window
    if window is None or _is_under_way(spec, seen, now):
        return None
    if spec.open_until is not None and now < datetime.fromisoformat(spec.open_until):
        return None
    # What takes longer than half a window would never begin if it had to fit; so it may begin in
    # the first half.
    length = preparation_length(_used(spec, seen)) + length_of(spec, seen)
    if window.has_room(now, min(length, window.duration / 2)):
        return None
    until = window.next_opening(now)
    opens = f"that opens {_said(window, until)}" if until else "that never opens again"
    return Wait(
        reason="WaitingForWindow",
        message=f"{disturbing.cause}: waits for the maintenance window {opens}",
        until=until,
    )


def wait_for_turn(plan: Plan, turn: Turn) -> Wait:
    """Return why new defaults that *plan* would take have to wait."""
    cause = next((action.cause for action in plan.actions if interrupts(action)), "new defaults")
    if turn is Turn.NOBODYS:
        message = f"{cause}: the rollout of new defaults is halted; see `rollout status`"
        return Wait(reason="WaitingForTurn", message=message)
    return Wait(
        reason="WaitingForTurn", message=f"{cause}: waits for its turn in the rollout of defaults"
    )


def length_of(spec: TenantSpec, seen: Snapshot) -> timedelta:
    """Return about how long clients would wait while the server of *seen* is restarted."""
    return restart_length(_used(spec, seen))


def _used(spec: TenantSpec, seen: Snapshot) -> int:
    return seen.server.used_memory if isinstance(seen.server, SeenServer) else spec.memory_max


def in_force_meanwhile(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec* with all that only a restart changes as it is now."""
    spec, container = _as_now(spec, seen, INHERITABLE), seen.container(Role.SERVER)
    if container:
        boxed = UpgradeStrategy.HANDOVER if container.joined else UpgradeStrategy.RESTART
        spec = replace(spec, strategy=boxed)
    # A port that is held is kept without being pinned.
    return replace(spec, tls_port=None, plain_port=None, restarted_at=seen.memory.restarted_at)


def before_its_turn(spec: TenantSpec, seen: Snapshot, turn: Turn) -> TenantSpec:
    """Return *spec* with the host's defaults as they are served now, as far as *turn* demands it.

    Only what a restart changes can differ. A tenant without a container has nothing to keep.
    """
    container = seen.container(Role.SERVER)
    is_up = container is not None and container.liveness in (Liveness.RUNNING, Liveness.PAUSED)
    if turn is Turn.ITS_OWN:
        return spec
    if container is None or (seen.memory.replacement and not is_up):
        return _as_begun(spec, seen)
    return _as_now(spec, seen, spec.inherited) if is_up or turn is Turn.NOBODYS else spec


def _as_begun(spec: TenantSpec, seen: Snapshot) -> TenantSpec:
    """Return *spec* as a replacement was begun for it that was cut off between two containers."""
    begun = seen.memory.replacement
    if begun is None or target_of(spec) == begun.target:
        return spec
    kept, fields = begun.kept, spec.inherited
    databases = dict(kept.config).get("databases")
    config = {**dict(spec.config), "databases": databases or DATABASES}
    before = replace(
        spec,
        image=kept.image if "image" in fields else spec.image,
        access=kept.access if "access" in fields else spec.access,
        bind=kept.bind if "bind" in fields else spec.bind,
    )
    with_databases = replace(before, config=tuple(sorted(config.items())))
    found = (each for each in (before, with_databases) if target_of(each) == begun.target)
    return next(found, spec)


def _as_now(spec: TenantSpec, seen: Snapshot, fields: frozenset[str]) -> TenantSpec:
    """Return *spec* with *fields* as they are served now."""
    container = seen.container(Role.SERVER)
    if container is None:
        return spec
    if "image" in fields:
        spec = replace(spec, image=container.shape.image)
    if "access" in fields:
        spec = replace(spec, access=_access(seen.published) or spec.access)
    addresses = frozenset(at.address for at in seen.published)
    if "bind" in fields and addresses and addresses != set(spec.bind):
        names = _names(spec, seen, addresses)
        spec = replace(spec, bind=tuple(sorted(addresses)), names=names)
    if "databases" in fields:
        spec = replace(spec, config=_config(spec, seen))
    return spec


def _said(window: Window, moment: datetime) -> str:
    """Return *moment* in UTC, and in the window's own time where that is another one."""
    local = f" ({window.local(moment):%Y-%m-%d %H:%M} {window.time_zone})"
    return f"{moment:%Y-%m-%d %H:%MZ}" + (local if window.time_zone != "UTC" else "")


def _is_under_way(spec: TenantSpec, seen: Snapshot, now: datetime) -> bool:
    """Return whether a replacement was begun and has to be finished.

    Its ports are reserved before the old container goes; from then on the record speaks of ports
    that nobody serves yet. A hand-over that no client has noticed yet may take as long as one may
    that nobody interrupts; behind that it was left alone, and is taken back until a window opens.
    """
    container, held = seen.container(Role.SERVER), seen.memory.reservation
    if container is None or held is None:
        return False
    begun = seen.memory.hand_over
    if seen.memory.on_trial or (begun and begun.instance == seen.memory.instance):
        return True
    if begun and begun.phase is HandOverPhase.CLOSING:
        return True
    if begun and begun.phase is HandOverPhase.PREPARING:
        return now - begun.since <= patience_to_copy(spec, seen)
    mine = {TLS_PORT: held.tls_port, PLAIN_PORT: held.plain_port}
    return any(at.host_port != mine.get(at.container_port) for at in seen.published)


def _access(published: tuple[Published, ...]) -> AccessMode | None:
    inside = {at.container_port for at in published}
    modes = (
        (AccessMode.DUAL_MODE, {TLS_PORT, PLAIN_PORT}),
        (AccessMode.TLS_ONLY, {TLS_PORT}),
        (AccessMode.PLAIN_ONLY, {PLAIN_PORT}),
    )
    return next((mode for mode, ports in modes if ports == inside), None)


def _names(spec: TenantSpec, seen: Snapshot, addresses: frozenset[str]) -> tuple[str, ...]:
    """Return the names for a certificate that is served at the new addresses and the old ones."""
    leaf = seen.certificate
    if leaf is None:
        return spec.names
    dialled = set(leaf.names) & (addresses | _LOCAL_NAMES)
    return tuple(sorted(dialled.union(spec.names)))


def _config(spec: TenantSpec, seen: Snapshot) -> tuple[tuple[str, str], ...]:
    present = seen.server.directive("databases") if isinstance(seen.server, SeenServer) else None
    if present is None or present == dict(spec.config).get("databases", DATABASES):
        return spec.config
    return tuple(sorted({**dict(spec.config), "databases": present}.items()))
