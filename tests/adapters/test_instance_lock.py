from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cachepilot.adapters.instance_lock import InstanceLock
from cachepilot.errors import SettingsError

HOLD = """
import sys
from pathlib import Path
from cachepilot.adapters.instance_lock import InstanceLock
lock = InstanceLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "daemon.lock"


@pytest.fixture
def other(path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_daemon_is_told_who_serves_the_root(path, other):
    with pytest.raises(SettingsError) as refusal:
        InstanceLock(path)

    assert f"pid {other.pid}" in str(refusal.value)
    assert str(path.parent) in str(refusal.value)


def test_a_refused_daemon_leaves_the_lock_as_it_is(path, other):
    for _ in range(2):
        with pytest.raises(SettingsError):
            InstanceLock(path)

    assert path.read_text() == f"{other.pid}\n"


def test_the_lock_of_a_killed_daemon_is_free(path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()

    InstanceLock(path).release()


def test_a_released_lock_can_be_taken_again(path):
    InstanceLock(path).release()

    lock = InstanceLock(path)

    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_children_do_not_inherit_the_lock(path):
    """A helper process that outlives the daemon must not keep the next one out."""
    lock = InstanceLock(path)
    with subprocess.Popen(["sleep", "60"]) as child:
        lock.release()
        try:
            InstanceLock(path).release()
        finally:
            child.kill()


def test_a_lock_that_cannot_be_written_is_said_so(tmp_path):
    with pytest.raises(SettingsError, match="cannot open"):
        InstanceLock(tmp_path / "missing" / "daemon.lock")
