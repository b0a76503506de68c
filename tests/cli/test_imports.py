"""What is listed a thousand times a day must not load what it does not need."""

import subprocess
import sys

import pytest

HEAVY = {
    "pydantic", "pydantic_core", "docker", "redis", "cryptography", "ruamel", "ruamel.yaml",
    "prometheus_client", "watchfiles", "asyncio",
}  # fmt: skip


def loaded_by(*args, env=None):
    code = (
        "import sys\n"
        "from cachepilot.cli.main import main\n"
        f"sys.argv = ['cachepilotctl', *{list(map(str, args))!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('\\n'.join(['', 'MODULES', *sys.modules]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env or {}
    )
    return set(run.stdout.partition("\nMODULES\n")[2].splitlines())


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["version"],
        ["get", "tenants"],
        ["get", "tenants", "-o", "yaml"],
        ["describe", "tenant", "acme"],
        ["events"],
        ["apply", "--help"],
        ["set", "--help"],
        ["wait", "--help"],
        ["edit", "--help"],
        ["completion", "bash"],
    ],
)
def test_looking_and_helping_load_nothing_heavy(host, args):
    host.publish("acme")
    modules = loaded_by("--root", host.paths.root, *args)
    assert "cachepilot.cli.main" in modules
    assert HEAVY & modules == set()


@pytest.mark.parametrize("words", ["get tenants a", "restart a", "set a", "wait --for=x a"])
def test_completion_loads_nothing_heavy(host, words):
    host.publish("acme")
    env = {
        "CACHEPILOT_ROOT": str(host.paths.root),
        "_CACHEPILOTCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": f"cachepilotctl {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    modules = loaded_by(env=env)
    assert "cachepilot.cli.names" in modules
    assert HEAVY & modules == set()


def test_the_test_would_notice(host):
    host.write("acme.yaml", "")
    assert {"pydantic", "ruamel.yaml"} <= loaded_by("validate", host.paths.tenants_d)


def test_no_verb_loads_docker_redis_or_the_daemon(host):
    modules = loaded_by("--root", host.paths.root, "plan")
    assert "cachepilot.plan.planner" in modules
    assert {
        "docker",
        "redis",
        "cryptography",
        "prometheus_client",
        "watchfiles",
    } & modules == set()
