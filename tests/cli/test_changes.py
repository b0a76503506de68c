"""The verbs that write wishes down: apply, set, start, stop, restart, pause, resume, delete."""

import pytest

from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.spec.parse import parse
from cachepilot.spec.rules import Rules
from tests.cli.hosts import document

TEXT = document(body="spec:\n  memory: {max: 64MiB}  # small\n")


@pytest.fixture
def acme(host):
    host.write("acme.yaml", TEXT)
    return host


def test_apply_creates_configures_and_leaves_alone(host, tmp_path):
    one, two = tmp_path / "work/one.yaml", tmp_path / "work/two.yaml"
    one.write_text(document("acme"))
    two.write_text(document("beta") + "---\n" + document("gamma"))

    assert host.run("apply", "-f", one, "-f", two).out.splitlines() == [
        "tenant/acme created",
        "tenant/beta created",
        "tenant/gamma created",
    ]
    one.write_text(document("acme") + "# more\n")
    assert host.run("apply", "-f", tmp_path / "work").out.splitlines() == [
        "tenant/acme configured",
        "tenant/beta unchanged",
        "tenant/gamma unchanged",
    ]
    assert host.read("acme.yaml") == one.read_bytes()


def test_apply_reads_standard_input(host):
    assert host.run("apply", "-f", "-", stdin=document()).out == "tenant/acme created\n"
    assert host.read("acme.yaml") == document().encode()


def test_apply_looks_into_deeper_folders_only_when_told(host, tmp_path):
    deep = tmp_path / "work/a/b"
    deep.mkdir(parents=True)
    (deep / "acme.yaml").write_text(document())
    assert host.run("apply", "-f", tmp_path / "work").code == 1
    assert host.run("apply", "-R", "-f", tmp_path / "work").out == "tenant/acme created\n"


def test_a_dry_run_writes_nothing(host):
    ended = host.run("apply", "-f", "-", "--dry-run", stdin=document())
    assert (ended.out, host.files()) == ("tenant/acme created (dry run)\n", {})


def test_apply_tells_programs_what_changed(host):
    shown = host.run("apply", "-f", "-", "-o", "json", stdin=document()).json
    (item,) = shown["items"]
    assert (shown["changed"], item["changed"], item["result"]) == (True, True, "created")
    again = host.run("apply", "-f", "-", "-o", "json", stdin=document()).json
    assert (again["changed"], again["items"][0]["result"]) == (False, "unchanged")

    changed = document(body="spec: {cpus: 1}\n")
    hashed = ["apply", "-f", "-", "--if-hash", item["fileHash"]]
    assert host.run(*hashed, stdin=changed).code == 0
    assert host.run(*hashed, stdin=document()).code == 8
    assert host.run("apply", "-f", "-", "--if-hash", "none", stdin=document("new")).code == 0


def test_apply_can_wait_for_the_effect(host):
    host.meanwhile = [lambda: host.publish("acme", digest=host.digest_of("acme"))]
    assert host.run("apply", "-f", "-", "--wait", stdin=document()).code == 0
    later = document(body="spec: {state: stopped}\n")
    host.meanwhile = [lambda: host.publish("acme", "Stopped", digest=host.digest_of("acme"))]
    assert host.run("apply", "-f", "-", "--wait", stdin=later).code == 0
    assert host.run("apply", "-f", "-", "--wait", "--timeout=1s", stdin=document()).code == 7


def test_a_change_that_cannot_be_had_has_not_taken_effect(host):
    """The server may serve on as before; who waits for the change is told that it did not come."""

    def stalls():
        conditions = [
            {"type": "Stalled", "status": "True", "reason": "PortInUse", "message": "in use"},
            {"type": "Ready", "status": "True", "reason": "Serving", "message": "clients"},
        ]
        digest = host.digest_of("acme")
        host.publish("acme", "Stalled", digest=digest, conditions=conditions)

    host.meanwhile = [stalls]
    ended = host.run("apply", "-f", "-", "--wait", "--timeout=1s", stdin=document())
    assert ended.code == 7
    assert "acme: Stalled (in use)" in ended.err


def test_a_pause_has_taken_effect_once_the_daemon_knows_of_it(acme):
    acme.meanwhile = [lambda: acme.publish("acme", "Paused", digest=acme.digest_of("acme"))]
    assert acme.run("pause", "acme", "--wait").code == 0
    acme.meanwhile = [lambda: acme.publish("acme", digest=acme.digest_of("acme"))]
    assert acme.run("resume", "acme", "--wait").code == 0
    assert acme.run("pause", "acme", "--wait", "--timeout=1s").code == 7


def test_set_changes_one_value_and_keeps_the_comment(acme):
    ended = acme.run("set", "acme", "spec.memory.max=128MiB", "spec.cpus=0.5")
    assert ended.out == "tenant/acme configured\n"
    assert acme.read("acme.yaml").decode() == TEXT.replace("64MiB", "128MiB") + "  cpus: 0.5\n"
    assert acme.run("set", "tenant", "acme", "spec.cpus=0.5").out == "tenant/acme unchanged\n"


def test_set_refuses_what_it_cannot_prove_and_offers_the_editor(acme):
    acme.write("acme.yaml", document(body="spec:\n  access: {bind: [127.0.0.1]}\n"))
    ended = acme.run("set", "acme", "spec.access.bind[4]=::1")
    assert (ended.code, "cachepilotctl edit" in ended.err) == (1, True)


def test_set_of_an_invalid_value_writes_nothing(acme):
    for wish in ("spec.memory.max=64MB", "spec.state=gone", "metadata.name=beta.x"):
        assert acme.run("set", "acme", wish).code == 3
    assert acme.read("acme.yaml").decode() == TEXT


def test_a_tenant_is_never_renamed(acme):
    ended = acme.run("set", "acme", "metadata.name=beta")
    assert (ended.code, "cannot rename" in ended.err) == (3, True)
    assert acme.read("acme.yaml").decode() == TEXT


def test_set_compares_the_hash(acme):
    assert acme.run("set", "acme", "spec.cpus=1", "--if-hash", "f" * 64).code == 8


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["stop", "acme"], "state: stopped"),
        (["start", "acme"], "state: running"),
        (["pause", "acme"], "paused: true"),
        (["resume", "tenant/acme"], "paused: false"),
        (["delete", "acme", "--yes"], "state: deleted"),
        (["restart", "acme"], 'restartedAt: "2026-03-01T12:00:00.000Z"'),
    ],
)
def test_a_wish_is_one_line_more(acme, args, line):
    ended = acme.run(*args)
    assert (ended.code, ended.out) == (0, "tenant/acme configured\n")
    assert acme.read("acme.yaml").decode() == TEXT + f"  {line}\n"


def test_a_rotation_is_a_wish_with_its_own_grace(acme):
    ended = acme.run("rotate", "acme", "--grace", "48h")
    assert (ended.code, ended.out) == (0, "tenant/acme configured\n")
    wish = '  auth:\n    rotatedAt: "2026-03-01T12:00:00Z"\n    grace: 48h\n'
    assert acme.read("acme.yaml").decode() == TEXT + wish


USERS = """  auth:
    users:
      - name: web  # the shop
        commands: [+@read]
      - name: app
        commands: [+@read]
"""


def test_a_rotation_of_a_user_is_a_wish_in_its_entry(acme):
    acme.write("acme.yaml", TEXT + USERS)

    ended = acme.run("rotate", "acme", "--user", "app")

    assert (ended.code, ended.out) == (0, "tenant/acme configured\n")
    lines = acme.read("acme.yaml").decode().splitlines()
    assert lines[-1] == '        rotatedAt: "2026-03-01T12:00:00Z"'
    assert "      - name: web  # the shop" in lines
    parsed = parse(SpecFolder(acme.paths.tenants_d).get("acme").tree, Rules())
    assert [user.rotated_at for user in parsed.spec.users] == [None, "2026-03-01T12:00:00Z"]


def test_the_rotation_of_one_user_does_not_end_older_passwords_of_others(acme):
    acme.write("acme.yaml", TEXT + USERS)

    ended = acme.run("rotate", "acme", "--user", "app", "--grace", "0s")

    assert ended.code == 2
    assert "all users of the tenant" in ended.err
    assert "set NAME spec.auth.grace=0s" in ended.err
    assert acme.read("acme.yaml").decode() == TEXT + USERS


@pytest.mark.parametrize("text", [TEXT, TEXT + USERS])
def test_a_user_that_nobody_listed_cannot_get_another_password(acme, text):
    acme.write("acme.yaml", text)

    ended = acme.run("rotate", "acme", "--user", "apq")

    assert ended.code == 4
    assert "no user apq" in ended.err
    assert acme.read("acme.yaml").decode() == text


def test_a_rotation_with_a_nonsensical_grace_writes_nothing(acme):
    ended = acme.run("rotate", "acme", "--grace", "soon")
    assert ended.code == 3
    assert "spec.auth.grace" in ended.err
    assert acme.read("acme.yaml").decode() == TEXT


def test_a_second_wish_replaces_the_first(acme):
    acme.run("stop", "acme")
    acme.run("start", "acme")
    assert acme.read("acme.yaml").decode() == TEXT + "  state: running\n"


def test_all_tenants_are_changed_or_none(acme):
    acme.write("fleet.yaml", document("beta") + "---\n" + document("gamma"))
    assert acme.run("stop", "acme", "nobody").code == 4
    assert acme.run("pause", "acme", "gamma").code == 0
    assert acme.read("fleet.yaml").decode() == document("beta") + "---\n" + document(
        "gamma", "spec: {paused: true}\n"
    )
    assert acme.run("resume", "--all").out.splitlines() == [
        "tenant/acme configured",
        "tenant/beta configured",
        "tenant/gamma configured",
    ]


def test_one_broken_document_stops_the_change_of_all(acme):
    acme.write("beta.yaml", document("beta", "spec: [\n"))
    assert acme.run("pause", "acme", "beta").code == 3
    assert acme.read("acme.yaml").decode() == TEXT


def test_deleting_needs_the_name_or_a_yes(acme):
    ended = acme.run("delete", "acme", "--no-input")
    assert (ended.code, "--yes" in ended.err) == (2, True)
    assert acme.read("acme.yaml").decode() == TEXT


def test_deleting_says_that_data_stays(acme):
    assert "data of acme stays in" in acme.run("delete", "acme", "-y").err


def test_the_last_tenant_can_be_deleted(acme):
    """A folder that became empty removes nobody; a written wish does."""
    acme.run("delete", "acme", "--yes")
    assert list(acme.files()) == ["acme.yaml"]


def test_a_sleeping_daemon_is_mentioned(acme):
    acme.paths.host_status.unlink()
    assert "takes effect when it runs" in acme.run("stop", "acme").err
    assert acme.run("stop", "acme").err == ""


def test_a_folder_that_is_not_there_is_explained(acme):
    (acme.paths.tenants_d / "acme.yaml").unlink()
    acme.paths.tenants_d.rmdir()
    ended = acme.run("apply", "-f", "-", stdin=document())
    assert ended.code == 1
    assert "no such file or directory" in ended.err


def test_a_restart_now_opens_the_window_for_ten_minutes(acme):
    acme.run("restart", "acme", "--now")
    written = acme.read("acme.yaml").decode()
    assert 'restartedAt: "2026-03-01T12:00:00.000Z"' in written
    assert 'maintenance:\n    openUntil: "2026-03-01T12:10:00Z"' in written
