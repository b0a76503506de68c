"""The text of the host's published status, with the facts that all tenants share."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from cachepilot.adapters.status_format import Json, render_condition
from cachepilot.clock import rfc3339
from cachepilot.observe.snapshot import SeenAuthority, SeenHost, SeenRotation
from cachepilot.spec.document import API_VERSION
from cachepilot.status.host import HostStatus, RolloutStatus, RotationStatus


def render_host(status: HostStatus, shared: SeenHost | None) -> Json:
    """Return what is published about host and daemon.

    Args:
        status: What the daemon says.
        shared: Ledger and ports as last seen; in a thousand tenants' files the same facts would
            be megabytes.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": "Host",
        "daemon": {
            "pid": status.pid,
            "version": status.version,
            "startedAt": rfc3339(status.started_at),
            "heartbeatAt": rfc3339(status.heartbeat_at),
            "settingsDigest": status.settings_digest,
        },
        "docker": {"up": not status.docker_problem, "message": status.docker_problem},
        "authority": _render_authority(status.authority, status.rotation),
        "problems": [
            {
                "file": each.file,
                "line": each.line,
                "column": each.column,
                "where": each.where,
                "message": each.message,
                "hint": each.hint,
            }
            for each in status.problems
        ],
        "orphans": [{"container": name, "tenant": tenant} for name, tenant in status.orphans],
        "conditions": [render_condition(condition) for condition in status.conditions],
        "tenants": status.tenants,
        "rollout": _render_rollout(status.rollout) if status.rollout else None,
        "shared": _hosts().dump_python(shared, mode="json") if shared else None,
    }


def _render_rollout(status: RolloutStatus) -> Json:
    rollout, obstacles = status.rollout, dict(status.obstacles)
    halted = rollout.halted
    return {
        "phase": status.phase,
        "complete": rollout.complete,
        "target": rollout.target,
        "underWay": [
            {
                "name": each.name,
                "since": rfc3339(each.since),
                "readySince": rfc3339(each.ready_since) if each.ready_since else None,
                "message": obstacles.get(each.name, ""),
            }
            for each in rollout.under_way
        ],
        "failed": list(rollout.failed),
        "halted": {
            "tenant": halted.name,
            "message": halted.message,
            "at": rfc3339(halted.at),
        }
        if halted
        else None,
        "passed": len(rollout.passed),
        "waiting": status.waiting,
        "waitingForWindow": status.windows,
        "unready": status.unready,
        "resting": status.resting,
        "waitsFor": [
            {"name": each.name, "reason": each.reason.value, "message": each.message}
            for each in status.awaited
        ],
        "cannotBeSeen": [{"name": name, "message": message} for name, message in status.unseen],
    }


def parse_shared(content: Json) -> SeenHost | None:
    """Return the shared facts of :func:`render_host`.

    Raises:
        ValueError: They are not what we publish.
    """
    shared: Any = content.get("shared")
    return _hosts().validate_python(shared) if shared else None


def _render_authority(
    authority: SeenAuthority | None, rotation: RotationStatus | None
) -> Json | None:
    if authority is None:
        return None
    not_after = authority.not_after
    return {
        "fingerprint": authority.fingerprint,
        "notAfter": rfc3339(not_after) if not_after else None,
        "problem": authority.problem,
        "roots": [
            {"fingerprint": root.fingerprint, "notAfter": rfc3339(root.not_after)}
            for root in authority.roots
        ],
        "rotation": _render_rotation(authority.rotation, rotation),
    }


def _render_rotation(seen: SeenRotation | None, told: RotationStatus | None) -> Json | None:
    if seen is None or told is None:
        return None
    return {
        "phase": seen.phase.value,
        "since": rfc3339(seen.since),
        "until": rfc3339(told.until) if told.until else None,
        "waitsFor": list(told.waits_for),
        "problem": told.problem,
        "message": told.message,
    }


@cache
def _hosts() -> TypeAdapter[SeenHost]:
    return TypeAdapter(SeenHost)
