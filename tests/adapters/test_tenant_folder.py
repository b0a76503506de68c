"""Listing a folder that may change under our feet."""

from __future__ import annotations

import os

import pytest

from cachepilot.adapters.stamp import stamp_of
from cachepilot.adapters.tenant_folder import is_same_folder, list_files, opened


def names(folder) -> list[str]:
    with opened(folder) as number:
        return [name for name, _ in list_files(number)]


def test_names_are_sorted_and_links_are_listed(tmp_path):
    for name in ("b.yaml", "a.yml", "c.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "dangling.yaml").symlink_to("no")
    (tmp_path / "folder.yaml").mkdir()

    assert names(tmp_path) == ["a.yml", "b.yaml", "c.yaml", "dangling.yaml"]


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("one")
    first = stamp_of(path.stat())

    path.write_text("three")
    second = stamp_of(path.stat())
    path.unlink()
    path.write_text("three")
    os.utime(path, ns=(second.modified, second.modified))

    assert first != second
    assert stamp_of(path.stat()) != second
    assert second.newest >= first.newest


def test_an_open_folder_stays_the_one_it_was(tmp_path):
    folder = tmp_path / "tenants.d"
    folder.mkdir()
    (folder / "a.yaml").touch()

    with opened(folder) as number:
        assert is_same_folder(folder, number)
        folder.rename(tmp_path / "old")
        folder.mkdir()

        assert [name for name, _ in list_files(number)] == ["a.yaml"]
        assert not is_same_folder(folder, number)
        folder.rmdir()
        assert not is_same_folder(folder, number)


def test_what_is_no_folder_cannot_be_opened(tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")

    for name in ("missing", "file", "pipe"):
        with pytest.raises(OSError, match=name), opened(tmp_path / name):
            pass


def test_no_folder_stays_open(tmp_path):
    before = len(list(os.scandir("/proc/self/fd")))

    for _ in range(10):
        names(tmp_path)

    assert len(list(os.scandir("/proc/self/fd"))) == before
