"""Completion as the shells do it; bash itself is asked, the others get their scripts checked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("cachepilotctl")


def offered(host, *words):
    run = subprocess.run(
        [PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": os.environ["PATH"],
            "CACHEPILOT_ROOT": str(host.paths.root),
            "_CACHEPILOTCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["cachepilotctl", *words]),
            "COMP_CWORD": str(len(words)),
        },
    )
    return [line.partition(",")[2] for line in run.stdout.splitlines() if line]


@pytest.fixture
def tenants(host):
    for name in ("acme", "acorn", "beta"):
        host.publish(name)
    return host


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["des"], ["describe"]),
        (["restart", "ac"], ["acme", "acorn"]),
        (["restart", "tenant/b"], ["tenant/beta"]),
        (["get", "ten"], ["tenant", "tenants"]),
        (["get", "tenants", "a"], ["acme", "acorn"]),
        (["describe", "tenant", "b"], ["beta"]),
        (["set", "b"], ["beta"]),
        (["events", "--for", "ac"], ["acme", "acorn"]),
        (["get", "tenants", "-o", "j"], ["json"]),
        (["explain", "ten"], ["tenant"]),
    ],
)
def test_verbs_names_and_choices_are_completed(tenants, words, expected):
    assert offered(tenants, *words) == expected


def test_without_status_nothing_is_offered_and_nothing_fails(host):
    for path in host.paths.status.iterdir():
        path.unlink()
    host.paths.status.rmdir()
    assert offered(host, "restart", "ac") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_script_works_in_a_real_bash(tenants):
    script = (
        f'export PATH="{PROGRAM.parent}:$PATH" CACHEPILOT_ROOT={tenants.paths.root}\n'
        'eval "$(cachepilotctl completion bash)"\n'
        "complete -p cachepilotctl\n"
        "COMP_WORDS=(cachepilotctl restart ac) COMP_CWORD=2\n"
        "_cachepilotctl_completion cachepilotctl ac restart\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    run = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[1:] == ["acme", "acorn"]
    assert run.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_for_this_program(host, shell):
    script = host.run("completion", shell).out
    assert "_CACHEPILOTCTL_COMPLETE" in script
    assert "%(" not in script
