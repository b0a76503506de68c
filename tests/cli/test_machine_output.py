"""Every verb that knows ``-o json`` prints nothing but JSON on stdout."""

import json
import subprocess
import sys

import click
import pytest

from cachepilot.cli.main import main
from cachepilot.cli.verbs import VERBS
from tests.cli.hosts import document


def commands():
    context = click.Context(main)
    for name in VERBS:
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            yield from (((name, below), inner) for below, inner in command.commands.items())
        else:
            yield (name,), command


CALLS = {
    ("get",): ["tenants"],
    ("describe",): ["tenant", "acme"],
    ("events",): [],
    ("wait",): ["acme", "--for=condition=Ready"],
    ("plan",): [],
    ("rollout", "status"): None,  # needs a daemon that spoke of it; see its own tests
    ("credentials",): None,  # needs a record; see its own tests
    ("apply",): ["-f", "{folder}"],
    ("diff",): ["-f", "{folder}"],
    ("edit",): None,  # needs an editor; see its own tests
    ("set",): ["acme", "spec.cpus=2"],
    ("start",): ["acme"],
    ("stop",): ["acme"],
    ("restart",): ["acme"],
    ("rotate",): ["acme"],
    ("pause",): ["acme"],
    ("resume",): ["--all"],
    ("delete",): ["acme", "--yes"],
    ("validate",): ["{folder}"],
    ("explain",): ["tenant.spec"],
    ("config", "check"): [],
    ("version",): [],
}


def test_every_verb_with_json_is_tried():
    with_json = {
        path
        for path, command in commands()
        for option in command.params
        if option.name == "output" and "json" in option.type.choices
    }
    assert with_json == set(CALLS)


@pytest.mark.parametrize(("path", "args"), [pair for pair in CALLS.items() if pair[1] is not None])
def test_stdout_is_json_and_nothing_else(host, path, args):
    host.write("acme.yaml", document())
    host.publish("acme", digest=host.digest_of("acme"))
    host.paths.host_status.unlink()
    filled = [arg.format(folder=host.paths.tenants_d) for arg in args]
    run = subprocess.run(
        [sys.executable, "-m", "cachepilot.cli", *path, *filled, "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"CACHEPILOT_ROOT": str(host.paths.root)},
        check=True,
    )
    content = json.loads(run.stdout)
    if content.get("kind") == "List":
        assert content["apiVersion"] == "cachepilot/v1"
        assert all({"apiVersion", "kind"} <= set(item) for item in content["items"])
