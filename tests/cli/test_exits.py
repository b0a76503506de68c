"""Every exit code that is promised, and the three parts in which errors are told."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from tests.cli.hosts import document


def test_0_done(host):
    host.publish()
    assert host.run("get", "tenants").code == 0


def test_1_failed(host):
    host.write("acme.yaml", document())
    host.paths.settings_file.write_text("unknown: 1\n")
    ended = host.run("stop", "acme")
    assert ended.code == 1
    assert "cachepilot.yaml:1:1: unknown: unknown key" in ended.err


@pytest.mark.parametrize(
    "args",
    [
        ["gte", "tenants"],
        ["get"],
        ["get", "foo"],
        ["get", "tenants", "--bogus"],
        ["get", "tenants", "Not_A_Name"],
        ["describe"],
        ["set", "acme"],
        ["wait", "acme", "--for", "nothing"],
        ["wait", "--for", "condition=Ready"],
        ["pause"],
        ["pause", "acme", "--all"],
        ["delete", "acme"],
        ["edit", "tenant", "acme"],
        ["credentials", "acme"],
        ["completion", "tcsh"],
        ["events", "--types", "Odd"],
        ["apply"],
    ],
)
def test_2_usage(host, args):
    ended = host.run(*args)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")


def test_3_invalid(host):
    path = host.write("acme.yaml", document(body="spec: {memroy: {}}\n"))
    for args in (["apply", "-f", path], ["validate", path], ["set", "acme", "spec.cpus=1"]):
        ended = host.run(*args)
        assert ended.code == 3
        assert "acme.yaml:5:" in ended.out + ended.err
        assert 'did you mean "memory"?' in ended.out + ended.err


def test_4_not_found(host):
    host.publish("acme")
    host.write("acme.yaml", document())
    for args in (
        ["get", "tenants", "acne"],
        ["describe", "tenant", "acne"],
        ["set", "acne", "spec.cpus=1"],
        ["wait", "acne", "--for=condition=Ready"],
    ):
        ended = host.run(*args)
        assert (ended.code, 'did you mean "acme"?' in ended.err) == (4, True), args


def test_5_no_status(host):
    host.write("acme.yaml", document())
    for path in host.paths.status.iterdir():
        path.unlink()
    host.paths.status.rmdir()
    for args in (["get", "tenants"], ["describe", "tenant/acme"], ["plan"]):
        ended = host.run(*args)
        assert ended.code == 5, args
        assert "is cachepilotd running" in ended.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not look")
def test_5_no_permission(host, tmp_path):
    host.publish()
    tmp_path.chmod(0o755)
    host.paths.status.chmod(stat.S_IRWXU)
    code = "import os, cachepilot.cli.main as m, cachepilot.cli.get; os.setuid(65534); m.main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "--root", tmp_path, "get", "tenants"],
        capture_output=True,
        text=True,
        check=False,
    )
    if str(tmp_path) not in run.stderr:
        pytest.skip("the folder of tests is closed to others")
    assert (run.returncode, "permission denied" in run.stderr) == (5, True), run.stderr


def test_6_degraded(host):
    host.publish("acme", "Stalled")
    assert host.run("get", "tenants", "--fail-on", "degraded").code == 6


def test_7_timed_out(host):
    host.write("acme.yaml", document())
    host.publish("acme", "NotReady")
    ended = host.run("wait", "acme", "--for=condition=Ready", "--timeout", "3s")
    assert ended.code == 7
    assert "acme: NotReady" in ended.err
    assert host.passed >= 3


def test_8_conflict(host, tmp_path):
    host.write("acme.yaml", document())
    new = tmp_path / "work/acme.yaml"
    new.write_text(document(body="spec: {cpus: 2}\n"))
    ended = host.run("apply", "-f", new, "--if-hash", "0" * 64)
    assert ended.code == 8
    assert host.read("acme.yaml") == document().encode()


def test_130_interrupted(host, tmp_path):
    host.publish()
    run = subprocess.Popen(
        [sys.executable, "-m", "cachepilot.cli", "--root", tmp_path, "get", "tenants", "-w"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run.stdout.readline()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert (run.returncode, "Traceback" in err) == (130, False)


def test_an_error_has_three_parts(host):
    host.publish("acme")
    assert host.run("get", "tenants", "acne").err == (
        'error: there is no tenant "acne"\n  hint: did you mean "acme"?\n'
    )
    for path in host.paths.status.iterdir():
        path.unlink()
    host.paths.status.rmdir()
    error, cause, hint = host.run("get", "tenants").err.splitlines()
    assert error == "error: cannot read the published status"
    assert cause.startswith("  cause: there is no folder ")
    assert hint.startswith("  hint: ")


def test_no_traceback_without_debug(host, monkeypatch):
    def fail(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr("cachepilot.cli.get.published_tenants", fail)
    assert "Traceback" not in host.run("get", "tenants").err
    assert "Traceback" in host.run("get", "tenants", "--debug").err


def test_diff_has_its_own_codes(host, tmp_path):
    new = tmp_path / "work/acme.yaml"
    new.write_text(document())
    assert host.run("diff", "-f", new).code == 1
    host.write("acme.yaml", document())
    assert host.run("diff", "-f", new).code == 0
    new.write_text("bad: 1\n")
    assert host.run("diff", "-f", new).code == 2
    assert host.run("diff", "-f", tmp_path / "nowhere").code == 2
    assert host.run("diff").code == 2


def test_a_reader_that_had_enough_is_no_error(host, tmp_path):
    for number in range(300):
        host.publish(f"t{number}")
    run = subprocess.run(
        f"{sys.executable} -m cachepilot.cli --root {tmp_path} get tenants -o yaml | head -1; "
        "echo ${PIPESTATUS[0]}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["apiVersion: cachepilot/v1", "0"]
    assert run.stderr == "" or "daemon not running" in run.stderr


@pytest.mark.parametrize("place", ["before", "after"])
def test_global_options_stand_before_or_after_the_verb(host, tmp_path, place):
    host.publish()
    options = ["--root", tmp_path, "-q", "--color", "always"]
    verb = ["get", "tenants"]
    args = [*options, *verb] if place == "before" else [*verb, *options]
    run = subprocess.run(
        [sys.executable, "-m", "cachepilot.cli", *args], capture_output=True, text=True, check=True
    )
    assert "\x1b[" in run.stdout
    assert run.stderr == ""


@pytest.mark.parametrize(
    ("env", "args", "is_coloured"),
    [
        ({}, [], False),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, [], True),
        ({"NO_COLOR": "1"}, ["--color=always"], True),
        ({"FORCE_COLOR": "1"}, ["--color=never"], False),
    ],
)
def test_colour_is_used_when_wanted(host, env, args, is_coloured):
    host.publish()
    assert ("\x1b[" in host.run("get", "tenants", *args, env=env).out) == is_coloured


@pytest.mark.parametrize("args", [["get", "tenants", "nobody"], ["get", "--bogus"], ["gte"]])
def test_errors_are_coloured_by_the_same_rule(host, args):
    host.publish()
    assert "\x1b[31m" in host.run("--color", "always", *args).err
    assert "\x1b[31m" in host.run(*args, env={"FORCE_COLOR": "1"}).err
    assert "\x1b[31m" not in host.run("--color", "never", *args, env={"FORCE_COLOR": "1"}).err
    assert "\x1b[31m" not in host.run(*args, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).err


def test_the_environment_names_the_root(host, tmp_path):
    host.publish()
    run = subprocess.run(
        [sys.executable, "-m", "cachepilot.cli", "get", "tenants", "-o", "name"],
        capture_output=True,
        text=True,
        check=True,
        env={"CACHEPILOT_ROOT": str(tmp_path)},
    )
    assert run.stdout == "tenant/acme\n"
