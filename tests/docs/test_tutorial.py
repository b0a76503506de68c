"""What the tutorial shows is what really happens."""

import os
import sys
from pathlib import Path

import pytest

from tests.docs.transcript import commands_of, missing_lines, run
from tests.scenarios.host import Host

TUTORIAL = Path("docs/tutorial/first-tenant.md")
# Where the quickstart's root lies in the transcript of the page.
SHOWN_ROOT = "/root/cachepilot/.quickstart/root"


@pytest.fixture
def host(tmp_path_factory):
    engine = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    host = Host(tmp_path_factory.mktemp("t"), engine)
    try:
        yield host.start()
    finally:
        host.close()


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="servers get user ids of their own: needs root")
def test_every_command_of_the_tutorial_prints_what_the_tutorial_shows(host, tmp_path):
    """The tenant has another name here, because names of containers are unique on an engine."""
    name = host.tenant("shop").name
    commands = commands_of(TUTORIAL)
    for each in commands:
        # A person waits a moment longer where a machine is slow; what is shown stays the same.
        each.text = each.text.replace("shop", name).replace("sleep 3", "sleep 10")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CACHEPILOT_ROOT": str(host.root),
        "DOCKER_HOST": host.settings["docker"]["socket"],
    }

    printed = run(commands, folder=tmp_path, env=environment)

    assert len(printed) == len(commands)
    for command, (status, output) in zip(commands, printed, strict=True):
        missing = missing_lines(
            command.shown,
            output,
            replacing={SHOWN_ROOT: "ROOT", str(host.root): "ROOT", name: "shop"},
        )
        assert not missing, f"$ {command.text}\n{output}\nlacks: {missing}"
        assert status == command.status, f"$ {command.text}\n{output}"
