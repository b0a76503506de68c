"""Folders of a new instance: made beside those in use, filled without copying, and removed."""

import os
from dataclasses import replace

import pytest

from cachepilot.adapters.data_folder import data_format_in
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.records import Records
from cachepilot.adapters.replacement_record import ReplacementRecord
from cachepilot.adapters.staging import StagedFolders
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.replacement import HeldBack, Kept, Replacement
from cachepilot.spec.document import AccessMode
from tests.fakes.world import NOON

BEGUN = Replacement(
    cause="image changed",
    target="t",
    wish="2026-03-01T12:00:00Z",
    former=1,
    instance=2,
    kept=Kept(
        image="redis:7.0",
        image_id="sha256:a",
        access=AccessMode.TLS_ONLY,
        bind=("127.0.0.1",),
        tls_port=1,
        plain_port=None,
        memory=1,
    ),
    begun=NOON,
)


@pytest.fixture
def records(tmp_path):
    return ReplacementRecord(Records(RootPaths(tmp_path), owners=False))


@pytest.fixture
def folders(tmp_path, records):
    records.begin_replacement("acme", BEGUN)
    return StagedFolders(RootPaths(tmp_path), records, owners=False)


@pytest.fixture
def old(tmp_path):
    """The data of instance 1."""
    folder = RootPaths(tmp_path).data("acme", 1)
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "dump.rdb").write_bytes(b"REDIS0011dump")
    (folder / "temp-9.rdb").write_bytes(b"half")
    (folder / "appendonlydir/appendonly.aof.1.base.rdb").write_bytes(b"REDIS0012base")
    (folder / "appendonlydir/appendonly.aof.1.incr.aof").write_bytes(b"tail")
    (folder / "appendonlydir/appendonly.aof.manifest").write_bytes(b"list")
    return folder


@pytest.fixture
def new(tmp_path):
    return RootPaths(tmp_path).data("acme", 2)


def carry(folders, *, dump=False, append_only=False):
    folders.carry_data("acme", source=1, instance=2, uid=0, dump=dump, append_only=append_only)


def test_an_append_only_folder_is_carried_and_what_is_appended_to_is_not_shared(folders, old, new):
    folders.stage("acme", instance=2, uid=0)
    carry(folders, append_only=True)
    with (new / "appendonlydir/appendonly.aof.1.incr.aof").open("ab") as tail:
        tail.write(b"more")

    assert sorted(path.name for path in new.iterdir()) == [".cachepilot", "appendonlydir"]
    assert (old / "appendonlydir/appendonly.aof.1.incr.aof").read_bytes() == b"tail"
    assert (new / "appendonlydir/appendonly.aof.manifest").read_bytes() == b"list"
    base = "appendonlydir/appendonly.aof.1.base.rdb"
    assert (new / base).stat().st_ino == (old / base).stat().st_ino


def test_carrying_twice_is_carrying_once(folders, old, new):
    folders.stage("acme", instance=2, uid=0)
    carry(folders, dump=True)
    (new / "dump.rdb").unlink()
    (new / "dump.rdb").write_bytes(b"what a server on trial saved")
    carry(folders, dump=True)

    assert (new / "dump.rdb").read_bytes() == b"REDIS0011dump"
    assert (old / "dump.rdb").read_bytes() == b"REDIS0011dump"
    assert not (new / "temp-9.rdb").exists()


def test_what_is_not_asked_for_is_not_carried(folders, old, new):
    folders.stage("acme", instance=2, uid=0)
    carry(folders)

    assert [path.name for path in new.iterdir()] == [".cachepilot"]


def test_data_of_unknown_origin_is_never_emptied(folders, new):
    new.mkdir(parents=True)
    (new / "dump.rdb").write_bytes(b"somebody's")

    with pytest.raises(StalledError) as caught:
        folders.stage("acme", instance=2, uid=0)

    assert caught.value.reason == "DataFolderTaken"
    assert (new / "dump.rdb").read_bytes() == b"somebody's"


def test_staged_folders_are_emptied_when_it_begins_again(folders, old, new):
    folders.stage("acme", instance=2, uid=0)
    carry(folders, dump=True)
    folders.stage("acme", instance=2, uid=0)

    assert [path.name for path in new.iterdir()] == [".cachepilot"]
    assert (new / ".cachepilot").read_text() == "acme\n"


def test_what_may_be_needed_is_not_discarded(folders, records, old, new):
    folders.stage("acme", instance=2, uid=0)
    for number in (1, 2):
        with pytest.raises(WaitingError):
            folders.discard_instance("acme", instance=number)
    records.switch_instance("acme", instance=2)
    with pytest.raises(WaitingError):
        folders.discard_instance("acme", instance=1)
    records.accept_replacement("acme")
    folders.discard_instance("acme", instance=1)

    assert not old.exists()
    assert new.exists()


def test_a_link_in_place_of_a_file_is_not_followed(folders, old, new, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("root's")
    incr = old / "appendonlydir/appendonly.aof.2.incr.aof"
    incr.symlink_to(secret)
    folders.stage("acme", instance=2, uid=0)

    with pytest.raises(Exception, match="cannot carry data"):
        carry(folders, append_only=True)
    assert "root's" not in [path.read_text() for path in new.rglob("*") if path.is_file()]


def test_the_newest_format_counts(old):
    folder = os.open(old, os.O_RDONLY)
    try:
        assert data_format_in(folder) == 12
    finally:
        os.close(folder)


def test_going_back_remembers_what_failed_and_that_its_wish_was_tried(folders, records, tmp_path):
    records.switch_instance("acme", instance=2)
    records.condemn_replacement("acme", reason="UpgradeFailed", message="no", image_id="sha256:b")
    records.return_to_former("acme")

    memory = Records(RootPaths(tmp_path), owners=False).recall("acme")
    assert (memory.instance, memory.replacement, memory.outgoing) == (1, None, (2,))
    assert memory.restarted_at == BEGUN.wish
    assert memory.held_back is not None
    assert replace(memory.held_back, kept=BEGUN.kept) == memory.held_back
    assert (memory.held_back.image_id, memory.held_back.reason) == ("sha256:b", "UpgradeFailed")


@pytest.fixture
def end_attempt(folders, records, tmp_path):
    """Return what begins and ends BEGUN where something failed before, and tells what is held."""

    def end(failed, *, good):
        memory = Records(RootPaths(tmp_path), owners=False)
        memory.amend("acme", lambda before: replace(before, held_back=failed))
        records.switch_instance("acme", instance=2)
        if good:
            records.accept_replacement("acme")
        else:
            records.condemn_replacement("acme", reason="Other", message="too", image_id="sha256:c")
            records.return_to_former("acme")
        found = Records(RootPaths(tmp_path), owners=False).recall("acme")
        assert found.replacement is None
        return found.held_back

    return end


@pytest.mark.parametrize("good", [True, False])
def test_a_restart_of_what_serves_instead_leaves_what_failed_remembered(end_attempt, good):
    kept = replace(BEGUN.kept, image_id="sha256:before")
    failed = HeldBack(target="bad", image_id="sha256:b", kept=kept, reason="No", message="no")

    # Its image's name may stand for another content by now, which has rewritten the data.
    expected = replace(kept, image_id="") if good else BEGUN.kept
    assert end_attempt(failed, good=good) == replace(failed, kept=expected)


@pytest.mark.parametrize("good", [True, False])
def test_the_end_of_another_attempt_at_what_failed_is_what_is_remembered(end_attempt, good):
    failed = HeldBack(
        target=BEGUN.target, image_id="sha256:b", kept=BEGUN.kept, reason="No", message="no"
    )

    held = end_attempt(failed, good=good)
    assert (held.image_id if held else None) == (None if good else "sha256:c")
