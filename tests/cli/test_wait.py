"""Nobody may be told "Ready" about a document or settings that the daemon has not seen."""

import pytest

from tests.cli.hosts import NOON, document


def ready(host, name="acme", **changes):
    host.publish(name, digest=host.digest_of(name), **changes)


@pytest.fixture
def acme(host):
    host.write("acme.yaml", document(body="spec: {cpus: 1}\n"))
    return host


def test_a_current_ready_is_met_at_once(acme):
    ready(acme)
    ended = acme.run("wait", "acme", "--for=condition=Ready")
    assert (ended.code, ended.out, acme.passed) == (0, "tenant/acme condition met\n", 0.0)


def test_what_is_listed_only_while_it_is_true_is_false_otherwise(acme):
    ready(acme)
    assert acme.run("wait", "acme", "--for=condition=Reconciling=False").code == 0
    assert acme.run("wait", "acme", "--for=condition=Stalled=False").code == 0
    assert acme.run("wait", "acme", "--for=condition=Stalled", "--timeout", "1s").code == 7


def test_a_ready_of_an_older_document_never_counts(acme):
    ready(acme)
    acme.write("acme.yaml", document(body="spec: {cpus: 2}\n"))

    ended = acme.run("wait", "acme", "--for=condition=Ready", "--timeout", "2s")

    assert ended.code == 7
    assert "of older files" in ended.err


def test_a_ready_under_older_settings_never_counts(acme):
    ready(acme)
    acme.paths.settings_file.write_text("removalGrace: 1h\n")
    assert acme.run("wait", "acme", "--for=condition=Ready", "--timeout", "2s").code == 7


def test_a_document_that_changes_while_waiting_asks_a_new_question(acme):
    acme.publish("acme", "Progressing", digest=acme.digest_of("acme"))
    acme.meanwhile = [
        lambda: acme.write("acme.yaml", document(body="spec: {cpus: 3}\n")),
        lambda: acme.publish("acme", digest="of the older document"),
        lambda: None,
        lambda: ready(acme),
    ]
    ended = acme.run("wait", "acme", "--for=condition=Ready")
    assert (ended.code, acme.meanwhile) == (0, [])


def test_a_comment_is_no_new_question(acme):
    ready(acme)
    acme.write("acme.yaml", "# note\n" + document(body="spec: {cpus: 1}\n"))
    assert acme.run("wait", "acme", "--for=condition=Ready").code == 0


def test_an_invalid_document_is_never_ready(acme):
    ready(acme)
    acme.write("acme.yaml", document(body="spec: {cpus: many}\n"))
    ended = acme.run("wait", "acme", "--for=condition=Ready", "--timeout", "1s")
    assert ended.code == 7
    assert "acme.yaml:5:" in ended.err


def test_its_being_invalid_can_be_waited_for(acme):
    acme.write("acme.yaml", document(body="spec: {cpus: many}\n"))
    condition = {"type": "SpecValid", "status": "False", "reason": "Invalid", "message": "bad"}
    acme.publish("acme", "Invalid", conditions=[condition])
    assert acme.run("wait", "acme", "--for=condition=SpecValid=False").code == 0


@pytest.mark.parametrize(
    ("wanted", "code"), [("ready=true", 0), ("Ready=False", 7), ("Ready=Unknown", 7)]
)
def test_any_status_of_a_condition_can_be_waited_for(acme, wanted, code):
    ready(acme)
    assert acme.run("wait", "acme", "--timeout=1", f"--for=condition={wanted}").code == code


def test_a_tenant_without_status_is_waited_for(acme):
    acme.meanwhile = [lambda: ready(acme)]
    assert acme.run("wait", "tenant/acme", "--for=condition=Ready").code == 0


def test_every_tenant_must_get_there(acme):
    acme.write("beta.yaml", document("beta"))
    ready(acme)
    acme.publish("beta", "NotReady", digest=acme.digest_of("beta"))
    acme.meanwhile = [lambda: None, lambda: ready(acme, "beta")]
    ended = acme.run("wait", "--all", "--for=condition=Ready")
    assert ended.out == "tenant/acme condition met\ntenant/beta condition met\n"


def test_labels_choose_whom_to_wait_for(acme):
    ready(acme, metadata={"labels": {"tier": "gold"}})
    acme.publish("beta", "NotReady")
    assert acme.run("wait", "-l", "tier=gold", "--for=condition=Ready").code == 0
    assert acme.run("wait", "-l", "tier=iron", "--for=condition=Ready").code == 4


def test_deletion_is_over_when_the_daemon_says_so_about_this_very_wish(acme):
    acme.publish("acme", "Deleted", digest="of an earlier wish")
    assert acme.run("wait", "acme", "--for=delete", "--timeout=1").code == 7
    acme.publish("acme", "Deleted", digest=acme.digest_of("acme"))
    assert acme.run("wait", "acme", "--for=delete").code == 0


def test_whoever_is_not_there_at_all_is_deleted(host):
    assert host.run("wait", "acme", "--for=delete").code == 0


def test_a_status_without_a_document_is_not_ready(acme):
    ready(acme)
    (acme.paths.tenants_d / "acme.yaml").unlink()
    ended = acme.run("wait", "acme", "--for=condition=Ready", "--timeout=1")
    assert (ended.code, "no file holds its document" in ended.err) == (7, True)


def test_machine_output_holds_the_tenants_that_got_there(acme):
    ready(acme)
    (item,) = acme.run("wait", "acme", "--for=condition=Ready", "-o", "json").items
    assert item["metadata"]["name"] == "acme"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("2m", 120), ("1m30s", 90), ("1500ms", 1.5)]
)
def test_time_is_written_as_people_do(acme, text, seconds):
    acme.run("wait", "acme", "--for=condition=Ready", "--timeout", text)
    assert seconds <= acme.passed < seconds + 0.5


def test_zero_waits_for_ever(acme):
    acme.meanwhile = [*[lambda: None] * 5000, lambda: ready(acme)]
    assert acme.run("wait", "acme", "--for=condition=Ready", "--timeout=0").code == 0


def test_progress_is_told_once_per_change(acme):
    acme.publish("acme", "Starting", at=NOON)
    ended = acme.run("wait", "acme", "--for=condition=Ready", "--timeout=5")
    assert ended.err.count("acme: Starting") == 2  # once while waiting, once as the cause
    assert (
        acme.run("wait", "acme", "-q", "--for=condition=Ready", "--timeout=5").err.count(
            "acme: Starting"
        )
        == 1
    )
