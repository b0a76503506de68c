"""Every key that the schema accepts changes what is done, or is on a short list with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from cachepilot.plan.planner import plan_tenant
from cachepilot.reconcile import next_visit
from cachepilot.spec.document import UserFields
from cachepilot.spec.reading import Presence, Reading
from cachepilot.spec.resolve import resolve
from cachepilot.spec.rules import Rules
from cachepilot.spec.schema import tenant_schema
from cachepilot.spec.tenant import TenantSpec
from cachepilot.status.summarize import Visit
from tests.builders import document
from tests.fakes.scenes import look, settle, settled

FILE = "/etc/cachepilot/passwords/acme"
WAITING = {
    "restartedAt": "2026-03-01T00:00:00Z",
    "maintenance.window.cron": "0 3 * * 2",
    "maintenance.window.duration": "1h",
}
# A valid value that is not the default, with what else has to be said for it to mean anything.
VALUES: dict[str, Any] = {
    "state": "stopped",
    "paused": True,
    "engine.image": "valkey:8.1",
    "engine.config.notify-keyspace-events": "KEx",
    "engine.config.appendfsync": ("always", {"persistence.mode": "aof"}),
    "memory.max": "64MiB",
    "memory.limit": "1GiB",
    "memory.policy": "volatile-ttl",
    "cpus": 0.5,
    "persistence.mode": "aof",
    "access.mode": "dual-mode",
    "access.ports.tls": 7400,
    "access.ports.plain": (7700, {"access.mode": "dual-mode"}),
    "access.bind": ["127.0.0.1", "127.0.0.2"],
    "tls.extraNames": ["cache.example.net"],
    "access.clientCertificates": "optional",
    "tls.clients": ["app"],
    "tls.clientsRotatedAt": ("2026-03-01T00:00:00Z", {"tls.clients": ["app"]}),
    "tls.lifetime": "30d",
    "tls.renewBefore": "89d",
    "auth.passwordFile": FILE,
    "auth.rotatedAt": "2026-03-01T00:00:00Z",
    "auth.rotateEvery": "30d",
    "auth.grace": ("3h", {"auth.rotatedAt": "2026-03-01T00:00:00Z"}),
    "auth.users": [{"name": "app", "commands": ["+@read"]}],
    "upgrade.strategy": "handover",
    "upgrade.fallback": ("restart", {"upgrade.strategy": "handover"}),
    "restartedAt": "2026-03-01T00:00:00Z",
    # Something has to wait, and to go on waiting: it is Thursday noon.
    "maintenance.openUntil": ("2026-03-01T00:00:00Z", WAITING),
    "maintenance.window.cron": ("0 4 * * *", WAITING),
    "maintenance.window.duration": ("3d", WAITING),
    "maintenance.window.timeZone": ("Asia/Tokyo", WAITING),
}
# The same for each key of a user.
USER = {"name": "app", "keys": ["app:*"], "channels": ["app"], "commands": ["+@read"]}
USER_VALUES = {
    "name": "web",
    "keys": ["web:*"],
    "channels": ["web"],
    "commands": ["+@write"],
    "passwordFile": FILE,
    "rotatedAt": "2026-03-01T00:00:00Z",
}
# Read by people and tools; they are published as they are, which tests/status holds.
WITHOUT_EFFECT = {"apiVersion", "kind", "metadata.name", "metadata.labels", "metadata.annotations"}
# Seen only once time has passed, so the test looks that much later.
LATER = {
    "auth.grace": timedelta(hours=4),
    "auth.rotateEvery": timedelta(days=31),
    "paused": timedelta(days=80),
    "tls.renewBefore": timedelta(days=2),
}


def leaves(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    definitions = tenant_schema()["definitions"]
    for each in (node, *node.get("anyOf", ()), *node.get("allOf", ())):
        found = definitions[each["$ref"].split("/")[-1]] if "$ref" in each else each
        if "properties" in found:
            for key, value in found["properties"].items():
                yield from leaves(value, f"{path}.{key}" if path else key)
            return
    yield path, node


LEAVES = dict(leaves(tenant_schema()))


def value_of(path: str) -> Any:
    """Return another valid value for a directive, from its schema alone."""
    node = LEAVES[f"spec.{path}"]
    if "client-output-buffer-limit" in path:
        return 7 if path.endswith("seconds") else "7MiB"
    if "boolean" in node["type"]:
        return "lazyfree" in path or path.endswith("activedefrag")
    return min(node["minimum"] + 13, node["maximum"])


def written(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a document's spec without and with *path*."""
    value = VALUES[path] if path in VALUES else value_of(path)
    value, needs = value if isinstance(value, tuple) else (value, {})
    if path.endswith(("limit.normal.soft", "limit.pubsub.soft")):
        needs = {f"{path.removesuffix('soft')}seconds": 5}
    elif path.endswith("seconds"):
        needs = {f"{path.removesuffix('seconds')}soft": "5MiB"}
    return nested(needs), nested({**needs, path: value})


def nested(values: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *folders, last = path.split(".")
        at = tree
        for folder in folders:
            at = at.setdefault(folder, {})
        at[last] = value
    return tree


def spec_of(values: dict[str, Any]) -> TenantSpec:
    spec = resolve(document("acme", **values), Rules())
    assert isinstance(spec, TenantSpec), spec
    return spec


def answer(world: Any, spec: TenantSpec, later: timedelta) -> tuple[Any, Any]:
    """Return what would be done later in *world*, and when the next visit is due."""
    seen = look(world, spec)
    plan = plan_tenant(spec, seen, Rules(), seen.at + later)
    reading = Reading(tenant_name=spec.name, presence=Presence.PRESENT)
    visit = Visit(
        tenant_name=spec.name,
        reading=reading,
        spec=spec,
        memory=seen.memory,
        seen=seen,
        plan=plan,
        outcomes=(),
    )
    return plan.actions, next_visit(visit).after


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - WITHOUT_EFFECT))
def test_every_key_has_an_effect(path):
    path = path.removeprefix("spec.")
    without, given = (spec_of(each) for each in written(path))
    assert without != given

    world = settle(settled(spec_of({})), without)
    world.password_files[FILE] = "Password0of0a0file0000000000000"
    world.images.add("valkey:8.1")
    later = LATER.get(path, timedelta())
    if path == "upgrade.fallback":
        # It matters where another server is needed and there is no memory for two.
        world.memory_available = 1
        world.servers["acme"].directives["databases"] = "3"

    assert answer(world, given, later) != answer(world, without, later)


@pytest.mark.parametrize(
    "path", sorted(path for path in LEAVES.keys() - WITHOUT_EFFECT if "maintenance" not in path)
)
def test_what_the_schema_says_of_a_change_is_what_a_plan_says(path):
    path = path.removeprefix("spec.")
    without, given = (spec_of(each) for each in written(path))
    world = settle(settled(spec_of({})), without)
    world.password_files[FILE] = "Password0of0a0file0000000000000"
    world.images.add("valkey:8.1")
    seen = look(world, given)

    found = plan_tenant(given, seen, Rules(), seen.at + LATER.get(path, timedelta()))

    assert found.disruption.value == LEAVES[f"spec.{path}"].get("x-disruption", "none")


@pytest.mark.parametrize("key", UserFields.model_fields)
def test_every_key_of_a_user_has_an_effect(key):
    without = spec_of({"auth": {"users": [USER]}})
    given = spec_of({"auth": {"users": [USER | {key: USER_VALUES[key]}]}})
    world = settle(settled(without), without)
    world.password_files[FILE] = "Password0of0a0file0000000000000"

    assert answer(world, given, timedelta()) != answer(world, without, timedelta())


def test_what_has_no_effect_is_still_in_the_schema():
    assert LEAVES.keys() >= WITHOUT_EFFECT
    assert {f"spec.{path}" for path in VALUES} <= LEAVES.keys()
