"""The folder of tenants, with real files and everything that people do to them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.adapters import tenant_files, tenant_folder
from cachepilot.adapters.regular_file import UnusableFileError, read_regular_file
from cachepilot.adapters.stamp import Stamp
from cachepilot.adapters.tenant_files import TenantFiles
from cachepilot.spec.document import TenantName
from cachepilot.spec.ports import SpecSource
from cachepilot.spec.reading import Presence
from cachepilot.spec.rules import Rules
from tests.builders import rules, text
from tests.mortal import MORTAL

PRESENT, ABSENT, UNKNOWN = Presence.PRESENT, Presence.ABSENT, Presence.UNKNOWN


class Folder:
    """A folder of tenants and a source that reads it, with a clock of its own."""

    def __init__(self, path: Path, **callables) -> None:
        self.path = path
        self.source = TenantFiles(path, Rules(), **callables)
        self.now = datetime.now(UTC) + timedelta(minutes=1)

    def write(self, name: str, *documents: str | bytes) -> Path:
        content = [
            document if isinstance(document, bytes) else document.encode()
            for document in documents
        ]
        (self.path / name).write_bytes(b"---\n".join(content))
        return self.path / name

    def refresh(self, later: timedelta = timedelta(seconds=1)) -> frozenset[str]:
        self.now += later
        return frozenset(self.source.refresh(self.now))

    def read(self, name: str):
        return self.source.read(TenantName(name))

    def presence(self, name: str) -> Presence:
        return self.read(name).presence

    def problems(self) -> list[str]:
        return [
            str(problem).replace(f"{self.path}/", "").replace(str(self.path), "folder")
            for problem in self.source.problems()
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "tenants.d"
    path.mkdir()
    return Folder(path)


def test_it_is_a_source_of_specs(folder):
    source: SpecSource = folder.source

    assert source.names() == frozenset()
    assert folder.presence("acme") is UNKNOWN  # nobody has looked yet


def test_documents_become_readings(folder):
    folder.write("acme.yaml", text("acme", memory={"max": "64MiB"}))
    folder.write("fleet.yml", text("one"), text("two"))

    assert folder.refresh() == {"acme", "one", "two"}
    found = folder.read("acme")
    assert found.presence is PRESENT
    assert found.spec is not None
    assert found.spec.memory_max == 64 * 2**20
    assert found.document is not None
    assert (found.source, found.problems) == (str(folder.path / "acme.yaml"), ())
    assert found.digest
    assert '"acme"' in found.json
    assert folder.source.names() == {"acme", "one", "two"}


def test_new_rules_count_at_once_even_for_a_file_that_was_touched_just_now(folder):
    path = folder.write("acme.yaml", text("acme", memory={"max": "64MiB"}))
    folder.refresh()

    os.utime(path, (folder.now.timestamp(), folder.now.timestamp()))
    folder.source.use_rules(rules(limits={"memory": "32MiB"}))

    assert folder.refresh(later=timedelta()) == {"acme"}
    assert folder.read("acme").spec is None


# Work is proportional to what changed --------------------------------------------------------


def test_only_what_changed_is_read_and_parsed(folder):
    for number in range(50):
        folder.write(f"t{number}.yaml", text(f"t{number}"))
    folder.refresh()
    work = folder.source.work
    assert (work.files_read, work.files_parsed) == (50, 50)

    assert folder.refresh() == frozenset()
    assert (work.files_read, work.files_parsed) == (50, 50)

    folder.write("t7.yaml", text("t7", cpus=1))
    assert folder.refresh() == {"t7"}
    assert (work.files_read, work.files_parsed) == (51, 51)

    (folder.path / "t8.yaml").touch()
    assert folder.refresh() == frozenset()
    assert (work.files_read, work.files_parsed) == (52, 51)


def test_an_edit_within_one_tick_of_the_file_systems_clock_is_found(folder, monkeypatch):
    """It leaves size, inode and times as they were; only looking again can tell."""

    def coarse(status: os.stat_result) -> Stamp:
        second = int(status.st_mtime) * 10**9
        return Stamp(status.st_dev, status.st_ino, status.st_size, second, second)

    for module in (tenant_files, tenant_folder):
        monkeypatch.setattr(module, "stamp_of", coarse)
    path = folder.write("acme.yaml", text("acme", cpus=1))
    folder.now = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    folder.refresh(timedelta())

    path.write_text(text("acme", cpus=2))

    assert folder.refresh(timedelta()) == {"acme"}


def test_time_of_a_file_may_be_anything(folder):
    path = folder.write("acme.yaml", text("acme"))

    for when in (0, 2**33, 2**40):
        os.utime(path, (when, when))
        folder.write("other.yaml", text("other", cpus=when % 7 + 1))
        folder.refresh()

        assert folder.presence("acme") is PRESENT


def test_new_rules_apply_to_files_that_did_not_change(folder):
    folder.write("big.yaml", text("big", memory={"max": "2GiB"}))
    folder.write("small.yaml", text("small", memory={"max": "2MiB"}))
    folder.refresh()

    folder.source.use_rules(rules(limits={"memory": "1GiB"}))

    assert folder.refresh() == {"big"}
    assert folder.read("big").spec is None
    assert "at most" in folder.problems()[0] or "limits" in folder.problems()[0]
    folder.source.use_rules(Rules())
    assert folder.refresh() == {"big"}
    assert folder.read("big").spec is not None


# Which files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        ".acme.yaml", ".acme.yaml.swp", ".#acme.yaml", "acme.yaml~", "#acme.yaml#", "4913",
        "acme.yaml.dpkg-new", "acme.yaml.dpkg-old", "acme.dpkg-dist.yaml", "acme.yaml.rpmnew",
        "acme.rpmsave.yaml", ".ansible_tmpabcacme.yaml", "x.ansible_tmp1.yaml", "acme.yaml.bak",
        "acme.json", "README.md", "acme.yaml.swp", "acme.YAML", "yaml", ".yaml",
    ],
)  # fmt: skip
def test_droppings_are_not_tenants(folder, name):
    folder.write("other.yaml", text("other"))
    folder.write(name, text("acme"))

    folder.refresh()

    assert folder.source.names() == {"other"}
    assert folder.problems() == []


def test_folders_inside_are_not_read(folder):
    (folder.path / "sub.yaml").mkdir()
    (folder.path / "sub.yaml" / "acme.yaml").write_text(text("acme"))
    folder.write("other.yaml", text("other"))

    folder.refresh()

    assert folder.source.names() == {"other"}
    assert folder.problems() == []


def test_links_are_followed(folder, tmp_path):
    (tmp_path / "elsewhere.txt").write_text(text("acme"))
    (folder.path / "acme.yaml").symlink_to("../elsewhere.txt")

    assert folder.refresh() == {"acme"}

    (tmp_path / "elsewhere.txt").write_text(text("acme", cpus=1))
    assert folder.refresh() == {"acme"}


BAD: dict[str, tuple[object, str]] = {
    "empty": (b"", "bad.yaml: holds no document (write a tenant, or delete the file to"),
    "only a comment": (b"# spec\n", "bad.yaml: holds no document"),
    "binary": (b"\x7fELF\x00", "bad.yaml:1:1: holds the control character 0x7f"),
    "NUL": (b"a: \0", "bad.yaml:1:4: holds a NUL byte"),
    "10 MB": (b"a" * 10_000_000, "bad.yaml: is larger than 256 KiB (10000000 bytes or more)"),
    "brackets": (b"[" * 30_000, "bad.yaml:1:21: is nested deeper than 20 levels"),
    "tabs": (b"a:\n\tb: 1\n", "bad.yaml:2:1: a tab stands where only spaces may indent"),
    "cut off": (text("bad").encode()[:-9], "bad.yaml:"),
    "conflict": (b"<<<<<<< HEAD\na: 1\n", "bad.yaml:2:2:"),
    "not UTF-8": (b"\xff\xfe\0", "bad.yaml:1:1: is not valid UTF-8"),
    "wrong name": (text("../ca"), "bad.yaml:5:13: metadata.name: expected lower-case"),
    "wrong kind": (b"kind: Pod\n", "bad.yaml:1:1: apiVersion: missing key"),
    "fifo": (os.mkfifo, "bad.yaml: cannot be read: it is a named pipe"),
    "loop": (lambda path: path.symlink_to("bad.yaml"), "bad.yaml: cannot be read: too many lev"),
    "dangling": (lambda path: path.symlink_to("no"), "bad.yaml: cannot be read: the link leads"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "bad.yaml: cannot be read: it is a dev"),
    "failing": (lambda path: path.symlink_to("/proc/self/mem"), "bad.yaml: cannot be read: inp"),
    "folder": (lambda path: path.symlink_to("."), "bad.yaml: cannot be read: it is a folder"),
}


def put(path: Path, content: object) -> None:
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_disturbs_nobody_else(folder, kind):
    """Whatever lies there: a sentence in the right place, and the neighbours are served."""
    content, expected = BAD[kind]
    folder.write("acme.yaml", text("acme"))
    put(folder.path / "bad.yaml", content)

    assert folder.refresh() == {"acme"} | ({"bad"} & folder.source.names())
    assert folder.read("acme").spec is not None
    assert folder.problems()[0].startswith(expected)


@pytest.mark.parametrize("kind", BAD)
def test_a_tenant_whose_file_turned_bad_is_not_gone(folder, kind):
    content, _ = BAD[kind]
    path = folder.write("bad.yaml", text("acme"))
    folder.write("other.yaml", text("other"))
    folder.refresh()
    path.unlink()
    put(path, content)

    folder.refresh()

    found = folder.read("acme")
    assert found.presence is not ABSENT
    assert found.spec is None
    assert found.problems
    assert "acme" in folder.source.names()
    path.unlink()
    folder.write("bad.yaml", text("acme", cpus=1))
    assert "acme" in folder.refresh()
    assert folder.read("acme").problems == ()


def test_a_name_that_is_no_text_is_told_readably(folder):
    (folder.path / os.fsdecode(b"a\xff\n.yaml")).write_text(text("acme"))

    folder.refresh()

    (problem,) = folder.problems()
    assert "cannot be used: its name holds characters that are not text" in problem
    assert problem.isprintable()


def test_unreadable_file_is_a_problem_of_its_own(folder):
    folder.write("acme.yaml", text("acme")).chmod(0)
    folder.write("other.yaml", text("other"))
    look = (
        "import sys, pathlib, datetime as d\n"
        "from cachepilot.adapters.tenant_files import TenantFiles\n"
        "from cachepilot.spec.rules import Rules\n"
        "files = TenantFiles(pathlib.Path(sys.argv[1]), Rules())\n"
        "files.refresh(d.datetime.now(d.UTC) + d.timedelta(minutes=1))\n"
        "print(*files.problems(), *files.names(), sep='\\n')\n"
    )

    printed = subprocess.check_output(
        [*MORTAL, sys.executable, "-c", look, folder.path], text=True
    )

    problem, *names = printed.splitlines()
    assert "acme.yaml" in problem
    assert "permission denied" in problem
    assert names == ["other"]


# Whose problem it is -------------------------------------------------------------------------


def test_one_bad_document_leaves_its_neighbours_in_the_file_alone(folder):
    folder.write("fleet.yaml", text("one"), text("two", cpus="lots"), text("three"))

    folder.refresh()

    assert folder.read("one").spec is not None
    assert folder.read("three").spec is not None
    assert [problem.where for problem in folder.read("two").problems] == ["spec.cpus"]


def test_document_whose_name_broke_is_still_its_tenants_problem(folder):
    folder.write("fleet.yaml", text("one"), text("two"))
    folder.refresh()

    folder.write("fleet.yaml", text("one", cpus=1), text("Two"))

    assert folder.refresh() == {"one", "two"}
    assert folder.read("one").spec is not None
    assert folder.presence("two") is PRESENT
    assert [problem.where for problem in folder.read("two").problems] == ["metadata.name"]


def test_broken_end_of_a_file_stops_all_of_it(folder):
    """What follows the mistake may have changed any of the documents before."""
    folder.write("fleet.yaml", text("one"), text("two"))
    folder.refresh()

    folder.write("fleet.yaml", text("one", cpus=1), "metadata: {name: two\n")
    folder.refresh()

    for name in ("one", "two"):
        assert folder.read(name).spec is None
        assert folder.read(name).problems


def test_a_broken_file_belongs_to_whom_the_records_say(tmp_path):
    """After a restart of the daemon nothing is in memory."""

    def held_by(path: str) -> Collection[TenantName]:
        return [TenantName("acme")] if path.endswith("/a.yaml") else []

    folder = Folder(tmp_path, held_by=held_by)
    folder.write("a.yaml", "{")
    folder.write("b.yaml", "{")

    assert folder.refresh() == {"acme"}
    assert [problem.file for problem in folder.read("acme").problems] == [str(tmp_path / "a.yaml")]
    assert len(folder.problems()) == 2


def test_a_document_removed_from_its_file_is_absent(folder):
    folder.write("fleet.yaml", text("one"), text("two"))
    folder.refresh()

    folder.write("fleet.yaml", text("one"))

    assert folder.refresh() == {"two"}
    assert folder.presence("two") is ABSENT


# Two documents with one name -----------------------------------------------------------------


def test_the_first_document_of_a_name_stays(folder):
    folder.write("b.yaml", text("acme", cpus=1))
    folder.refresh()
    folder.write("a.yaml", text("acme", cpus=2))

    assert folder.refresh() == frozenset()
    assert folder.read("acme").spec.cpus == 1
    assert folder.problems() == [
        'a.yaml:5:13: metadata.name: this document is not used: the tenant "acme" is defined in '
        "b.yaml:5 (give it another name, or remove one of the two)"
    ]
    (folder.path / "b.yaml").unlink()
    assert folder.refresh() == {"acme"}
    assert folder.read("acme").spec.cpus == 2
    assert folder.problems() == []


def test_the_path_in_the_record_wins_after_a_restart(tmp_path):
    folder = Folder(tmp_path, incumbent=lambda _: str(tmp_path / "b.yaml"))
    folder.write("a.yaml", text("acme", cpus=1))
    folder.write("b.yaml", text("acme", cpus=2))

    folder.refresh()

    assert folder.read("acme").source == str(tmp_path / "b.yaml")


def test_without_any_record_the_first_path_wins(folder):
    folder.write("b.yaml", text("acme", cpus=2))
    folder.write("a.yaml", text("acme", cpus=1))

    folder.refresh()

    assert folder.read("acme").spec.cpus == 1


def test_twice_in_one_file_the_first_stays(folder):
    folder.write("a.yaml", text("acme", cpus=1), text("acme", cpus=2))

    folder.refresh()

    assert folder.read("acme").spec.cpus == 1
    (problem,) = folder.source.problems()
    assert problem.line > 10
    assert "a.yaml:5" in problem.message


def test_an_invalid_incumbent_is_not_replaced_by_a_stranger(folder):
    folder.write("b.yaml", text("acme"))
    folder.refresh()
    folder.write("b.yaml", text("acme", cpus="lots"))
    folder.write("a.yaml", text("acme", cpus=2))

    folder.refresh()

    assert folder.read("acme").spec is None
    assert len(folder.problems()) == 2


def test_moving_a_tenant_out_of_a_file_that_broke_works(folder):
    """A broken file keeps its tenants only until one of them has a document elsewhere."""
    folder.write("fleet.yaml", text("acme"), text("other"))
    folder.refresh()
    folder.write("fleet.yaml", "{ other")
    folder.write("acme.yaml", text("acme", cpus=2))

    folder.refresh()

    assert folder.read("acme").spec.cpus == 2
    assert folder.presence("other") is PRESENT


def test_renaming_a_file_changes_only_the_source(folder):
    folder.write("a.yaml", text("acme"))
    folder.refresh()
    digest = folder.read("acme").digest

    (folder.path / "a.yaml").rename(folder.path / "b.yaml")

    assert folder.refresh() == {"acme"}
    assert folder.read("acme").digest == digest
    assert folder.read("acme").source.endswith("/b.yaml")


# Absence -------------------------------------------------------------------------------------


def test_absence_is_counted_from_the_look_that_missed_it(folder):
    folder.write("acme.yaml", text("acme"))
    folder.write("other.yaml", text("other"))
    folder.refresh()
    (folder.path / "acme.yaml").unlink()

    assert folder.refresh() == {"acme"}
    missed = folder.now
    folder.refresh(timedelta(minutes=5))

    assert folder.presence("acme") is ABSENT
    assert folder.read("acme").absent_since == missed
    assert "acme" not in folder.source.names()
    folder.write("acme.yaml", text("acme"))
    assert folder.refresh() == {"acme"}
    assert folder.read("acme").absent_since is None


def test_whoever_was_never_seen_is_missed_since_the_first_look(folder):
    """A tenant with a record whose file went away while the daemon was down."""
    folder.write("other.yaml", text("other"))
    folder.refresh()
    first = folder.now
    folder.refresh(timedelta(minutes=2))

    assert folder.presence("ghost") is ABSENT
    assert folder.read("ghost").absent_since == first


@pytest.mark.parametrize("harm", ["removed", "emptied", "a file", "a loop", "dangling"])
def test_a_lost_folder_makes_nobody_absent(folder, harm):
    folder.write("acme.yaml", text("acme"))
    folder.refresh()
    shutil.rmtree(folder.path)
    match harm:
        case "emptied":
            folder.path.mkdir()
            (folder.path / "README.md").touch()
        case "a file":
            folder.path.touch()
        case "a loop":
            folder.path.symlink_to(folder.path.name)
        case "dangling":
            folder.path.symlink_to("nowhere")

    folder.refresh()

    assert folder.presence("acme") is UNKNOWN
    assert folder.presence("ghost") is UNKNOWN
    if harm != "emptied":
        assert folder.problems()[0].startswith("folder: cannot list the folder of tenants: ")
        folder.path.unlink(missing_ok=True)
        folder.path.mkdir()
    folder.write("acme.yaml", text("acme"))
    folder.refresh()
    assert folder.presence("acme") is PRESENT
    assert folder.problems() == []


def test_time_without_a_good_look_does_not_count(folder):
    folder.write("acme.yaml", text("acme"))
    folder.write("other.yaml", text("other"))
    folder.refresh()
    (folder.path / "acme.yaml").unlink()
    folder.refresh()
    folder.refresh(timedelta(minutes=4))
    moved = folder.path.rename(folder.path.with_name("away"))

    folder.refresh(timedelta(minutes=1))
    assert folder.read("acme").absent_since is None
    folder.refresh(timedelta(minutes=50))
    moved.rename(folder.path)
    folder.refresh(timedelta(minutes=1))

    assert folder.now - folder.read("acme").absent_since == timedelta(minutes=4)


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400), timedelta(hours=2)])
def test_a_jump_of_the_clock_does_not_count(folder, jump):
    folder.write("acme.yaml", text("acme"))
    folder.write("other.yaml", text("other"))
    folder.refresh()
    (folder.path / "acme.yaml").unlink()
    folder.refresh()
    folder.refresh(timedelta(minutes=3))

    folder.refresh(jump)

    assert folder.now - folder.read("acme").absent_since == timedelta(minutes=3)
    assert folder.read("acme").absent_for == timedelta(minutes=3)


def test_a_file_that_cannot_be_read_makes_nobody_absent(folder):
    folder.write("acme.yaml", text("acme"))
    folder.write("other.yaml", text("other"))
    folder.refresh()
    (folder.path / "acme.yaml").unlink()
    (folder.path / "loop.yaml").symlink_to("loop.yaml")

    folder.refresh()

    assert folder.presence("acme") is UNKNOWN
    assert folder.presence("other") is PRESENT


def test_a_name_inside_a_broken_file_is_not_absent(folder):
    """It may just have been moved there."""
    folder.write("acme.yaml", text("acme"))
    folder.write("gone.yaml", text("gone"))
    folder.refresh()
    (folder.path / "acme.yaml").unlink()
    (folder.path / "gone.yaml").unlink()
    folder.write("fleet.yaml", text("other"), "metadata: {name: acme\n")

    folder.refresh()

    assert folder.presence("acme") is UNKNOWN
    assert folder.presence("gone") is ABSENT


# Half-written files --------------------------------------------------------------------------


def now_of(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


@pytest.mark.parametrize("torn", ["", "{", text("acme")[:-20], text("acme").rstrip()])
def test_a_file_that_is_being_written_keeps_what_it_said(folder, torn):
    folder.write("acme.yaml", text("acme", cpus=1))
    folder.refresh()
    path = folder.write("acme.yaml", torn)
    folder.now = now_of(path)

    assert folder.refresh(timedelta(milliseconds=100)) == frozenset()
    assert folder.read("acme").spec.cpus == 1
    assert folder.problems() == []
    assert timedelta() < folder.source.retry_after <= timedelta(seconds=1.1)

    folder.write("acme.yaml", text("acme", cpus=2))
    assert folder.refresh(timedelta(milliseconds=100)) == {"acme"}
    assert folder.read("acme").spec.cpus == 2
    assert folder.source.retry_after is None


def test_a_file_that_stays_broken_is_told_when_it_settled(folder):
    folder.write("acme.yaml", text("acme"))
    folder.refresh()
    path = folder.write("acme.yaml", "{")
    folder.now = now_of(path)
    folder.refresh(timedelta(milliseconds=100))

    assert folder.refresh(folder.source.retry_after) == {"acme"}
    assert folder.read("acme").problems
    assert folder.source.retry_after is None


def test_a_new_file_without_its_end_is_not_a_tenant_yet(folder):
    """`name: acm` is a valid document, and the wrong one."""
    folder.write("other.yaml", text("other"))
    folder.refresh()
    head = "apiVersion: cachepilot/v1\nkind: Tenant\nmetadata:\n  name: acm"
    path = folder.write("acme.yaml", head)
    folder.now = now_of(path)

    assert folder.refresh(timedelta(milliseconds=50)) == frozenset()
    assert folder.source.names() == {"other"}
    assert folder.presence("acm") is UNKNOWN
    assert folder.refresh(folder.source.retry_after) == {"acm"}


def test_a_good_file_is_believed_at_once(folder):
    path = folder.write("acme.yaml", text("acme"))
    folder.now = now_of(path)

    assert folder.refresh(timedelta(milliseconds=1)) == {"acme"}
    assert folder.source.retry_after is None


def test_a_file_from_the_future_is_not_waited_for(folder):
    path = folder.write("acme.yaml", "{")
    os.utime(path, (2**33, 2**33))

    folder.refresh()

    assert folder.problems()
    assert folder.source.retry_after is None


# What people do to folders -------------------------------------------------------------------


def test_a_link_that_is_swapped_shows_the_other_folder(tmp_path):
    for number in (1, 2):
        release = tmp_path / f"releases/{number}"
        release.mkdir(parents=True)
        (release / "acme.yaml").write_text(text("acme", cpus=number))
    (tmp_path / "tenants.d").symlink_to("releases/1")
    folder = Folder(tmp_path / "tenants.d")
    folder.refresh()
    assert folder.read("acme").spec.cpus == 1

    (tmp_path / "next").symlink_to("releases/2")
    (tmp_path / "next").replace(tmp_path / "tenants.d")

    assert folder.refresh() == {"acme"}
    assert folder.read("acme").spec.cpus == 2


def test_a_git_checkout_shows_the_other_branch(folder):
    def git(*words: str) -> None:
        author = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *author, *words], cwd=folder.path, check=True, capture_output=True)

    git("init", "-b", "main")
    folder.write("acme.yaml", text("acme", cpus=1))
    folder.write("old.yaml", text("old"))
    git("add", ".")
    git("commit", "-m", "one")
    git("checkout", "-b", "next")
    folder.write("acme.yaml", text("acme", cpus=2))
    git("rm", "old.yaml")
    folder.write("new.yaml", text("new"))
    git("add", ".")
    git("commit", "-m", "two")
    git("checkout", "main")
    folder.refresh()
    assert folder.source.names() == {"acme", "old"}

    git("checkout", "next")

    assert folder.refresh() == {"acme", "old", "new"}
    assert folder.read("acme").spec.cpus == 2
    assert folder.presence("old") is ABSENT


def test_an_editor_that_renames_is_read_like_one_that_overwrites(folder):
    path = folder.write("acme.yaml", text("acme", cpus=1))
    folder.refresh()
    mode = stat.S_IMODE(path.stat().st_mode)
    swap = folder.write(".acme.yaml.swp", text("acme", cpus=2))
    swap.chmod(mode)

    swap.rename(path)

    assert folder.refresh() == {"acme"}
    assert folder.read("acme").spec.cpus == 2


_DOCUMENTS = [text("a"), text("a") + "---\n" + text("b"), text("a", cpus=1), text("b", cpus="x")]
_CONTENTS = st.binary(max_size=60) | st.sampled_from([*_DOCUMENTS, "{", "metadata: {name: a"])
_STEPS = st.lists(
    st.tuples(st.sampled_from(["1.yaml", "2.yaml", "3.yml"]), st.none() | _CONTENTS), max_size=12
)


@given(_STEPS)
@settings(max_examples=60, deadline=None)
def test_an_old_source_sees_what_a_fresh_one_sees(tmp_path_factory, steps):
    """Caches make no difference to what is valid, whatever happened to the files before.

    Only who holds a name that two files claim is a matter of history.
    """
    folder = Folder(tmp_path_factory.mktemp("tenants.d"))
    for name, content in steps:
        if content is None:
            (folder.path / name).unlink(missing_ok=True)
        else:
            folder.write(name, content)
        folder.refresh()
    folder.refresh()

    fresh = Folder(folder.path)
    fresh.refresh()

    alone = {
        name
        for name in fresh.source.names()
        if not any(name in problem for problem in (*folder.problems(), *fresh.problems()))
    }
    for name in alone:
        assert folder.read(name).digest == fresh.read(name).digest
        assert folder.read(name).problems == fresh.read(name).problems
    told = (*folder.problems(), *fresh.problems())
    assert folder.problems() == fresh.problems() or any("not used" in each for each in told)


def test_a_link_of_another_users_does_not_have_roots_files_read(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    secret = tmp_path / "secret"
    secret.write_text("root:$y$canary:1\n")
    link = tmp_path / "x.yaml"
    link.symlink_to(secret)
    os.lchown(link, 65_534, 65_534)

    with pytest.raises(UnusableFileError, match="another user") as refused:
        read_regular_file(link, most=4096)

    assert "canary" not in str(refused.value)
