"""Editing is driven by a script in place of an editor; asking needs a terminal, so a real one."""

import fcntl
import os
import pty
import select
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import pytest

from tests.cli.hosts import document

TEXT = document(body="spec:\n  cpus: 1\n")


@pytest.fixture
def acme(host, tmp_path, monkeypatch):
    # Texts that are kept must not stay behind on the machine of whoever runs this.
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    host.write("acme.yaml", TEXT)
    host.script = tmp_path / "work/editor"
    return host


def edit(host, script, *args, **more):
    host.script.write_text(f"#!/bin/sh\n{script}\n")
    host.script.chmod(0o755)
    env = {"EDITOR": str(host.script), "VISUAL": str(host.script)}
    return host.run("edit", "tenant", "acme", *args, env=env, **more)


def test_what_the_editor_leaves_is_written(acme):
    assert (
        edit(acme, 'sed -i s/cpus:.1/cpus:\\ 2/ "$1"', "--yes").out == "tenant/acme configured\n"
    )
    assert acme.read("acme.yaml").decode() == TEXT.replace("cpus: 1", "cpus: 2")


def test_an_unchanged_text_is_no_change(acme):
    ended = edit(acme, "true", "--yes")
    assert (ended.code, ended.out, ended.err) == (0, "", "nothing changed\n")


def test_only_the_tenant_s_own_document_is_shown_and_replaced(acme):
    acme.write("acme.yaml", document("a") + "---\n" + TEXT + "---\n" + document("b"))
    ended = edit(
        acme, 'grep -q "name: [ab]$" "$1" && exit 1; sed -i s/cpus:.1/cpus:\\ 2/ "$1"', "--yes"
    )
    assert ended.code == 0
    changed = TEXT.replace("cpus: 1", "cpus: 2")
    assert acme.read("acme.yaml").decode() == (
        document("a") + "---\n" + changed + "---\n" + document("b")
    )


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('echo "  cpu: 2" >> "$1"', 3),
        ('sed -i s/acme/beta/ "$1"', 3),
        ('printf -- "---\\n" >> "$1"; cat "$1" "$1" > "$1.x"; mv "$1.x" "$1"', 3),
    ],
)
def test_a_text_that_cannot_be_written_is_kept(acme, script, code):
    ended = edit(acme, script, "--yes")
    assert ended.code == code
    assert acme.read("acme.yaml").decode() == TEXT
    kept = ended.err.partition("your text is kept in ")[2].split("\n")[0]
    assert Path(kept).parent.stat().st_mode & 0o077 == 0


def test_somebody_else_s_change_meanwhile_is_not_overwritten(acme):
    file = acme.paths.tenants_d / "acme.yaml"
    ended = edit(acme, f'sed -i s/cpus:.1/cpus:\\ 2/ "$1"; echo "# theirs" >> {file}', "--yes")
    assert ended.code == 8
    assert acme.read("acme.yaml").decode() == TEXT + "# theirs\n"
    assert "your text is kept in" in ended.err


def test_an_emptied_text_deletes_nobody(acme):
    ended = edit(acme, ': > "$1"', "--yes")
    assert (ended.code, "use delete" in ended.err) == (1, True)
    assert acme.read("acme.yaml").decode() == TEXT


def test_an_editor_that_fails_changes_nothing(acme):
    ended = edit(acme, "exit 1", "--yes")
    assert ended.code == 1
    assert ended.err.startswith("error: cannot edit tenant acme\n  cause: ")
    assert "hint: let VISUAL or EDITOR name an editor that works" in ended.err
    assert acme.read("acme.yaml").decode() == TEXT


def test_a_broken_document_can_be_mended(acme):
    acme.write("acme.yaml", TEXT + "  memory: [\n")
    assert edit(acme, 'sed -i "/memory/d" "$1"', "--yes").code == 0
    assert acme.read("acme.yaml").decode() == TEXT


def on_a_terminal(host, answers, *args, script='sed -i s/cpus:.1/cpus:\\ 2/ "$1"'):
    """Run a verb on a real terminal and type *answers*; return (exit code, what was shown)."""
    host.script.write_text(f"#!/bin/sh\n{script}\n")
    host.script.chmod(0o755)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cachepilot.cli", "--root", str(host.paths.root), *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "EDITOR": str(host.script), "VISUAL": str(host.script)},
        start_new_session=True,
        # Without a controlling terminal Ctrl-C would reach nobody.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
    )
    os.close(theirs)
    shown, answer, patience = b"", "", 20
    try:
        while patience:
            if not select.select([ours], [], [], 2)[0]:
                patience -= 1
                if answer == "\x03":
                    # An interrupt between prompt and read is only noticed with the next one.
                    os.write(ours, b"\x03")
                continue
            shown += os.read(ours, 4096)
            if answers and shown.rstrip().endswith((b"]", b":")):
                answer, _, answers = answers.partition("|")
                os.write(ours, answer.encode())
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
        process.kill()
    return process.wait(), shown.decode()


def test_on_a_terminal_the_change_is_shown_and_approved(acme):
    code, shown = on_a_terminal(acme, "y\n", "edit", "tenant", "acme")
    assert code == 0, shown
    assert "-  cpus: 1" in shown
    assert "+  cpus: 2" in shown
    assert "write this?" in shown
    assert b"cpus: 2" in acme.read("acme.yaml")


def test_on_a_terminal_no_means_no(acme):
    code, shown = on_a_terminal(acme, "\n", "edit", "tenant", "acme")
    assert code == 1, shown
    assert acme.read("acme.yaml").decode() == TEXT


def test_an_interrupted_answer_does_not_lose_the_text(acme):
    code, shown = on_a_terminal(acme, "\x03", "edit", "tenant", "acme")
    assert code == 130, shown
    kept = shown.partition("your text is kept in ")[2].split("\r\n")[0]
    assert Path(kept).read_text() == TEXT.replace("cpus: 1", "cpus: 2")
    assert acme.read("acme.yaml").decode() == TEXT


def test_on_a_terminal_a_mistake_can_be_mended_at_once(acme):
    script = 'grep -q bad "$1" && sed -i "s/bad: 1/cpus: 3/" "$1" || sed -i "s/cpus/bad/" "$1"'
    code, shown = on_a_terminal(acme, "y\n|y\n", "edit", "tenant", "acme", script=script)
    assert code == 0, shown
    assert 'unknown key "bad"' in shown
    assert b"cpus: 3" in acme.read("acme.yaml")


@pytest.mark.parametrize(
    ("typed", "code"), [("acme\n", 0), ("acne\n", 1), ("y\n", 1), ("\x03", 130)]
)
def test_deleting_on_a_terminal_needs_the_name(acme, typed, code):
    ended, shown = on_a_terminal(acme, typed, "delete", "acme")
    assert ended == code, shown
    assert (b"deleted" in acme.read("acme.yaml")) == (code == 0)
