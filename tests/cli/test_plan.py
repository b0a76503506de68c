"""The CLI plans with the daemon's planner, over snapshots that went through the real store."""

import json

import pytest

from cachepilot.adapters.status_files import StatusFiles
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.reconcile import Terms, World, reconcile
from cachepilot.settings import Settings
from cachepilot.spec.document import TenantName
from cachepilot.spec.parse import parse
from cachepilot.spec.reading import Presence, Reading
from tests.cli.hosts import NOON, document
from tests.fakes.readers import readers_of
from tests.fakes.world import FakeWorld
from tests.fakes.writers import writers_of

TEXT = document(body="spec:\n  memory: {max: 64MiB}\n")


class OneDocument:
    """A folder with one document in it."""

    def __init__(self, text):
        self.text = text

    def read(self, tenant_name):
        parsed = parse(
            read_documents(self.text.encode(), "acme.yaml").trees[0], Settings().rules()
        )
        return Reading(
            tenant_name=tenant_name,
            presence=Presence.PRESENT,
            document=parsed.document,
            spec=parsed.spec,
            json=parsed.json,
            digest=parsed.digest,
            source="acme.yaml",
        )


class Nobody:
    """An onlooker who is told everything and does nothing about it."""

    def __getattr__(self, name):
        return lambda *_args, **_more: None


@pytest.fixture
def acme(host):
    host.write("acme.yaml", TEXT)
    return host


def visit(host, text):
    """Let the daemon's own loop bring acme about, in a world in memory, and publish it."""
    fake = FakeWorld()
    world = World(
        source=OneDocument(text),
        readers=readers_of(fake),
        writers=writers_of(fake),
        status=StatusFiles(host.paths, owner=None),
        utc_now=lambda: NOON,
    )
    terms = Terms(rules=Settings().rules(), settings_digest=Settings().digest)
    for _ in range(5):
        status = reconcile(TenantName("acme"), world, terms, onlooker=Nobody()).status
    assert status.word == "Ready", status


def test_a_new_tenant_has_everything_before_it(acme):
    lines = acme.run("plan", "acme").out.splitlines()
    assert lines[0] == "tenant/acme: is new"
    assert any("CreateContainer acme" in line for line in lines)
    (item,) = acme.run("plan", "-o", "json").items
    assert item["plan"]["new"]
    assert item["plan"]["actions"][0]["action"] == "Reserve"


def test_a_tenant_that_is_what_it_should_be_has_nothing_to_do(acme):
    visit(acme, TEXT)
    assert acme.run("plan").out == "tenant/acme: nothing to do\n"


@pytest.mark.parametrize(
    ("wish", "disruption"),
    [
        ("spec.memory.max=48MiB", "none"),
        ("spec.engine.config.maxclients=100", "none"),
        ("spec.persistence.mode=aof", "none"),
        ("spec.engine.config.databases=4", "restart"),
        ("spec.engine.image=redis:7.0", "restart"),
        ("spec.state=stopped", "restart"),
        ("spec.restartedAt=2026-03-01T12:00:00Z", "restart"),
    ],
)
def test_a_change_says_what_clients_will_notice(acme, wish, disruption):
    visit(acme, TEXT)
    acme.run("set", "acme", wish)
    (item,) = acme.run("plan", "acme", "-o", "json").items
    assert item["plan"]["actions"]
    assert item["plan"]["disruption"] == disruption


def test_another_image_restarts_whoever_has_further_users_too(acme):
    users = "  auth: {users: [{name: app, keys: ['a:*'], commands: ['+@read']}]}\n"
    visit(acme, TEXT + users)
    acme.write("acme.yaml", TEXT + users + "  engine: {image: 'redis:7.0'}\n")
    (item,) = acme.run("plan", "acme", "-o", "json").items
    actions = [action["action"] for action in item["plan"]["actions"]]
    assert item["plan"]["disruption"] == "restart"
    assert actions.index("TryRulesApart") < actions.index("StopContainer")
    assert actions.count("EnsureImage") == 1


def test_a_difference_shows_lines_and_disruption(acme, tmp_path):
    visit(acme, TEXT)
    new = tmp_path / "work/new.yaml"
    new.write_text(TEXT.replace("64MiB", "32MiB") + "  engine: {config: {databases: 4}}\n")

    ended = acme.run("diff", "-f", new)
    assert ended.code == 1
    assert "-  memory: {max: 64MiB}" in ended.out
    assert "+  memory: {max: 32MiB}" in ended.out
    assert "tenant/acme: the server restarts, its data is preserved" in ended.out
    assert acme.read("acme.yaml").decode() == TEXT

    shown = acme.run("diff", "-f", new, "-o", "json").json
    assert shown["changed"]
    assert shown["items"][0]["plan"]["disruption"] == "restart"


CLOSED = '  maintenance: {window: {cron: "0 3 2 1 *", duration: 1h, timeZone: Europe/Berlin}}\n'


def test_what_waits_for_a_window_is_shown_apart_from_what_happens_at_once(acme):
    visit(acme, TEXT + CLOSED)
    acme.write("acme.yaml", TEXT.replace("64MiB", "48MiB") + CLOSED)
    acme.run("set", "acme", "spec.engine.config.databases=4")

    out = acme.run("plan", "acme").out
    told = "2027-01-02 02:00Z (2027-01-02 03:00 Europe/Berlin); then the server restarts"
    at_once, _, later = out.partition(told)
    assert at_once.startswith("tenant/acme: clients notice nothing\n")
    assert "SetDirectives" in at_once
    assert "StopContainer" in later
    (item,) = acme.run("plan", "acme", "-o", "json").items
    assert item["plan"]["disruption"] == "none"
    waiting = item["plan"]["waiting"]
    assert (waiting["reason"], waiting["disruption"]) == ("WaitingForWindow", "restart")
    assert waiting["until"] == "2027-01-02T02:00:00Z"


def test_a_difference_of_a_new_tenant(acme):
    ended = acme.run("diff", "-f", "-", stdin=document("beta"))
    assert ended.code == 1
    assert ended.out.startswith("--- /dev/null")
    assert "tenant/beta: is new" in ended.out


def test_a_paused_tenant_has_nothing_to_do(acme):
    acme.run("pause", "acme")
    assert acme.run("plan").out == "tenant/acme: nothing to do\n"


def test_an_invalid_document_has_no_plan(acme):
    acme.write("acme.yaml", document(body="spec: {cpus: many}\n"))
    assert acme.run("plan", "acme").code == 3


def test_a_snapshot_nobody_understands_is_none(acme):
    content = acme.publish("acme", snapshot={"from": "the future"})
    acme.paths.tenant_status("acme").write_text(json.dumps(content))
    assert acme.run("plan", "acme").out.startswith("tenant/acme: is new")


def test_a_difference_tells_of_each_field_what_clients_notice_of_it(acme, tmp_path):
    visit(acme, TEXT)
    new = tmp_path / "work/new.yaml"
    body = "  engine: {config: {databases: 4, appendfsync: always}}\n  persistence: {mode: aof}\n"
    new.write_text(TEXT.replace("64MiB", "32MiB") + body)

    out = acme.run("diff", "-f", new).out
    told = [line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  spec.")]
    assert told == [
        ["spec.engine.config.appendfsync", "only together with the others"],
        ["spec.engine.config.databases", "restart ≈ 1 s"],
        ["spec.memory.max", "none"],
        ["spec.persistence.mode", "none"],
    ]
    (item,) = acme.run("diff", "-f", new, "-o", "json").items
    assert item["fields"][1] == {
        "path": "spec.engine.config.databases",
        "disruption": "restart",
        "seconds": 1.0,
        "waits": False,
    }
    assert item["plan"]["notice"] == "restart ≈ 1 s"


def test_a_field_that_is_taken_out_and_one_that_waits_are_told(acme, tmp_path):
    text = TEXT + CLOSED + "  engine: {config: {databases: 4}}\n"
    visit(acme, text)
    acme.write("acme.yaml", text)
    new = tmp_path / "work/new.yaml"
    new.write_text(TEXT + CLOSED)
    out = acme.run("diff", "-f", new).out
    assert "  spec.engine.config.databases   restart ≈ 1 s, and waits\n" in out


def test_an_end_is_not_called_a_restart(acme):
    visit(acme, TEXT)
    acme.run("stop", "acme")
    assert acme.run("plan", "acme").out.startswith("tenant/acme: the server stops, its data is")
