"""The text of a tenant's published status: an allow-list of fields, readable by programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from cachepilot.clock import rfc3339
from cachepilot.observe.snapshot import SeenHost, SeenServer, Snapshot
from cachepilot.spec.document import (
    API_VERSION,
    AccessMode,
    ClientCertificates,
    MemoryPolicy,
    PersistenceMode,
    State,
    TenantName,
)
from cachepilot.spec.maintenance import Window
from cachepilot.spec.quantities import duration_from_text, duration_to_text
from cachepilot.spec.tenant import TenantSpec, UserSpec
from cachepilot.spec.upgrade import UpgradeFallback, UpgradeStrategy
from cachepilot.status.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Endpoint,
    PublishedClient,
    PublishedUser,
    TenantStatus,
    Waiting,
)

Json = dict[str, Any]

# Nobody asks a server for these; should that change, they still do not get out.
_SECRET_DIRECTIVES = {"masterauth", "requirepass", "tls-key-file-pass", "tls-client-key-file-pass"}
_CLIENT_CERTIFICATE = "/cert.pem"


def render_tenant(status: TenantStatus) -> Json:
    """Return what is published about one tenant."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Tenant",
        "metadata": {
            "name": status.tenant_name,
            "labels": dict(status.labels),
            "annotations": dict(status.annotations),
            "source": status.source,
        },
        "spec": render_spec(status.spec) if status.spec else None,
        "status": {
            "word": status.word,
            "generation": status.generation,
            "observedGeneration": status.observed_generation,
            "observedDigest": status.observed_digest,
            "settingsDigest": status.settings_digest,
            "observedAt": rfc3339(status.observed_at),
            "conditions": [render_condition(condition) for condition in status.conditions],
            "endpoints": [
                {"listener": each.listener, "host": each.host, "port": each.port}
                for each in status.endpoints
            ],
            "certificate": _render_certificate(status),
            "clientCertificates": [_render_client(each) for each in status.clients],
            "users": [
                {
                    "name": each.name,
                    "revision": each.revision,
                    "since": _since(each),
                    "may": each.may or None,
                }
                for each in status.users
            ],
            "problems": list(status.problems),
            "plan": list(status.plan),
            "waiting": _render_waiting(status.waiting) if status.waiting else None,
        },
        "snapshot": _render_snapshot(status.snapshot) if status.snapshot else None,
    }


def _render_waiting(waiting: Waiting) -> Json:
    return {
        "reason": waiting.reason,
        "message": waiting.message,
        "until": rfc3339(waiting.until) if waiting.until else None,
        "plan": list(waiting.plan),
    }


def parse_tenant(content: Json) -> TenantStatus:
    """Return what :func:`render_tenant` was given, without what all tenants share.

    What the release before published is understood, too: an upgrade finds it, and so does a newer
    command beside an older daemon.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is not what we publish.
    """
    metadata, status = content["metadata"], content["status"]
    name = TenantName(metadata["name"])
    if content["kind"] != "Tenant":
        raise ValueError("it is not about a tenant")
    return TenantStatus(
        tenant_name=name,
        word=status["word"],
        generation=status["generation"],
        observed_generation=status["observedGeneration"],
        observed_digest=status["observedDigest"],
        settings_digest=status["settingsDigest"],
        observed_at=datetime.fromisoformat(status["observedAt"]),
        source=metadata["source"],
        labels=tuple(metadata["labels"].items()),
        annotations=tuple(metadata["annotations"].items()),
        spec=_parse_spec(name, content["spec"]) if content["spec"] else None,
        conditions=tuple(_parse_condition(each) for each in status["conditions"]),
        endpoints=tuple(Endpoint(**each) for each in status["endpoints"]),
        users=tuple(_parse_login(each) for each in status.get("users", ())),
        clients=tuple(_parse_client(each) for each in status.get("clientCertificates", ())),
        problems=tuple(status["problems"]),
        plan=tuple(status["plan"]),
        snapshot=_snapshots().validate_python(content["snapshot"])
        if content["snapshot"]
        else None,
        waiting=_parse_waiting(waiting) if (waiting := status.get("waiting")) else None,
    )


def _parse_waiting(content: Mapping[str, Any]) -> Waiting:
    until = content["until"]
    return Waiting(
        reason=content["reason"],
        message=content["message"],
        until=datetime.fromisoformat(until) if until else None,
        plan=tuple(content["plan"]),
    )


def _since(user: PublishedUser) -> str | None:
    return rfc3339(user.since) if user.since else None


def _parse_login(content: Mapping[str, Any]) -> PublishedUser:
    since = content["since"]
    return PublishedUser(
        name=content["name"],
        revision=content["revision"],
        since=datetime.fromisoformat(since) if since else None,
        may=content.get("may") or "",
    )


def keep_own_facts(host: SeenHost) -> SeenHost:
    """Return what of *host* concerns one tenant; the rest is published once for all."""
    return SeenHost(authority=host.authority, foreign_addresses=host.foreign_addresses)


def render_spec(spec: TenantSpec) -> Json:
    """Return the wanted state in the words of the document, every default filled in."""
    return {
        "state": spec.state.value,
        "paused": spec.paused,
        "engine": {"image": spec.image, "config": dict(spec.config)},
        "memory": {
            "max": spec.memory_max,
            "limit": spec.memory_limit,
            "policy": spec.memory_policy.value,
        },
        "cpus": spec.cpus,
        "persistence": {"mode": spec.persistence.value},
        "access": {
            "mode": spec.access.value,
            "ports": {"tls": spec.tls_port, "plain": spec.plain_port},
            "bind": list(spec.bind),
            "clientCertificates": spec.client_certificates.value,
        },
        "tls": {
            "names": list(spec.names),
            "lifetime": duration_to_text(spec.certificate_lifetime),
            "renewBefore": duration_to_text(spec.renew_before),
            "clients": list(spec.clients),
            "clientsRotatedAt": spec.clients_rotated_at,
        },
        "auth": {
            "passwordFile": spec.password_file,
            "rotatedAt": spec.rotated_at,
            "rotateEvery": duration_to_text(spec.rotate_every) if spec.rotate_every else None,
            "grace": duration_to_text(spec.grace),
            "scripting": spec.scripting,
            "users": [_render_user(user) for user in spec.users],
        },
        "maintenance": {
            "window": _render_window(spec.window) if spec.window else None,
            "openUntil": spec.open_until,
        },
        "upgrade": {"strategy": spec.strategy.value, "fallback": spec.fallback.value},
        "restartedAt": spec.restarted_at,
        "inherited": sorted(spec.inherited),
    }


def _render_window(window: Window) -> Json:
    return {
        "cron": window.cron,
        "duration": duration_to_text(window.duration),
        "timeZone": window.time_zone,
    }


def _render_certificate(status: TenantStatus) -> Json | None:
    """Return what anybody may know of the leaf; its files are the server's own."""
    leaf = status.snapshot.certificate if status.snapshot else None
    if leaf is None or status.spec is None or not status.spec.access.has_tls:
        return None
    return {
        "revision": leaf.revision,
        "fingerprint": leaf.fingerprint,
        "authority": leaf.authority,
        "names": list(leaf.names),
        "notBefore": rfc3339(leaf.not_before),
        "notAfter": rfc3339(leaf.not_after),
        "renewAt": rfc3339(leaf.not_after - status.spec.renew_before),
    }


def _render_client(client: PublishedClient) -> Json:
    return {
        "name": client.name,
        "fingerprint": client.fingerprint,
        "notBefore": rfc3339(client.not_before),
        "notAfter": rfc3339(client.not_after),
        "renewAt": rfc3339(client.renew_at),
        "certFile": f"{client.folder}{_CLIENT_CERTIFICATE}",
        "keyFile": f"{client.folder}/key.pem",
        "problem": client.problem,
    }


def _parse_client(content: Mapping[str, Any]) -> PublishedClient:
    return PublishedClient(
        name=content["name"],
        fingerprint=content["fingerprint"],
        not_before=datetime.fromisoformat(content["notBefore"]),
        not_after=datetime.fromisoformat(content["notAfter"]),
        renew_at=datetime.fromisoformat(content["renewAt"]),
        folder=content["certFile"].removesuffix(_CLIENT_CERTIFICATE),
        problem=content["problem"],
    )


def _render_user(user: UserSpec) -> Json:
    return {
        "name": user.name,
        "keys": list(user.keys),
        "channels": list(user.channels),
        "commands": list(user.commands),
        "passwordFile": user.password_file,
        "rotatedAt": user.rotated_at,
        "rotateEvery": duration_to_text(user.rotate_every) if user.rotate_every else None,
    }


def _parse_user(content: Mapping[str, Any]) -> UserSpec:
    every = content["rotateEvery"]
    return UserSpec(
        name=content["name"],
        keys=tuple(content["keys"]),
        channels=tuple(content["channels"]),
        commands=tuple(content["commands"]),
        password_file=content["passwordFile"],
        rotated_at=content["rotatedAt"],
        rotate_every=duration_from_text(every) if every else None,
    )


def render_condition(condition: Condition) -> Json:
    """Return one condition as the conventions of Kubernetes spell it."""
    return {
        "type": condition.type.value,
        "status": condition.status.value,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": rfc3339(condition.last_transition_time),
    }


def _render_snapshot(snapshot: Snapshot) -> Json:
    published = replace(snapshot, host=keep_own_facts(snapshot.host))
    if isinstance(published.server, SeenServer):
        directives = tuple(
            (name, value)
            for name, value in published.server.directives
            if name.lower() not in _SECRET_DIRECTIVES
        )
        published = replace(published, server=replace(published.server, directives=directives))
    begun = published.memory.replacement
    if begun and begun.note:
        # The names of keys are the customer's own.
        begun = replace(begun, note=replace(begun.note, sample=()))
        published = replace(published, memory=replace(published.memory, replacement=begun))
    content: Json = _snapshots().dump_python(published, mode="json")
    return content


def _parse_spec(name: TenantName, content: Mapping[str, Any]) -> TenantSpec:
    memory, access, tls = content["memory"], content["access"], content["tls"]
    # A daemon that did not let anything wait yet says nothing of it.
    maintenance = content.get("maintenance") or {}
    window = maintenance.get("window")
    auth, upgrade = content["auth"], content.get("upgrade") or {}
    return TenantSpec(
        name=name,
        state=State(content["state"]),
        paused=content["paused"],
        image=content["engine"]["image"],
        config=tuple(content["engine"]["config"].items()),
        memory_max=memory["max"],
        memory_limit=memory["limit"],
        memory_policy=MemoryPolicy(memory["policy"]),
        cpus=content["cpus"],
        persistence=PersistenceMode(content["persistence"]["mode"]),
        access=AccessMode(access["mode"]),
        tls_port=access["ports"]["tls"],
        plain_port=access["ports"]["plain"],
        bind=tuple(access["bind"]),
        names=tuple(tls["names"]),
        certificate_lifetime=duration_from_text(tls["lifetime"]),
        renew_before=duration_from_text(tls["renewBefore"]),
        # A daemon that knew no client certificates says nothing of these three.
        client_certificates=ClientCertificates(access.get("clientCertificates", "off")),
        clients=tuple(tls.get("clients", ())),
        clients_rotated_at=tls.get("clientsRotatedAt"),
        password_file=auth["passwordFile"],
        # A daemon that did not replace passwords yet says nothing of these three.
        rotated_at=auth.get("rotatedAt"),
        rotate_every=duration_from_text(every) if (every := auth.get("rotateEvery")) else None,
        grace=duration_from_text(auth.get("grace", "0s")),
        scripting=auth["scripting"],
        window=_parse_window(window) if window else None,
        open_until=maintenance.get("openUntil"),
        # Nor one that only knew restarts of these.
        strategy=UpgradeStrategy(upgrade.get("strategy", UpgradeStrategy.RESTART)),
        fallback=UpgradeFallback(upgrade.get("fallback", UpgradeFallback.WAIT)),
        restarted_at=content["restartedAt"],
        users=tuple(_parse_user(each) for each in auth.get("users", ())),
        inherited=frozenset(content.get("inherited", ())),
    )


def _parse_window(content: Mapping[str, Any]) -> Window:
    return Window(
        cron=content["cron"],
        duration=duration_from_text(content["duration"]),
        time_zone=content["timeZone"],
    )


def _parse_condition(content: Mapping[str, Any]) -> Condition:
    return Condition(
        type=ConditionType(content["type"]),
        status=ConditionStatus(content["status"]),
        reason=content["reason"],
        message=content["message"],
        last_transition_time=datetime.fromisoformat(content["lastTransitionTime"]),
    )


@cache
def _snapshots() -> TypeAdapter[Snapshot]:
    """Return the (costly) reader and writer of snapshots, made when first needed."""
    return TypeAdapter(Snapshot)
