"""How cachepilotd ends: the codes that units and scripts rely on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("cachepilotd")


@pytest.fixture
def run(tmp_path):
    def call(*words, settings=None):
        folder = tmp_path / "etc/cachepilot"
        folder.mkdir(parents=True)
        if settings is not None:
            (folder / "cachepilot.yaml").write_text(settings)
        return subprocess.run(
            [PROGRAM, "--root", tmp_path, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


@pytest.mark.parametrize("settings", [None, "", "daemon: {workers: 2}\n"])
def test_settings_that_can_be_used_are_0(run, tmp_path, settings):
    ended = run("--check-config", settings=settings)

    assert ended.returncode == 0
    missing = " (there is none: defaults hold)" if settings is None else ""
    assert ended.stdout == f"{tmp_path}/etc/cachepilot/cachepilot.yaml is valid{missing}\n"
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("words", [["--check-config"], []])
def test_settings_that_are_wrong_are_1_and_every_mistake_is_told(run, words):
    ended = run(*words, settings="daemon: {workers: 0, pace: 3}\n")

    assert (ended.returncode, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize(
    "words", [["--chek-config"], ["now"], ["--log-level", "loud"], ["--root"]]
)
def test_wrong_usage_is_2(run, words):
    ended = run(*words)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: cachepilotd ")
