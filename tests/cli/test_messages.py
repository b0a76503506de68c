"""What a person is told when something is off: what, why, and the way out."""

import os
import subprocess
import sys
import threading

import pytest

from tests.cli.hosts import document
from tests.mortal import MORTAL


def test_a_call_without_a_verb_shows_the_help_where_talk_belongs(host):
    ended = host.run()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: ")
    assert "Exit codes:" in ended.err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["config"], 2, "error: missing command\n"),
        (["events", "--types", "odd"], 2, "error: invalid value for '--types': there is no type "),
        (["pause"], 2, "error: expected either names of tenants or --all\n"),
        (["wait", "--for=delete"], 2, "error: expected either names of tenants, or --all or -l\n"),
        (["set", "acme", "spec..cpus=1"], 2, 'error: cannot read the path "spec..cpus"\n'),
        (["credentials"], 2, "error: missing argument 'NAME'\n"),
        (["completion"], 2, "error: missing argument 'bash|zsh|fish'. Choose from: bash, zsh, "),
        (["stop", "nobody"], 4, "error: there is no document of tenant nobody in "),
    ],
)
def test_a_mistake_is_named_on_one_line(host, args, code, message):
    host.write("acme.yaml", document())
    ended = host.run(*args)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(message)
    assert "  hint: " in ended.err


def test_one_broken_document_does_not_hide_the_plans_of_others(host):
    host.write("acme.yaml", document())
    host.write("beta.yaml", document("beta", "spec: {memroy: {}}\n"))
    host.write("gamma.yaml", document("gamma", "spec: {cpus: [}\n"))
    host.publish("gamma", "Invalid")
    ended = host.run("plan")
    assert ended.code == 3
    assert ended.out.startswith("tenant/acme: is new\n")
    assert "beta.yaml:5:8: spec.memroy" in ended.err
    assert "gamma.yaml:5:" in ended.err
    assert [item["metadata"]["name"] for item in host.run("plan", "-o", "json").items] == ["acme"]


def test_waiting_for_a_document_that_cannot_be_read_says_where_it_is_broken(host):
    host.write("acme.yaml", document(body="spec: {cpus: [}\n"))
    host.publish("acme", "Invalid")
    ended = host.run("wait", "acme", "--for=condition=Ready", "--timeout", "1s")
    assert ended.code == 7
    assert "acme.yaml:5:15: " in ended.err


def test_no_readable_status_is_5_and_one_unreadable_status_is_a_warning(host):
    host.publish("acme")
    host.paths.tenant_status("beta").write_text("{")
    ended = host.run("get", "tenants")
    assert (ended.code, "acme" in ended.out, "beta   Unknown" in ended.out) == (0, True, True)
    assert "warning: cannot read the status of beta" in ended.err
    for args in (["describe", "tenant", "beta"], ["get", "tenants", "beta"]):
        ended = host.run(*args)
        assert (ended.code, ended.out) == (5, "")
        assert "beta.json is not JSON" in ended.err


def test_what_another_program_writes_into_a_pipe_can_be_applied(host, tmp_path):
    """As in ``apply -f <(generate)``."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(document()))
    writer.start()
    assert host.run("apply", "-f", pipe).out == "tenant/acme created\n"
    writer.join()


def test_who_may_not_write_is_told_who_may(host, tmp_path):
    host.write("acme.yaml", document())
    host.paths.tenants_d.chmod(0o555)
    command = [sys.executable, "-m", "cachepilot.cli", "--root", tmp_path]
    try:
        run = subprocess.run(
            [*MORTAL, *command, "set", "acme", "spec.cpus=1"],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        host.paths.tenants_d.chmod(0o755)
    assert (run.returncode, run.stderr.splitlines()[-1]) == (1, "  hint: are you root?")
    assert "acme.yaml: permission denied" in run.stderr
    assert host.read("acme.yaml") == document().encode()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams_are_no_accident(host, tmp_path, closed):
    host.publish()
    run = subprocess.run(
        f"{sys.executable} -m cachepilot.cli --root {tmp_path} get tenants {closed}",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot go on" not in run.stderr
