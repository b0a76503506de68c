"""Every example is valid for the product and for an editor, and becomes a tenant that is Ready."""

import json
import os
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.settings import Settings, check_settings, settings_schema
from cachepilot.spec.document import TenantDocument
from cachepilot.spec.parse import Parsed, parse
from cachepilot.spec.rules import Rules
from cachepilot.spec.schema import tenant_schema
from tests.scenarios.host import REDIS_8, Host

EXAMPLES = Path("examples")
SETTINGS = EXAMPLES / "settings.yaml"
TENANTS = sorted(set(EXAMPLES.glob("*.yaml")) - {SETTINGS})
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


def read(path):
    (tree,) = read_documents(path.read_bytes(), str(path)).trees
    return tree


def fields_of(schema, node=None):
    """Return the path of every field that a schema has; a list's items count as the list."""
    node = schema if node is None else node
    if "$ref" in node:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]]
    found = set()
    for part in (*node.get("allOf", ()), *node.get("anyOf", ())):
        found |= fields_of(schema, part)
    for name, inner in node.get("properties", {}).items():
        found |= {(name,)} | {(name, *rest) for rest in fields_of(schema, inner)}
    return found


def fields_in(value):
    if not isinstance(value, dict):
        return set()
    return {(key,) for key in value} | {
        (key, *rest) for key, inner in value.items() for rest in fields_in(inner)
    }


def test_there_are_the_examples_that_the_readme_promises():
    promised = {"minimal", "cache", "durable", "dual-mode", "pinned-ports", "commented", "users"}

    assert {path.stem for path in TENANTS} == promised


@pytest.mark.parametrize("path", TENANTS, ids=lambda path: path.stem)
def test_an_example_is_a_valid_tenant_named_like_its_file(path):
    tree = read(path)

    parsed = parse(tree, Rules())

    assert isinstance(parsed, Parsed), parsed
    assert parsed.spec.name == path.stem
    TenantDocument.model_validate_json(json.dumps(tree.value))


@pytest.mark.parametrize("path", TENANTS, ids=lambda path: path.stem)
def test_an_editor_finds_nothing_wrong_with_an_example(path):
    named = json.loads((EXAMPLES / MODELINE.match(path.read_text())[1]).read_text())

    assert named == tenant_schema()
    assert list(Draft7Validator(named).iter_errors(read(path).value)) == []


def test_the_commented_example_has_every_field():
    path = EXAMPLES / "commented.yaml"
    # A password from a file cannot also be drawn, so that field is in a comment.
    other_way = ("spec", "auth", "passwordFile")

    assert fields_in(read(path).value) | {other_way} >= fields_of(tenant_schema())
    assert f"# {other_way[-1]}: /" in path.read_text()


def test_the_settings_example_is_valid_for_product_and_editor_and_has_every_key():
    tree = read(SETTINGS)
    named = json.loads((EXAMPLES / MODELINE.match(SETTINGS.read_text())[1]).read_text())
    directives = {
        path for path in fields_of(named) if path[:3] == ("defaults", "engine", "config")
    }

    assert isinstance(check_settings(SETTINGS), Settings)
    assert named == settings_schema()
    assert list(Draft7Validator(named).iter_errors(tree.value)) == []
    # The directives are those of a tenant's file, which has an example of its own.
    assert fields_in(tree.value) >= fields_of(named) - directives


def test_the_settings_example_shows_the_defaults_except_where_it_says_otherwise():
    otherwise = {"authority", "defaults", "limits", "hostNames", "rollout"}
    shown, silent = check_settings(SETTINGS), Settings()

    for name in Settings.model_fields:
        if name not in otherwise:
            assert getattr(shown, name) == getattr(silent, name), name
    rollout = shown.rollout.model_copy(update={"resumedAt": None})
    assert rollout == silent.rollout


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    socket = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    host = Host(tmp_path_factory.mktemp("x"), socket)
    try:
        yield host.start()
    finally:
        host.close()


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="servers get user ids of their own: needs root")
@pytest.mark.parametrize("path", TENANTS, ids=lambda path: path.stem)
def test_an_example_becomes_a_tenant_that_is_ready(host, path, tmp_path):
    """
    Only what this machine lacks is replaced: the image from a registry, the password file, and
    names and ports that others on this engine may have.
    """
    tenant = host.tenant(path.stem)
    secret = tmp_path / "secret"
    secret.write_text("a-password-of-the-customer\n")
    secret.chmod(0o600)
    file = tmp_path / path.name
    file.write_text(localized(path.read_text(), tenant.name, secret, host.slot))

    host.ctl("apply", "-f", str(file), "--wait", "--timeout", "60s")

    status = tenant.status()["status"]
    assert status["word"] == "Ready"
    assert {each["status"] for each in status["conditions"]} == {"True"}
    for endpoint in status["endpoints"]:
        with tenant.client(endpoint["listener"]) as client:
            assert client.ping()
    host.ctl("delete", tenant.name, "--yes")


def localized(text, name, secret, slot):
    replaced = {
        r"^  name: [a-z-]+$": f"  name: {name}",
        r"image: redis:8.0": f"image: {REDIS_8}",
        r"passwordFile: \S+": f"passwordFile: {secret}",
        # A deleted tenant keeps its ports, so each example pins its own.
        r"tls: 7377$": f"tls: {slot.free_port(0)}",
        r"plain: 7677$": f"plain: {slot.free_port(1)}",
        r"tls: 7388$": f"tls: {slot.free_port(2)}",
        r"plain: 7688$": f"plain: {slot.free_port(3)}",
    }
    for pattern, new in replaced.items():
        text = re.sub(pattern, new, text, count=1, flags=re.MULTILINE)
    return text
