import errno
import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cachepilot.adapters import atomic
from cachepilot.adapters.atomic import PREFIX
from cachepilot.errors import UnavailableError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change owners and mount")

# Runs one write in a process that dies right before its n-th effect on the file system.
DYING_WRITER = """
import os, sys
from pathlib import Path
from cachepilot.adapters import atomic

left = int(sys.argv[2])

def mortal(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(7)
        return real(*args, **kwargs)
    return call

for name in ("open", "fchmod", "write", "fsync", "rename", "unlink"):
    setattr(os, name, mortal(getattr(os, name)))
atomic.write_durably(Path(sys.argv[1]), b"new" * 1000, mode=0o640, owner=None)
os._exit(0)
"""


@contextmanager
def tiny_disk(folder):
    """A file system that is full after 64 KiB."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("cannot mount here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_write_replaces_content_and_mode(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    atomic.write_durably(path, b"new", mode=0o600, owner=None)

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["file"]


@AS_ROOT
def test_a_write_gives_the_file_its_owner(tmp_path):
    atomic.write_durably(tmp_path / "file", b"x", mode=0o640, owner=(4321, 1234))

    seen = (tmp_path / "file").stat()
    assert (seen.st_uid, seen.st_gid) == (4321, 1234)


def test_a_death_at_any_point_leaves_the_old_file_or_the_new_one_and_sweep_cleans_up(tmp_path):
    """Kill before each effect in turn until one run gets through."""
    path = tmp_path / "file"
    outcomes = []
    for effects in range(40):
        path.write_bytes(b"old")
        ended = subprocess.run(
            [sys.executable, "-c", DYING_WRITER, path, str(effects)], check=False
        )
        assert path.read_bytes() in {b"old", b"new" * 1000}
        assert all(name == "file" or name.startswith(PREFIX) for name in names(tmp_path))
        atomic.sweep(tmp_path)
        assert names(tmp_path) == ["file"]
        outcomes.append((ended.returncode, path.read_bytes()[:3]))
        if ended.returncode == 0:
            break

    assert outcomes[0] == (7, b"old")
    assert (7, b"new") in outcomes, "no death between the rename and the folder's fsync"
    assert outcomes[-1] == (0, b"new")


@pytest.mark.parametrize("broken", ["write", "fsync", "fchmod", "rename"])
def test_a_failing_call_leaves_the_old_file_nothing_else_and_a_sentence(
    tmp_path, monkeypatch, broken
):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(UnavailableError) as told:
        atomic.write_durably(path, b"new", mode=0o600, owner=None)

    assert str(told.value) == f"cannot write {path}: no space left on device"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@AS_ROOT
def test_a_full_disk_leaves_the_old_file_and_room_to_recover(tmp_path):
    with tiny_disk(tmp_path / "disk") as disk:
        path = disk / "file"
        atomic.write_durably(path, b"old", mode=0o600, owner=None)

        with pytest.raises(UnavailableError, match="no space left on device"):
            atomic.write_durably(path, b"n" * 200_000, mode=0o600, owner=None)

        assert path.read_bytes() == b"old"
        assert names(disk) == ["file"]
        atomic.write_durably(path, b"new", mode=0o600, owner=None)
        assert path.read_bytes() == b"new"


@AS_ROOT
def test_a_read_only_file_system_is_told_with_the_path(tmp_path):
    with tiny_disk(tmp_path / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

        with pytest.raises(UnavailableError, match=f"cannot write {disk}/file: read-only"):
            atomic.write_durably(disk / "file", b"x", mode=0o600, owner=None)


def test_a_link_in_the_files_place_is_replaced_and_its_target_left_alone(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "file").symlink_to(victim)

    atomic.write_volatile(tmp_path / "file", b"new", mode=0o600, owner=None)

    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_make_folder_gives_a_folder_its_mode_back_and_makes_parents(tmp_path):
    folder = tmp_path / "a" / "b"
    atomic.make_folder(folder, mode=0o711, owner=None)
    folder.chmod(0o777)
    (folder / "kept").touch()

    atomic.make_folder(folder, mode=0o711, owner=None)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
    assert names(folder) == ["kept"]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_make_folder_refuses_what_is_not_a_folder(tmp_path, kind):
    place = tmp_path / "place"
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    if kind == "link":
        place.symlink_to(victim)
    else:
        place.touch()

    with pytest.raises(UnavailableError, match=f"cannot make folder {place}"):
        atomic.make_folder(place, mode=0o777, owner=None)

    assert stat.S_IMODE(victim.stat().st_mode) == 0o700


def test_remove_tree_removes_links_but_not_what_they_point_at(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "out").symlink_to(victim)
    link = tmp_path / "link"
    link.symlink_to(victim)

    atomic.remove_tree(tree)
    atomic.remove_tree(link)
    atomic.remove_tree(tmp_path / "never-there")

    assert names(tmp_path) == ["victim"]
    assert names(victim) == ["precious"]


def test_a_staged_folder_takes_the_place_of_the_old_one_as_a_whole(tmp_path):
    final = tmp_path / "1"
    final.mkdir()
    (final / "old").touch()

    with atomic.staged_folder(final, mode=0o750, owner=None) as staged:
        (staged / "new").touch()
        assert names(final) == ["old"]

    assert names(tmp_path) == ["1"]
    assert names(final) == ["new"]
    assert stat.S_IMODE(final.stat().st_mode) == 0o750


def test_a_staged_folder_that_was_not_filled_changes_nothing(tmp_path):
    final = tmp_path / "1"
    final.mkdir()

    def fill_half():
        with atomic.staged_folder(final, mode=0o750, owner=None) as staged:
            (staged / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_half()

    assert names(tmp_path) == ["1"]
    assert names(final) == []


def test_sweep_leaves_other_peoples_files_alone(tmp_path):
    (tmp_path / "record.json").touch()
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / f"{PREFIX}folder").mkdir()

    atomic.sweep(tmp_path)
    atomic.sweep(Path(tmp_path / "never-there"))

    assert names(tmp_path) == ["record.json"]


def test_whoever_goes_on_filling_a_tree_does_not_keep_us_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_MOST_FOLDERS", 5)
    tree = tmp_path / "tree"
    tree.joinpath(*"abcdefgh").mkdir(parents=True)

    with pytest.raises(UnavailableError, match="somebody goes on filling it"):
        atomic.remove_tree(tree)
    atomic.sweep(tmp_path)
    atomic.remove_tree(tree)

    assert names(tmp_path) == []


def test_what_vanishes_while_a_tree_is_removed_is_no_failure(tmp_path, monkeypatch):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "there").touch()
    monkeypatch.setattr(os, "listdir", lambda _folder: ["gone", "there"])

    atomic.remove_tree(tree)

    assert not tree.exists()
