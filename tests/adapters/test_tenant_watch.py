"""The watcher, with real folders and everything that happens to them."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cachepilot.adapters.tenant_watch import watch_folder

PATIENCE = 10.0


class Watcher:
    """A watcher in a thread of its own; it counts how often it was told something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stop = threading.Event()
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.expect_hint("begins")

    def _run(self) -> None:
        watch_folder(
            self.folder,
            self._told.set,
            self.stop,
            debounce=timedelta(milliseconds=20),
            tick=timedelta(milliseconds=100),
        )

    def expect_hint(self, what: str) -> None:
        assert self._told.wait(PATIENCE), f"no hint: {what}"
        self.settle()

    def settle(self) -> None:
        """Let everything that belongs to one change pass, until a while is quiet."""
        for _ in range(50):
            self._told.clear()
            if not self._told.wait(0.4):
                return
        pytest.fail("hints without end")

    def hints_at(self, change: Callable[[], object], what: str) -> None:
        change()
        self.expect_hint(what)

    def is_silent_at(self, change: Callable[[], object]) -> bool:
        self._told.clear()
        change()
        return not self._told.wait(0.6)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "does not stop"


@pytest.fixture
def watch() -> Iterator[Callable[[Path], Watcher]]:
    watchers: list[Watcher] = []

    def begin(folder: Path) -> Watcher:
        watchers.append(Watcher(folder))
        return watchers[-1]

    yield begin
    for watcher in watchers:
        watcher.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "tenants.d"
    path.mkdir(parents=True)
    return path


def still_works(watcher: Watcher) -> None:
    watcher.hints_at(lambda: (watcher.folder / "proof.yaml").write_text("x"), "a write afterwards")
    watcher.hints_at((watcher.folder / "proof.yaml").unlink, "a removal afterwards")


def test_what_editors_and_tools_do_is_noticed(watch, folder):
    watcher = watch(folder)
    path, swap = folder / "acme.yaml", folder / ".acme.yaml.swp"

    watcher.hints_at(lambda: path.write_text("one"), "a new file")
    swap.write_text("two")
    watcher.settle()
    watcher.hints_at(lambda: swap.rename(path), "an editor's rename")
    watcher.hints_at(lambda: path.write_text("three"), "an overwrite")
    watcher.hints_at(path.unlink, "a removal")


def test_a_file_written_in_pieces_is_noticed_after_its_last_piece(watch, folder):
    watcher = watch(folder)
    path = folder / "acme.yaml"

    def write_slowly() -> None:
        with path.open("w") as file:
            for _ in range(5):
                file.write("x" * 100)
                file.flush()
                watcher.stop.wait(0.05)

    write_slowly()
    watcher.expect_hint("a slow write")

    still_works(watcher)


def test_silence_where_nothing_happens_to_the_folder(watch, folder):
    watcher = watch(folder)

    assert watcher.is_silent_at(lambda: None)
    assert watcher.is_silent_at(lambda: (folder.parent / "cachepilot.yaml").write_text("x"))


def test_a_folder_that_is_recreated_is_watched_again(watch, folder):
    watcher = watch(folder)

    def recreate() -> None:
        shutil.rmtree(folder)
        folder.mkdir()

    watcher.hints_at(recreate, "recreated")

    still_works(watcher)


def test_a_folder_that_is_moved_away_is_not_watched_any_more(watch, folder):
    watcher = watch(folder)
    away = folder.with_name("away")

    def replace() -> None:
        folder.rename(away)
        folder.mkdir()

    watcher.hints_at(replace, "replaced")

    assert watcher.is_silent_at(lambda: (away / "acme.yaml").write_text("x"))
    still_works(watcher)


def test_a_folder_may_be_missing_for_a_while(watch, tmp_path):
    folder = tmp_path / "not" / "yet" / "tenants.d"
    watcher = watch(folder)

    watcher.hints_at(lambda: folder.mkdir(parents=True), "created with its parents")
    still_works(watcher)
    watcher.hints_at(lambda: shutil.rmtree(tmp_path / "not"), "removed with its parents")
    watcher.hints_at(lambda: folder.mkdir(parents=True), "created again")

    still_works(watcher)


def test_a_link_that_is_swapped_is_followed(watch, tmp_path):
    for number in (1, 2):
        (tmp_path / f"releases/{number}").mkdir(parents=True)
    folder = tmp_path / "tenants.d"
    folder.symlink_to("releases/1")
    watcher = watch(folder)
    watcher.hints_at(lambda: (folder / "acme.yaml").write_text("1"), "a write behind the link")

    def swap() -> None:
        (tmp_path / "next").symlink_to("releases/2")
        (tmp_path / "next").replace(folder)

    watcher.hints_at(swap, "swapped")

    assert watcher.is_silent_at(lambda: (tmp_path / "releases/1/acme.yaml").write_text("x"))
    still_works(watcher)


def test_a_link_in_the_middle_of_the_path_is_followed(watch, tmp_path):
    for number in (1, 2):
        (tmp_path / f"releases/{number}/tenants.d").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1")
    watcher = watch(tmp_path / "current" / "tenants.d")

    def swap() -> None:
        (tmp_path / "next").symlink_to("releases/2")
        (tmp_path / "next").replace(tmp_path / "current")

    watcher.hints_at(swap, "swapped further up")

    still_works(watcher)


def test_a_folder_behind_a_link_that_is_recreated_is_watched_again(watch, tmp_path):
    real = tmp_path / "releases" / "1"
    real.mkdir(parents=True)
    (tmp_path / "tenants.d").symlink_to("releases/1")
    watcher = watch(tmp_path / "tenants.d")

    def recreate() -> None:
        real.rmdir()
        real.mkdir()

    watcher.hints_at(recreate, "recreated behind the link")

    still_works(watcher)


@pytest.mark.parametrize("kind", ["a loop", "dangling", "a file"])
def test_what_is_no_folder_is_waited_for(watch, tmp_path, kind):
    folder = tmp_path / "tenants.d"
    if kind == "a file":
        folder.touch()
    else:
        folder.symlink_to("tenants.d" if kind == "a loop" else "nowhere")
    watcher = watch(folder)

    def mend() -> None:
        folder.unlink()
        folder.mkdir()

    watcher.hints_at(mend, "a real folder at last")

    still_works(watcher)


def test_a_git_checkout_is_noticed(watch, folder):
    def git(*words: str) -> None:
        author = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True)

    git("init", "-b", "main")
    (folder / "acme.yaml").write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    git("checkout", "-b", "next")
    (folder / "acme.yaml").write_text("2")
    git("commit", "-am", "two")
    watcher = watch(folder)

    watcher.hints_at(lambda: git("checkout", "main"), "a checkout")

    still_works(watcher)


def test_a_relative_path_is_a_path(watch, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    watcher = watch(Path("tenants.d"))

    still_works(watcher)


def test_it_leaves_nothing_open(folder):
    watcher = Watcher(folder)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(5):
        shutil.rmtree(folder)
        folder.mkdir()
        watcher.expect_hint("recreated")

    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    watcher.end()
