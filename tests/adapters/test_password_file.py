import os

import pytest

from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.errors import StalledError

GOOD = "correct-horse-battery"


def file_with(folder, content, mode=0o600):
    path = folder / "password"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refusal(path, folders=()):
    with pytest.raises(StalledError) as told:
        PasswordFiles(folders or [str(path.parent)]).read(path)
    assert told.value.reason == "PasswordFileUnusable"
    assert str(path) in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("content", [b"%s", b"%s\n", b"%s\r\n", b"%s\nsecond line is a comment\n"])
def test_the_first_line_is_the_password(tmp_path, content):
    path = file_with(tmp_path, content % GOOD.encode())

    assert PasswordFiles([str(tmp_path)]).read(path).reveal() == GOOD


def test_a_link_to_a_good_file_is_followed(tmp_path):
    target = file_with(tmp_path, GOOD.encode(), 0o400)
    (tmp_path / "link").symlink_to(target)

    assert PasswordFiles([str(tmp_path)]).read(tmp_path / "link").reveal() == GOOD


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\n" + GOOD.encode(), "empty"),
        (b"short-password1", "16 to 512"),
        (b"x" * 513, "16 to 512"),
        (b"x" * 100_000, "16 to 512"),
        (b"correct horse battery", "blanks"),
        (b" " + GOOD.encode(), "blanks"),
        (b"correct\thorse\tbattery", "blanks"),
        (b"correct-horse\0battery", "control"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}".encode() + GOOD.encode(), "control"),
        ("correct\N{NO-BREAK SPACE}horse-battery".encode(), "blanks"),
        (b"\xff\xfe" + GOOD.encode(), "UTF-8"),
    ],
)
def test_a_line_that_is_no_good_password_is_refused_without_showing_it(tmp_path, content, why):
    message = refusal(file_with(tmp_path, content))

    assert why in message
    assert "horse" not in message
    assert "xxx" not in message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_way_out(tmp_path, mode):
    assert "chmod 600" in refusal(file_with(tmp_path, GOOD.encode(), mode))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_somebody_else_owns_is_refused(tmp_path):
    path = file_with(tmp_path, GOOD.encode())
    os.chown(path, 4321, 0)

    assert "chown root" in refusal(path)


def test_a_pipe_neither_blocks_nor_counts(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)

    assert "not a regular file" in refusal(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["missing", "loop", "folder"])
def test_what_cannot_be_opened_is_refused(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()

    refusal(tmp_path / name)


@pytest.fixture
def inside(tmp_path):
    folder = tmp_path / "passwords"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("way", ["beside", "dots", "link", "linked folder"])
def test_no_file_outside_the_folders_of_the_settings_is_read(tmp_path, inside, way):
    outside = file_with(tmp_path, GOOD.encode())
    (inside / "link").symlink_to(outside)
    (inside / "folder").symlink_to(tmp_path)
    path = {
        "beside": outside,
        "dots": inside / ".." / outside.name,
        "link": inside / "link",
        "linked folder": inside / "folder" / outside.name,
    }[way]

    told = refusal(path, [str(inside)])

    assert "limits.passwordFiles" in told
    assert str(inside) in told


def test_what_is_not_there_outside_reads_like_what_is(tmp_path, inside):
    there, missing = file_with(tmp_path, GOOD.encode()), tmp_path / "missing"

    told = [refusal(path, [str(inside)]).replace(f"{path}:", "") for path in (there, missing)]

    assert told[0] == told[1]


def test_a_folder_of_the_settings_may_itself_be_a_link(tmp_path, inside):
    file_with(inside, GOOD.encode())
    (tmp_path / "alias").symlink_to(inside)
    files = PasswordFiles([str(tmp_path / "alias")])

    assert files.read(tmp_path / "alias" / "password").reveal() == GOOD


def test_other_folders_count_from_the_next_look(tmp_path, inside):
    path = file_with(inside, GOOD.encode())
    files = PasswordFiles([])
    with pytest.raises(StalledError, match="none"):
        files.read(path)

    files.use_folders([str(inside)])

    assert files.read(path).reveal() == GOOD
