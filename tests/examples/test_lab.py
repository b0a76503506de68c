"""The lab's scripts say that they are busy, and get images from wherever there are some."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path("examples/lab").absolute()
CLOSING_LINE = Path("tests/closing_line.py").absolute()


def bash(script, *, within=60, **variables):
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {script}"],
        capture_output=True,
        text=True,
        timeout=within,
        env={"PATH": "/usr/bin:/bin", **variables},
        check=False,
    )


@pytest.mark.parametrize("call", ["progress {log} 'counting sheep'", "ticking 'counting sheep'"])
def test_what_takes_longer_than_two_seconds_says_so(tmp_path, call):
    call = call.format(log=tmp_path / "log")

    ended = bash(f". {LAB}/progress.sh; {call} sleep 3")

    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.startswith("counting sheep …\n")


@pytest.mark.parametrize("call", ["progress {log} 'counting sheep'", "ticking 'counting sheep'"])
def test_what_is_done_at_once_says_nothing_and_keeps_its_exit_status(tmp_path, call):
    call = call.format(log=tmp_path / "log")

    good, bad = (bash(f". {LAB}/progress.sh; {call} {word}") for word in ("true", "false"))

    assert (good.returncode, good.stdout + good.stderr) == (0, "")
    assert (bad.returncode, bad.stdout) == (1, "")


def test_the_gates_of_the_test_run_say_that_they_are_busy(tmp_path):
    """The function as it is, around a gate that is slow and one that fails."""
    script = Path("tests/run.sh").read_text()
    functions = script[
        script.index("# Name, verdict and seconds") : script.index("\nrun_pytest()")
    ]
    note = script[script.index("# note NAME") : script.index("# borrow_engine")]
    (tmp_path / ".lab/log").mkdir(parents=True)

    ended = bash(
        f"cd {tmp_path}; . {LAB}/progress.sh\n{functions}\n{note}\n"
        "gate 'sleep 3'; gate 'ls /nowhere'; echo failed: $FAILED"
    )

    assert ended.stderr == "sleep 3 …\n"
    lines = ended.stdout.splitlines()
    assert lines[0].split()[:3] == ["sleep", "3", "ok"]
    assert "/nowhere" in lines[1]
    assert lines[2].split()[:3] == ["ls", "/nowhere", "FAILED"]
    assert lines[3] == "failed: 1"


def test_dots_are_passed_on_as_they_come_and_the_closing_line_is_kept(tmp_path):
    kept = tmp_path / "closing"
    with subprocess.Popen(
        [sys.executable, CLOSING_LINE, kept], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as copying:
        copying.stdin.write(b"== begin ==\n\n..")
        copying.stdin.flush()
        first = copying.stdout.read(len(b"== begin ==\n\n.."))
        copying.stdin.write(b"F [100%]\n\x1b[31mE  no\n\x1b[32m== 3 passed ==\n\n")
        copying.stdin.close()
        rest = copying.stdout.read()

    assert first == b"== begin ==\n\n.."
    assert rest == b"F [100%]\n\x1b[31mE  no\n"
    assert kept.read_bytes() == b"\x1b[32m== 3 passed =="


DOCKER = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$*" in
  "image inspect"*) exit 1 ;;
  "manifest inspect"*) eval "$REGISTRY" ;;
  pull*) eval "$PULL" ;;
  create*) echo container1 ;;
  commit*) echo sha256:child ;;
  run*) eval "$RUN" ;;
esac
"""


def images_up(tmp_path, *, registry, pull="true", run="true", names="redis7 valkey8"):
    """Return which calls were made where `docker` does as told and a build is only noted."""
    stub, calls = tmp_path / "docker", tmp_path / "calls"
    stub.write_text(DOCKER)
    stub.chmod(0o755)
    ended = bash(
        f". {LAB}/images.sh; packages_up() {{ :; }}; keyring_up() {{ :; }}; "
        "debian_mirror() { echo http://mirror; }; "
        'build_image() { echo "BUILD $1" >>"$CALLS"; }; '
        f"images_up {tmp_path}/log {names}",
        PATH=f"{tmp_path}:/usr/bin:/bin",
        CALLS=str(calls),
        REGISTRY=registry,
        PULL=pull,
        RUN=run,
    )
    assert ended.returncode == 0, ended.stderr
    return calls.read_text().splitlines()


def test_images_come_from_the_registry_where_it_answers_and_are_tagged_as_ours(tmp_path):
    calls = images_up(tmp_path, registry="true")

    assert "pull redis:7.0" in calls
    assert "pull valkey/valkey:8.1" in calls
    assert "tag sha256:child cachepilot-lab/redis:7.0" in calls
    assert "tag sha256:child cachepilot-lab/valkey:8.1" in calls
    assert not any(call.startswith("BUILD") for call in calls)
    assert "image rm redis:7.0" in calls  # its name was not there before


@pytest.mark.parametrize("registry", ["exit 1", "sleep 60"])
def test_images_are_built_where_no_registry_answers_which_is_asked_only_once(tmp_path, registry):
    """One that swallows every packet is given up on long before the patience of this test ends."""
    calls = images_up(tmp_path, registry=registry)

    assert [call for call in calls if call.startswith("BUILD")] == [
        "BUILD cachepilot-lab/redis:7.0",
        "BUILD cachepilot-lab/valkey:8.1",
    ]
    assert len([call for call in calls if call.startswith("manifest")]) == 1
    assert not any(call.startswith("pull") for call in calls)


def test_an_image_that_cannot_be_pulled_is_built(tmp_path):
    calls = images_up(tmp_path, registry="true", pull="exit 1", names="redis8")

    assert "BUILD cachepilot-lab/redis:8.0" in calls


def test_a_pulled_image_that_does_not_run_as_tenants_do_is_removed_and_built(tmp_path):
    calls = images_up(tmp_path, registry="true", run="exit 1", names="redis8")

    assert "image rm --force sha256:child" in calls
    assert "BUILD cachepilot-lab/redis:8.0" in calls
