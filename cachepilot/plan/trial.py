"""A server that is in charge and must prove that it has the data, or goes again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from cachepilot.observe.memory import Reservation
from cachepilot.observe.replacement import Replacement
from cachepilot.observe.snapshot import (
    Liveness,
    Role,
    SeenContainer,
    SeenServer,
    Snapshot,
    Unreachable,
)
from cachepilot.plan.actions import (
    AcceptReplacement,
    Action,
    AwaitServer,
    Blocked,
    CompareData,
    CondemnReplacement,
    DiscardDump,
    ExpectDump,
    RemoveContainer,
    ReturnToFormer,
    SetDirectives,
    StopContainer,
    WriteConfiguration,
)
from cachepilot.plan.birth import PATIENCE, plan_start
from cachepilot.plan.persistence import NONE, mode_in_force
from cachepilot.plan.restart_length import restart_length
from cachepilot.plan.server_config import Directives, opening, render
from cachepilot.plan.shape import engine_of
from cachepilot.plan.stopping import plan_thaw
from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.tenant import TenantSpec

# A failed server has nothing to save.
_SHORT_STOP = timedelta(seconds=10)
_SILENCE = timedelta(minutes=1)
# How its process ended says nothing about a server that Docker or the host took down.
_TAKEN_DOWN = frozenset({0, 137, 143, 255})


def plan_proof_of_data(
    spec: TenantSpec,
    reservation: Reservation,
    directives: Directives,
    begun: Replacement,
    mode: PersistenceMode,
    *,
    has_note: bool,
) -> Iterator[Action]:
    """Yield the comparison, the decision, and the opening of the ports."""
    name, number, cause = spec.name, begun.instance, "it has all the data"
    if has_note:
        yield CompareData(tenant_name=name, cause="it has loaded its data", instance=number)
    yield AcceptReplacement(tenant_name=name, cause=cause)
    if mode is NONE:
        # Before anybody writes: a crash from now on must not bring back what is saved there.
        loaded = "the saved data is loaded"
        yield DiscardDump(tenant_name=name, cause=loaded, instance=number)
        yield ExpectDump(tenant_name=name, cause=loaded, expected=False)
    yield WriteConfiguration(
        tenant_name=name,
        cause=cause,
        instance=number,
        uid=reservation.uid,
        text=render(directives),
    )
    yield SetDirectives(
        tenant_name=name, cause=cause, instance=number, directives=opening(directives)
    )


def plan_trial(
    spec: TenantSpec,
    seen: Snapshot,
    reservation: Reservation,
    directives: Directives,
    begun: Replacement,
    container: SeenContainer,
) -> Iterator[Action]:
    """Yield what goes on with the container of a server on trial."""
    number, has_note = begun.instance, begun.note is not None
    if failure := failure_of(spec, seen):
        yield from plan_return(spec, seen, begun, failure)
        return
    if container.liveness is Liveness.PAUSED:
        yield plan_thaw(spec, container)
        return
    if container.liveness is not Liveness.RUNNING:
        yield from plan_start(spec, number, "it is on trial and does not run")
    elif seen.loaded_server is None:
        cause = "it is on trial and does not answer yet"
        yield AwaitServer(tenant_name=spec.name, cause=cause, instance=number, patience=PATIENCE)
    mode = mode_in_force(spec, seen)
    yield from plan_proof_of_data(spec, reservation, directives, begun, mode, has_note=has_note)


def failure_of(spec: TenantSpec, seen: Snapshot) -> Blocked | None:
    """Return why the server on trial has failed; None if it has not."""
    begun, container = seen.memory.on_trial, seen.container(Role.SERVER)
    if begun is None:
        return None
    if begun.failure:
        reason, message = begun.failure
        return Blocked(reason=reason, message=message)
    found = _flaw_of_sandbox(seen.container(Role.SANDBOX)) if spec.in_sandbox else ""
    if container is not None:
        found = _flaw(spec, seen, container) or found
    elif seen.image_exists is False:
        found = f"image {spec.image} is gone"
    if not found:
        return None
    words = container.last_words if container else ""
    upgrades = spec.image != begun.kept.image or (
        container is not None and container.image_id != begun.kept.image_id
    )
    said = f"; its last words: {words}" if words else ""
    message = (
        f"{begun.cause}, but {found}; the server before serves again with all its data, and "
        f"nothing is tried again until the spec or the image changes{said}"
    )
    if upgrades:
        return Blocked(reason="UpgradeFailed", message=message)
    return Blocked(reason="RestartFailed", message=message)


def goes_back(spec: TenantSpec, seen: Snapshot) -> bool:
    """Return whether a server on trial has to be taken back at once, as nobody else serves."""
    return failure_of(spec, seen) is not None


def plan_return(
    spec: TenantSpec, seen: Snapshot, begun: Replacement, failure: Blocked
) -> Iterator[Action]:
    """Yield the way back; what ran before is made again once the record says so."""
    container, cause = seen.container(Role.SERVER), "the new server failed"
    if begun.failure is None or not begun.failed_image:
        # A comparison that failed has noted why, and does not know of what image.
        yield CondemnReplacement(
            tenant_name=spec.name,
            cause=cause,
            reason=failure.reason,
            message=failure.message,
            image_id=container.image_id if container else seen.image_id,
        )
    if container is not None:
        if container.liveness not in (Liveness.CREATED, Liveness.EXITED, Liveness.DEAD):
            yield StopContainer(
                tenant_name=spec.name,
                cause=cause,
                container_id=container.container_id,
                timeout=_SHORT_STOP,
            )
        yield RemoveContainer(
            tenant_name=spec.name,
            cause=cause,
            container_id=container.container_id,
            digest=container.digest,
        )
    yield ReturnToFormer(tenant_name=spec.name, cause=cause)


def _flaw_of_sandbox(sandbox: SeenContainer | None) -> str:
    """Return why no server can ever join the sandbox, or empty."""
    if sandbox is None:
        return ""
    if sandbox.liveness is Liveness.CREATED and sandbox.error:
        return f"its sandbox cannot be started: {sandbox.error}"
    if sandbox.liveness is Liveness.RESTARTING and sandbox.oom_killed:
        return "its sandbox ran out of memory"
    # Somebody may have ended it once, and Docker is about to start it again.
    if sandbox.liveness is Liveness.RESTARTING and sandbox.exit_code not in _TAKEN_DOWN:
        return "its sandbox crashes again and again"
    return ""


def _flaw(spec: TenantSpec, seen: Snapshot, container: SeenContainer) -> str:
    """Return what is wrong with the container or the server of a trial, or empty."""
    server, since = seen.server, container.started_at or seen.at
    sandbox = seen.container(Role.SANDBOX)
    if container.joined and (sandbox is None or sandbox.container_id != container.joined):
        return "its sandbox is gone"  # it can be started in no other
    match container.liveness:
        case Liveness.CREATED:
            return f"it cannot be started: {container.error}" if container.error else ""
        case Liveness.RESTARTING:
            return "it crashes again and again"
        case Liveness.DEAD:
            return "Docker gave it up"
        case Liveness.EXITED:
            if container.oom_killed:
                return "it ran out of memory"
            ended = f"it ended with exit code {container.exit_code}"
            return "" if container.exit_code in _TAKEN_DOWN else ended
        case Liveness.RUNNING | Liveness.PAUSED:
            pass
    if isinstance(server, Unreachable) and seen.at - since > _SILENCE:
        return f"it does not answer: {server.why}"
    if not isinstance(server, SeenServer):
        return ""
    if server.engine is not engine_of(container.shape.image):
        return f"the image runs {server.engine}, its name says otherwise"
    patience = _SILENCE + 10 * restart_length(spec.memory_max)
    return "it loads and loads" if server.loading and seen.at - since > patience else ""
