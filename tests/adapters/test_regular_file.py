"""Small files are read; nothing else is ever waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cachepilot.adapters.regular_file import UnusableFileError, read_regular_file


def test_a_file_is_read_whole_with_its_status(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)

    data, status = read_regular_file(path, most=100)

    assert data == b"x" * 100
    assert status.st_ino == path.stat().st_ino


def test_a_name_is_looked_up_in_the_open_folder(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a").write_bytes(b"one")
    number = os.open(folder, os.O_RDONLY)
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    (folder / "a").write_bytes(b"two")

    data, _ = read_regular_file(Path("a"), most=10, folder=number)

    os.close(number)
    assert data == b"one"


def test_what_is_not_there_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_regular_file(tmp_path / "no", most=10)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "it is a named pipe, not a file"),
        (os.mkdir, "it is a folder, not a file"),
        (make_socket, "it is a socket, not a file"),
        (lambda path: path.symlink_to("/dev/null"), "it is a device, not a file"),
        (lambda path: path.symlink_to(path.name), "too many levels of symbolic links"),
        (lambda path: path.symlink_to("no"), r"the link leads to nothing \(no\)"),
        (lambda path: path.symlink_to("/proc/self/mem"), "input/output error"),
        (lambda path: path.write_bytes(b"x" * 1025), r"is larger than 1 KiB \(1025 bytes or more"),
        # Its size is said to be zero.
        (lambda path: path.symlink_to("/proc/kallsyms"), "is larger than 1 KiB"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(tmp_path, make, why):
    make(tmp_path / "a")

    with pytest.raises(UnusableFileError, match=why):
        read_regular_file(tmp_path / "a", most=1024)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    """Somebody swaps it in between the look and the opening."""
    regular = tmp_path / "regular"
    regular.touch()
    os.mkfifo(tmp_path / "pipe")
    looked_like = regular.stat()
    monkeypatch.setattr(os, "stat", lambda *_, **__: looked_like)

    with pytest.raises(UnusableFileError, match="named pipe"):
        read_regular_file(tmp_path / "pipe", most=10)
