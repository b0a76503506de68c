import json
import stat
import threading
import traceback

import pytest

from cachepilot.adapters.records import Records
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import Memory
from cachepilot.spec.document import TenantName
from tests.fakes.world import NOON

ACME, BETA = TenantName("acme"), TenantName("beta")


def another(paths):
    """What a program that starts now would see."""
    return Records(paths, owners=False)


def test_a_tenant_without_a_record_is_blank(records):
    assert records.recall(ACME) == Memory()
    assert records.known() == ()


def test_what_was_remembered_is_there_after_a_restart(paths, records, writer):
    writer.remember_document(ACME, generation=3, digest="d", source="/x.yaml", document="{}")
    records.remember_certificate(ACME, 2)
    records.remember_data(ACME)

    seen = another(paths).recall(ACME)

    assert (seen.generation, seen.document_digest, seen.source) == (3, "d", "/x.yaml")
    assert (seen.certificate, seen.data_ready) == (2, True)
    assert seen == records.recall(ACME)
    assert another(paths).known() == (ACME,)


def test_the_file_is_for_root_only_and_says_its_version(paths, records):
    records.remember_data(ACME)
    path = paths.record(ACME)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o711
    assert json.loads(path.read_text())["version"] == 1


def test_an_edit_by_somebody_else_is_seen(paths, records):
    records.remember_certificate(ACME, 1)
    path = paths.record(ACME)
    content = json.loads(path.read_text())
    content["memory"]["certificate"] = 7
    path.write_text(json.dumps(content))

    assert records.recall(ACME).certificate == 7


def test_an_unchanged_record_is_neither_parsed_nor_written_again(paths, records, monkeypatch):
    records.remember_data(ACME)
    before = paths.record(ACME).stat()
    monkeypatch.setattr("cachepilot.adapters.records.parse_record", None)
    monkeypatch.setattr("cachepilot.adapters.records.write_durably", None)

    assert records.recall(ACME).data_ready
    records.remember_data(ACME)

    assert paths.record(ACME).stat() == before


def broken_records():
    good = {"version": 1, "tenant": "acme", "memory": {}, "credentials": []}
    password = {"user": "default", "revision": 1, "from_file": False, "password": "canary"}
    return {
        "empty": b"",
        "torn": b'{"version": 1, "tenant": "ac',
        "binary": b"\x00\xff" * 100,
        "nested": b"[" * 100_000,
        "no version": b"{}",
        "newer version": json.dumps({**good, "version": 2, "new": True}).encode(),
        "newer field": json.dumps({**good, "memory": {"rotation": "canary"}}).encode(),
        "another tenant's": json.dumps({**good, "tenant": "beta"}).encode(),
        "wrong type": json.dumps(
            {**good, "credentials": [{**password, "revision": "canary"}]}
        ).encode(),
        "blank password": json.dumps(
            {**good, "credentials": [{**password, "password": ""}]}
        ).encode(),
    }


@pytest.mark.parametrize("flaw", broken_records())
def test_a_record_that_cannot_be_read_stalls_and_is_never_replaced(paths, records, writer, flaw):
    path = paths.record(ACME)
    path.parent.mkdir(parents=True)
    path.write_bytes(broken_records()[flaw])

    for attempt in (
        lambda: records.recall(ACME),
        lambda: records.remember_data(ACME),
        lambda: writer.generate_credential(
            ACME, user="default", pending=False, wish=None, now=NOON
        ),
    ):
        with pytest.raises(StalledError) as told:
            attempt()
        assert told.value.reason == "RecordUnreadable"
        assert str(path) in str(told.value)
        assert "canary" not in "".join(traceback.format_exception(told.value))

    assert path.read_bytes() == broken_records()[flaw]
    assert records.recall(BETA) == Memory()


def test_a_record_that_vanished_beside_data_is_not_taken_for_a_new_tenant(paths, records):
    records.remember_data(ACME)
    paths.data(ACME, 1).mkdir(parents=True)
    paths.record(ACME).unlink()

    with pytest.raises(StalledError, match="it is gone although"):
        records.recall(ACME)


def test_a_folder_in_the_records_place_stalls(paths, records):
    paths.record(ACME).mkdir(parents=True)

    with pytest.raises(StalledError, match="is a directory"):
        records.recall(ACME)


def test_a_write_that_fails_leaves_the_old_memory_in_force(paths, records, monkeypatch):
    records.remember_certificate(ACME, 1)

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", fail)
        with pytest.raises(UnavailableError, match="no space left"):
            records.remember_certificate(ACME, 2)

    assert records.recall(ACME).certificate == another(paths).recall(ACME).certificate == 1


def test_hashes_and_revisions_translate_into_each_other(records, writer):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    first = records.secret(ACME, "default")
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    writer.generate_credential(ACME, user="cachepilot", pending=False, wish=None, now=NOON)

    assert records.hashes(ACME, "default", (1, 2)) == (
        first.sha256(),
        records.secret(ACME, "default").sha256(),
    )
    assert records.revision_of(ACME, "default", first.sha256()) == "1"
    assert records.revision_of(ACME, "default", first.sha256().upper()) == "1"
    assert records.revision_of(ACME, "cachepilot", first.sha256()) == "unknown"
    assert records.revision_of(BETA, "default", first.sha256()) == "unknown"
    with pytest.raises(WaitingError, match="cannot use password 9 of default"):
        records.hashes(ACME, "default", (2, 9))
    with pytest.raises(UnavailableError, match="no password of default"):
        records.secret(BETA, "default")


def test_eight_threads_that_change_one_record_lose_nothing(paths, writer):
    """Every draw reads, adds and writes; a lost update would leave a smaller revision."""

    def draw():
        for _ in range(5):
            writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert another(paths).recall(ACME).credential("default").revision == 40


def test_no_password_or_hash_shows_in_what_is_recalled(paths, records, writer):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    secret = records.secret(ACME, "default")
    shown = repr(records.recall(ACME)) + repr(records.__dict__) + repr(records.secrets(ACME, "x"))

    assert secret.reveal() not in shown
    assert secret.sha256() not in shown
    assert secret.reveal() in paths.record(ACME).read_text(), "the canary is not where it belongs"
