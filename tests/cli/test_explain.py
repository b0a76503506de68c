import jsonschema
import pytest
from ruamel.yaml import YAML

from cachepilot.cli.fields import root_field
from tests.cli.hosts import document


def test_a_field_is_explained(host):
    out = host.run("explain", "tenant.spec.memory.max").out
    assert out.startswith("tenant.spec.memory.max  <text>\n  Memory for data")
    assert "Default: 256MiB" in out
    assert "Disruption: none" in out


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("spec.cpus", "Range: 0.05 to 1024"),
        ("spec.engine.image", "Disruption: restart"),
        ("spec.persistence.mode", "<one of none, rdb, aof>"),
        ("spec.access.bind", "<list of text>"),
        ("metadata.labels", "<key>"),
        ("metadata.labels.tier", "<text>"),
        ("metadata.name", "Required: yes"),
        ("apiVersion", "<cachepilot/v1>"),
        ("spec.engine.config.client-output-buffer-limit.normal.hard", "text or 0"),
        ("settings.daemon.workers", "Default: 4"),
    ],
)
def test_its_facts_are_told(host, path, fact):
    assert fact in host.run("explain", path).out


def test_a_wrong_field_is_corrected(host):
    ended = host.run("explain", "tenant.spec.memry.max")
    assert (ended.code, 'did you mean "memory"?' in ended.err) == (4, True)
    assert host.run("explain", "tennant.spec").code == 4
    below = host.run("explain", "memory.max")
    assert (below.code, "cachepilotctl explain spec.memory.max" in below.err) == (4, True)


def fields_of(field):
    for below in field.fields.values():
        yield below
        yield from fields_of(below)


@pytest.mark.parametrize("kind", ["tenant", "settings"])
def test_every_field_has_a_type_and_all_of_them_are_listed(host, kind):
    fields = list(fields_of(root_field(kind)))
    out = host.run("explain", kind, "--recursive").out
    assert len(fields) > 40
    for field in fields:
        assert field.type
        assert "anything" not in field.type, field.path
        assert f"{field.path.rpartition('.')[2]}  <" in out
    items = host.run("explain", kind, "--recursive", "-o", "json").items
    assert [item["path"] for item in items] == [kind, *(field.path for field in fields)]


def test_the_schema_accepts_what_apply_accepts(host):
    schema = host.run("schema").json
    jsonschema.Draft7Validator.check_schema(schema)
    value = YAML(typ="safe").load(document(body="spec: {memory: {max: 64MiB}}\n"))
    jsonschema.validate(value, schema, cls=jsonschema.Draft7Validator)
    value["spec"]["cpu"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, schema, cls=jsonschema.Draft7Validator)
    assert host.run("schema", "settings").json["title"] == "CachePilot settings"
