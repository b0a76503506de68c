"""The schema that editors use says the same as the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from cachepilot.settings import Settings, settings_schema
from cachepilot.spec.directives import EngineConfig
from cachepilot.spec.document import MemoryPolicy, SpecFields, State, TenantDocument
from cachepilot.spec.parse import validate
from cachepilot.spec.schema import tenant_schema
from cachepilot.spec.tree import Tree
from tests.builders import written

SCHEMAS = Path(__file__).parents[2] / "examples/schema"
TENANT = Draft7Validator(tenant_schema())
SETTINGS = Draft7Validator(settings_schema())


def reader_accepts(value: Any, model: type[Any] = TenantDocument) -> bool:
    document, _ = validate(Tree(file="x", value=value), model)
    return document is not None


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from nodes(inner)
    if isinstance(node, list):
        for inner in node:
            yield from nodes(inner)


@pytest.mark.parametrize(
    ("name", "schema"), [("tenant-v1", tenant_schema()), ("settings-v1", settings_schema())]
)
def test_committed_schema_is_up_to_date(name, schema):
    """If this fails, write the new one: its text is `json.dumps(schema, indent=2)`."""
    assert (SCHEMAS / f"{name}.json").read_text() == json.dumps(schema, indent=2) + "\n"


@pytest.mark.parametrize("schema", [tenant_schema(), settings_schema()])
def test_schema_is_proper_draft_07(schema):
    Draft7Validator.check_schema(schema)

    found = list(nodes(schema))

    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert not any({"$defs", "prefixItems", "patternProperties"} & node.keys() for node in found)
    # Whatever stands beside a reference would be ignored.
    assert all(set(node) == {"$ref"} for node in found if "$ref" in node)


def test_every_field_has_a_description_and_its_disruption():
    definitions = tenant_schema()["definitions"]
    spec = definitions["SpecFields"]["properties"]

    for name, model in definitions.items():
        for key, field in model.get("properties", {}).items():
            assert field.get("description"), (name, key)
    assert {field["x-disruption"] for field in spec.values()} == {"none", "restart"}
    assert definitions["EngineConfig"]["properties"]["databases"]["x-disruption"] == "restart"


def test_defaults_are_those_of_an_unconfigured_host():
    definitions = tenant_schema()["definitions"]

    assert definitions["MemoryFields"]["properties"]["max"]["default"] == "256MiB"
    assert definitions["TlsFields"]["properties"]["lifetime"]["default"] == "90d"
    assert definitions["AccessFields"]["properties"]["bind"]["default"] == ["127.0.0.1"]
    assert definitions["SpecFields"]["properties"]["state"]["default"] == "running"
    assert definitions["EngineConfig"]["properties"]["hz"]["default"] == 2


@pytest.mark.parametrize("schema", [tenant_schema(), settings_schema()])
def test_defaults_are_valid_where_they_stand(schema):
    for node in nodes(schema):
        if "default" in node and not isinstance(node["default"], dict):
            part = {"definitions": schema["definitions"], **node}
            assert not list(Draft7Validator(part).iter_errors(node["default"])), node


_SIZES = st.sampled_from(["1MiB", "256MiB", "3GiB"])
_SPANS = st.sampled_from(["1h", "90d", "1h30m", "0s"])
_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
_MAPS = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,5}[A-Za-z0-9])?", fullmatch=True),
    st.text(max_size=20),
    max_size=3,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any of the fields, any of them empty, or nothing at all."""
    optional = {key: st.none() | strategy for key, strategy in fields.items()}
    return st.none() | st.fixed_dictionaries({}, optional=optional)


_CONFIG = some(
    **{
        "maxclients": st.integers(10, 10_000),
        "hz": st.integers(1, 500),
        "timeout": st.integers(0, 100),
        "lazyfree-lazy-expire": st.booleans(),
        "notify-keyspace-events": st.sampled_from(["", "KEx", "Kg$lshzxetdmnA"]),
        "appendfsync": st.sampled_from(["always", "everysec", "no"]),
        "client-output-buffer-limit": some(
            normal=some(hard=_SIZES | st.just(0), soft=_SIZES, seconds=st.integers(0, 100))
        ),
    }
)
_DOCUMENTS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("cachepilot/v1"),
        "kind": st.just("Tenant"),
        "metadata": st.fixed_dictionaries(
            {"name": _NAMES}, optional={"labels": st.none() | _MAPS, "annotations": _MAPS}
        ),
    },
    optional={
        "spec": some(
            state=st.sampled_from([state.value for state in State]),
            paused=st.booleans(),
            engine=some(image=st.sampled_from(["redis:8.0", "a/b/c:d"]), config=_CONFIG),
            memory=some(
                max=_SIZES,
                limit=_SIZES,
                policy=st.sampled_from([policy.value for policy in MemoryPolicy]),
            ),
            cpus=st.floats(0.05, 1024) | st.integers(1, 1024),
            persistence=some(mode=st.sampled_from(["none", "rdb", "aof"])),
            access=some(
                mode=st.sampled_from(["tls-only", "dual-mode", "plain-only"]),
                ports=some(tls=st.integers(1024, 65_535), plain=st.integers(1024, 65_535)),
                bind=st.lists(st.ip_addresses().map(str), min_size=1, max_size=8),
            ),
            tls=some(
                extraNames=st.lists(st.sampled_from(["a.example", "*.b", "192.0.2.1"])),
                lifetime=_SPANS,
                renewBefore=_SPANS,
            ),
            auth=some(passwordFile=st.just("/x")),
            restartedAt=st.datetimes(timezones=st.timezones()).map(
                lambda moment: moment.isoformat()
            ),
        )
    },
)


@given(_DOCUMENTS)
def test_whatever_the_reader_accepts_the_schema_accepts(document):
    assert reader_accepts(document), validate(Tree(file="x", value=document), TenantDocument)
    assert not list(TENANT.iter_errors(document))


_TERRITORY = st.sampled_from(
    [("spec", key) for key in SpecFields.model_fields]
    + [("spec",), ("metadata",), ("apiVersion",), ("kind",), ("metadata", "name")]
    + [("metadata", "labels"), ("metadata", "labels", "x"), ("spec", "memory", "max")]
    + [("spec", "memory", "policy"), ("spec", "access", "bind"), ("spec", "access", "mode")]
    + [("spec", "access", "ports", "tls"), ("spec", "tls", "extraNames"), ("unknown",)]
    + [("spec", "unknown"), ("metadata", "unknown"), ("spec", "engine", "config", "unknown")]
    + [
        ("spec", "engine", "config", field.alias or name)
        for name, field in EngineConfig.model_fields.items()
    ]
)
# A whole float is an integer to JSON Schema and not to us; a text may have the right form.
_WRONG = st.sampled_from([None, True, False, 5, 1.5, [], {}, [[]], {"x": {}}, "-", "running", ""])


@given(_TERRITORY, _WRONG)
def test_schema_and_reader_agree_about_structure(path, wrong):
    """A wrong type, an unknown key or value is refused by both or by neither."""
    document = written("acme")
    inner = document
    for step in path[:-1]:
        inner = inner.setdefault(step, {})
    inner[path[-1]] = wrong

    is_form = isinstance(wrong, str) or path[-1] == "bind"

    if not reader_accepts(document):
        # The form of addresses, paths, names and times is for the reader alone.
        assert list(TENANT.iter_errors(document)) or is_form
    else:
        assert not list(TENANT.iter_errors(document))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"apiVersion": "cachepilot/v1", "kind": "Settings", "docker": {"socket": "/x.sock"}},
        {"defaults": {"engine": {"image": "redis:7"}}, "network": {"subnets": ["10.9.0.0/22"]}},
        {"ports": {"tls": {"first": 2000, "last": 2001}}, "listen": {"port": 0}, "limits": None},
    ],
)
def test_settings_that_are_read_fit_their_schema(settings):
    assert reader_accepts(settings, Settings)
    assert not list(SETTINGS.iter_errors(settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"dockr": {}},
        {"docker": {"socket": 5}},
        {"docker": []},
        {"uids": {"first": 5}},
        {"kind": "Tenant"},
        {"drift": "ignore"},
        {"listen": {"port": 70_000}},
    ],
)
def test_settings_that_are_refused_break_their_schema(settings):
    assert not reader_accepts(settings, Settings)
    assert list(SETTINGS.iter_errors(settings))
