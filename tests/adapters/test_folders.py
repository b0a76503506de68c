"""The two ports of a tenant's folders: what one makes and mends, the other sees."""

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from cachepilot.adapters.data_folder import DEEPEST
from cachepilot.adapters.folder_reader import FolderReader
from cachepilot.adapters.folder_writer import FolderWriter
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import Reservation
from cachepilot.plan.actions import AclUser
from cachepilot.plan.users import render_users
from cachepilot.spec.document import TenantName
from tests.fakes.world import NOON

ACME = TenantName("acme")
UID = 234_567
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def uid():
    return UID if os.geteuid() == 0 else os.geteuid()


@pytest.fixture
def files(paths, records):
    return FolderWriter(paths, records, owners=os.geteuid() == 0)


@pytest.fixture
def reader(paths, records):
    return FolderReader(paths, records, PasswordFiles(["/"]), owners=os.geteuid() == 0)


@pytest.fixture
def prepared(writer, files, uid):
    """A tenant with a reservation and all folders."""
    writer.reserve(ACME, Reservation(tls_port=7300, plain_port=None, uid=uid, bridge=0))
    files.prepare(ACME, instance=1, uid=uid)
    return files


@pytest.fixture
def look(reader, records):
    return lambda **more: reader.look(
        ACME, records.recall(ACME), **({"password_files": ()} | more)
    )


def facts(path):
    seen = path.lstat()
    return oct(stat.S_IMODE(seen.st_mode)), seen.st_uid, seen.st_gid


def test_a_tenant_without_folders_is_not_ready(look):
    seen = look()

    assert not seen.folders_ready
    assert not seen.data_marker
    assert seen.configuration is None
    assert seen.users is None


@AS_ROOT
def test_every_folder_has_the_owner_and_mode_of_the_contract(paths, prepared):
    tenant = paths.tenant(ACME)
    prepared.write_configuration(ACME, instance=1, uid=UID, text="port 0\n")

    assert {str(p.relative_to(tenant)): facts(p) for p in sorted(tenant.rglob("*"))} == {
        "record.json": ("0o600", 0, 0),
        "conf": ("0o711", 0, 0),
        "conf/1": ("0o750", 0, UID),
        "conf/1/redis.conf": ("0o640", 0, UID),
        "run": ("0o711", 0, 0),
        "run/1": ("0o700", UID, UID),
        "data": ("0o711", 0, 0),
        "data/1": ("0o700", UID, UID),
        "data/1/.cachepilot": ("0o444", 0, 0),
        "tls": ("0o750", 0, UID),
    }
    assert facts(tenant) == ("0o711", 0, 0)
    assert paths.data(ACME, 1).joinpath(".cachepilot").read_text() == "acme\n"


@pytest.mark.usefixtures("prepared")
def test_what_was_prepared_is_ready_and_remembered(records, look):
    assert look().folders_ready
    assert look().data_marker
    assert records.recall(ACME).data_ready


@pytest.mark.parametrize("name", ["conf/1", "run/1", "tls", "data/1", "conf", "data", "."])
def test_a_folder_with_another_mode_is_seen_and_mended(paths, prepared, look, uid, name):
    (paths.tenant(ACME) / name).chmod(0o777)
    assert not look().folders_ready

    prepared.prepare(ACME, instance=1, uid=uid)
    assert look().folders_ready


@AS_ROOT
@pytest.mark.parametrize("name", ["conf/1", "run/1", "tls", "data/1", "conf/1/redis.conf"])
def test_a_wrong_owner_is_seen_and_mended(paths, prepared, look, name):
    prepared.write_configuration(ACME, instance=1, uid=UID, text="port 0\n")
    os.chown(paths.tenant(ACME) / name, 99, 99)
    assert not look().folders_ready

    prepared.prepare(ACME, instance=1, uid=UID)
    assert look().folders_ready


@pytest.mark.parametrize("name", ["conf", "run", "tls"])
def test_a_folder_that_is_gone_is_seen_and_made_again(paths, prepared, look, uid, name):
    shutil.rmtree(paths.tenant(ACME) / name)
    assert not look().folders_ready

    prepared.prepare(ACME, instance=1, uid=uid)
    assert look().folders_ready


def lose_folder(data):
    shutil.rmtree(data)


def lose_parent(data):
    shutil.rmtree(data.parent)


def lose_marker(data):
    (data / ".cachepilot").unlink()


def find_empty_folder(data):
    shutil.rmtree(data)
    data.mkdir(mode=0o700)


def find_another_tenants_folder(data):
    marker = data / ".cachepilot"
    marker.unlink()
    marker.write_text("beta\n")


def find_a_link(data):
    data.rename(data.with_name("elsewhere"))
    data.symlink_to("elsewhere")


def find_a_marker_that_is_a_pipe(data):
    (data / ".cachepilot").unlink()
    os.mkfifo(data / ".cachepilot")


LOSSES = [
    lose_folder,
    lose_parent,
    lose_marker,
    find_empty_folder,
    find_another_tenants_folder,
    find_a_link,
    find_a_marker_that_is_a_pipe,
]


@pytest.mark.parametrize("loss", LOSSES)
def test_data_that_was_lost_is_reported_and_never_replaced(
    paths, prepared, reader, look, uid, loss
):
    data = paths.data(ACME, 1)
    loss(data)
    before = sorted(data.parent.rglob("*")) if data.parent.exists() else []

    assert not look().data_marker
    for attempt in (
        lambda: prepared.prepare(ACME, instance=1, uid=uid),
        lambda: reader.check_data(ACME, 1),
    ):
        with pytest.raises(StalledError) as told:
            attempt()
        assert told.value.reason == "DataMissing"
        assert str(data) in str(told.value)
    after = sorted(data.parent.rglob("*"))
    assert after == before


def test_the_way_out_that_the_message_names_works(paths, prepared, reader, look, uid):
    """A person who accepts the loss runs the command; the next visit does the rest."""
    shutil.rmtree(paths.data(ACME, 1))
    with pytest.raises(StalledError) as told:
        reader.check_data(ACME, 1)
    subprocess.run(["sh", "-c", str(told.value).partition("lost: ")[2]], check=True)

    prepared.prepare(ACME, instance=1, uid=uid)

    reader.check_data(ACME, 1)
    assert look().folders_ready
    assert look().data_marker


def test_a_death_between_folder_marker_and_record_is_finished_by_the_next_visit(
    writer, files, records, reader, uid, monkeypatch
):
    writer.reserve(ACME, Reservation(tls_port=7300, plain_port=None, uid=uid, bridge=0))

    def die(*_args, **_kwargs):
        raise KeyboardInterrupt

    for moment in (
        "cachepilot.adapters.folder_writer.write_marker",
        "cachepilot.adapters.records.Records.remember_data",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(moment, die)
            with pytest.raises(KeyboardInterrupt):
                files.prepare(ACME, instance=1, uid=uid)
        assert not records.recall(ACME).data_ready

    files.prepare(ACME, instance=1, uid=uid)
    assert records.recall(ACME).data_ready
    reader.check_data(ACME, 1)


@AS_ROOT
def test_restored_data_that_belongs_to_root_is_given_to_the_server(paths, prepared, reader, look):
    data = paths.data(ACME, 1)
    (data / "appendonlydir").mkdir()
    (data / "appendonlydir" / "base.rdb").write_text("x")
    (data / "dump.rdb").write_text("x")
    assert not look().folders_ready
    with pytest.raises(WaitingError, match="does not belong to user"):
        reader.check_data(ACME, 1)

    prepared.prepare(ACME, instance=1, uid=UID)

    assert look().folders_ready
    reader.check_data(ACME, 1)
    for entry in ("dump.rdb", "appendonlydir", "appendonlydir/base.rdb"):
        assert facts(data / entry)[1:] == (UID, UID)
    assert facts(data / ".cachepilot") == ("0o444", 0, 0)


@AS_ROOT
def test_a_server_that_plants_links_gains_no_file_outside(tmp_path, paths, prepared):
    """Everything that root writes, gives away or deletes in data/ and run/ stays inside."""
    victim = tmp_path / "victim"
    victim.mkdir()
    precious = victim / "precious"
    precious.write_text("precious")
    (victim / "dump.rdb").write_text("precious")
    before = {p: facts(p) for p in (victim, precious, victim / "dump.rdb")}
    data, run = paths.data(ACME, 1), paths.run(ACME, 1)
    (data / "dump.rdb").symlink_to(precious)
    (data / "temp-1.rdb").symlink_to(victim)
    (data / "appendonlydir").symlink_to(victim)
    os.link(precious, data / "hard")
    (run / "redis.sock").symlink_to(precious)
    for entry in (data / "dump.rdb", run / "redis.sock"):
        os.chown(entry, 99, 99, follow_symlinks=False)

    prepared.prepare(ACME, instance=1, uid=UID)
    prepared.discard_append_only(ACME, instance=1)
    prepared.discard_dump(ACME, instance=1)

    assert {p: facts(p) for p in before} == before
    assert precious.read_text() == (victim / "dump.rdb").read_text() == "precious"
    assert sorted(p.name for p in data.iterdir()) == [".cachepilot", "hard"]


@pytest.fixture
def nest():
    """Make folders so deep that no path could name the last of them, nor Python remove them."""
    made = []
    yield lambda path, depth: made.append(path) or _nest(path, depth)
    subprocess.run(["rm", "-rf", *{path.parent for path in made}], check=True)


def _nest(path, depth):
    path.mkdir()
    at = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("x", dir_fd=at)
        below = os.open("x", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("file", os.O_CREAT, dir_fd=at))
    os.close(at)


def test_a_tree_of_any_depth_is_discarded(paths, prepared, nest):
    data = paths.data(ACME, 1)
    nest(data / "appendonlydir", 3000)

    prepared.discard_append_only(ACME, instance=1)

    assert [entry.name for entry in data.iterdir()] == [".cachepilot"]


def test_what_a_crash_left_of_a_tree_is_discarded_too(paths, prepared, nest, monkeypatch):
    data = paths.data(ACME, 1)
    nest(data / "appendonlydir", 5)
    real, left = os.rename, iter([1, 1])

    def mortal(*arguments, **more):
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(*arguments, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", mortal)
        prepared.discard_append_only(ACME, instance=1)
    assert (data / "appendonlydir").exists()  # so that the next visit goes on
    assert len(list(data.iterdir())) > 2

    prepared.discard_append_only(ACME, instance=1)

    assert [entry.name for entry in data.iterdir()] == [".cachepilot"]


@AS_ROOT
def test_a_tree_deeper_than_any_server_makes_stops_only_its_own_tenant(paths, prepared, nest):
    data = paths.data(ACME, 1)
    nest(data / "deep", 3000)
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(StalledError, match="more than 16 deep") as told:
        prepared.prepare(ACME, instance=1, uid=UID)

    assert told.value.reason == "DataTooDeep"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@AS_ROOT
def test_as_many_levels_as_are_allowed_are_given_to_the_server(paths, prepared, reader):
    deepest = paths.data(ACME, 1).joinpath(*("x" * DEEPEST))
    deepest.mkdir(parents=True)

    prepared.prepare(ACME, instance=1, uid=UID)

    assert facts(deepest)[1:] == (UID, UID)


def test_a_link_in_the_place_of_run_or_data_is_refused(tmp_path, paths, prepared, look, uid):
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    shutil.rmtree(paths.run(ACME, 1))
    paths.run(ACME, 1).symlink_to(victim)

    assert not look().folders_ready
    with pytest.raises(UnavailableError, match="cannot make folder"):
        prepared.prepare(ACME, instance=1, uid=uid)

    assert facts(victim)[0] == "0o755"


def test_configuration_is_seen_by_its_fingerprint(paths, prepared, look, uid):
    text = "port 0\n# ä\n"
    prepared.write_configuration(ACME, instance=1, uid=uid, text=text)
    assert look().configuration == hashlib.sha256(text.encode()).hexdigest()

    (paths.conf(ACME, 1) / "redis.conf").write_text("port 1\n")
    assert look().configuration != hashlib.sha256(text.encode()).hexdigest()


def test_a_configuration_that_became_a_link_is_missing_and_gets_replaced(
    tmp_path, paths, prepared, look, uid
):
    (tmp_path / "victim").write_text("precious")
    path = paths.conf(ACME, 1) / "redis.conf"
    path.symlink_to(tmp_path / "victim")
    assert look().configuration is None

    prepared.prepare(ACME, instance=1, uid=uid)
    prepared.write_configuration(ACME, instance=1, uid=uid, text="port 0\n")

    assert path.read_text() == "port 0\n"
    assert not path.is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"
    assert look().folders_ready


def test_users_are_written_with_hashes_and_seen_with_revisions(
    paths, prepared, look, writer, records, uid
):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    users = (
        AclUser(name="default", passwords=(1,), keys="~*", channels="&*", commands=("+@all",)),
    )

    prepared.write_users(ACME, instance=1, uid=uid, users=users)

    secret = records.secret(ACME, "default")
    on_disk = (paths.conf(ACME, 1) / "users.acl").read_text()
    assert hashlib.sha256(secret.reveal().encode()).hexdigest() in on_disk
    assert secret.reveal() not in on_disk
    assert look().users == render_users(users)
    assert secret.sha256() not in repr(look())


def test_a_plan_that_names_a_forgotten_password_writes_nothing(paths, prepared, uid):
    users = (AclUser(name="default", passwords=(7,), commands=("+@all",)),)

    with pytest.raises(WaitingError):
        prepared.write_users(ACME, instance=1, uid=uid, users=users)

    assert not (paths.conf(ACME, 1) / "users.acl").exists()


def test_dumps_are_discarded_and_nothing_else(paths, prepared, look):
    data = paths.data(ACME, 1)
    for name in ("dump.rdb", "temp-17.rdb", "temp-bg-4.rdb", "notes.rdb", "appendonly.aof"):
        (data / name).touch()
    assert look().has_dump

    prepared.discard_dump(ACME, instance=1)
    prepared.discard_dump(ACME, instance=1)

    assert not look().has_dump
    assert sorted(p.name for p in data.iterdir()) == [".cachepilot", "appendonly.aof", "notes.rdb"]


def test_the_append_only_folder_is_discarded_with_its_content(paths, prepared, look):
    folder = paths.data(ACME, 1) / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.1.incr.aof").touch()
    assert look().has_append_only

    prepared.discard_append_only(ACME, instance=1)
    prepared.discard_append_only(ACME, instance=1)

    assert not look().has_append_only
    assert look().data_marker


def test_discarding_in_a_folder_that_is_gone_is_fine(paths, prepared):
    shutil.rmtree(paths.data(ACME, 1))

    prepared.discard_dump(ACME, instance=1)
    prepared.discard_append_only(ACME, instance=1)

    assert not paths.data(ACME, 1).exists()


def test_the_authors_password_is_seen_as_a_revision(tmp_path, look, writer):
    path = tmp_path / "password"
    path.write_text("correct-horse-battery\n")
    path.chmod(0o600)
    asked = {"password_files": (("default", str(path)),)}

    def held():
        (seen,) = look(**asked).passwords
        return seen

    assert held().revision == 0
    writer.adopt_password(ACME, user="default", path=str(path), pending=True, now=NOON)
    assert held().revision == 1
    path.write_text("another-horse-battery\n")
    assert held().revision == 0
    path.chmod(0o644)
    assert held().revision is None
    assert "chmod 600" in held().problem
    assert look().passwords == ()


@AS_ROOT
def test_a_full_disk_reaches_the_message_and_leaves_the_old_file(paths, prepared):
    prepared.write_configuration(ACME, instance=1, uid=UID, text="port 0\n")
    conf = paths.conf(ACME, 1)
    mount = ["mount", "-t", "tmpfs", "-o", f"size=16k,mode=0750,gid={UID}", "tmpfs", conf]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        prepared.write_configuration(ACME, instance=1, uid=UID, text="small\n")
        with pytest.raises(UnavailableError, match=f"{conf}/redis.conf: no space left on device"):
            prepared.write_configuration(ACME, instance=1, uid=UID, text="x" * 99_999)
        assert (conf / "redis.conf").read_text() == "small\n"
        subprocess.run(["mount", "-o", "remount,ro", conf], check=True)
        with pytest.raises(UnavailableError, match="read-only file system"):
            prepared.write_configuration(ACME, instance=1, uid=UID, text="small\n")
    finally:
        subprocess.run(["umount", conf], check=True)
