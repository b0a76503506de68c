import pytest

from cachepilot.adapters.spec_fields import path_of, set_fields
from cachepilot.adapters.spec_refusals import UnreadablePathError
from cachepilot.spec.rules import Rules

TEXT = """\
apiVersion: cachepilot/v1
kind: Tenant
metadata:
  name: acme
  labels: {tier: 'gold', version: "1"}
spec:
  cpus: 1
  restartedAt: '2026-01-01T00:00:00Z'
"""


def changed(**wishes):
    paths = [(path_of(path.replace("__", ".")), text) for path, text in wishes.items()]
    return set_fields(TEXT.encode(), 0, paths, Rules()).decode()


def lines_of(text):
    return [line for line in text.splitlines() if line not in TEXT.splitlines()]


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("spec__memory__max", "64MiB", "    max: 64MiB"),
        ("spec__cpus", "0.5", "  cpus: 0.5"),
        ("spec__paused", "true", "  paused: true"),
        ("metadata__labels__version", "2", """  labels: {tier: 'gold', version: "2"}"""),
        ("metadata__labels__tier", "silver", """  labels: {tier: 'silver', version: "1"}"""),
        ("metadata__annotations__note", "a: b # c", '    note: "a: b # c"'),
        ("metadata__annotations__on", "yes", '    "on": "yes"'),
        ("metadata__annotations__empty", "", '    empty: ""'),
        ("spec__restartedAt", "2026-02-02T00:00:00Z", "  restartedAt: '2026-02-02T00:00:00Z'"),
        ("spec__access__bind", "[127.0.0.1, '::1']", "    bind: [127.0.0.1, '::1']"),
    ],
)
def test_a_value_is_spelled_so_that_its_field_accepts_it(path, value, line):
    assert lines_of(changed(**{path: value}))[-1] == line


def test_a_value_that_no_spelling_makes_right_is_left_as_it_was_typed():
    assert lines_of(changed(spec__cpus="many")) == ["  cpus: many"]


def test_several_wishes_are_fulfilled_together():
    text = changed(spec__memory__max="64MiB", spec__memory__limit="128MiB")

    assert lines_of(text) == ["  memory:", "    max: 64MiB", "    limit: 128MiB"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec.memory.max", ("spec", "memory", "max")),
        ("tenant.spec.cpus", ("spec", "cpus")),
        (".spec.access.bind[0]", ("spec", "access", "bind", 0)),
        ("metadata.labels.example.com/tier", ("metadata", "labels", "example.com/tier")),
        ('spec["a.b"].c', ("spec", "a.b", "c")),
    ],
)
def test_a_path_is_read_as_people_write_it(text, path):
    assert path_of(text) == path


@pytest.mark.parametrize("text", ["", "spec..memory", "spec.", "spec[x]", "[", "a]b"])
def test_a_path_that_is_none_is_refused(text):
    with pytest.raises(UnreadablePathError, match="cannot read the path"):
        path_of(text)
