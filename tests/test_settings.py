"""The daemon's settings file."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from cachepilot.errors import SettingsError
from cachepilot.settings import Settings, check_settings, load_settings
from cachepilot.spec.rules import Rules


def load(folder: Path, source: str | bytes) -> Settings:
    path = folder / "cachepilot.yaml"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return load_settings(path)


def refusal(folder: Path, source: str | bytes) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(folder, source)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_no_file_means_all_defaults(tmp_path):
    found = load_settings(tmp_path / "cachepilot.yaml")

    assert found == Settings()
    assert found.rules() == Rules()
    assert found.docker.socket == "unix:///var/run/docker.sock"
    assert (found.daemon.workers, found.daemon.resync) == (4, timedelta(minutes=10))
    assert (found.listen.address, found.listen.port) == ("127.0.0.1", 9621)


@pytest.mark.parametrize("source", ["", "# nothing yet\n", "---\n", "defaults:\nlimits:\n"])
def test_empty_file_means_all_defaults(tmp_path, source):
    assert load(tmp_path, source) == Settings()


def test_what_is_said_arrives(tmp_path):
    found = load(
        tmp_path,
        """
apiVersion: cachepilot/v1
kind: Settings
docker: {socket: "unix:///run/lab.sock", timeout: 5s}
defaults:
  engine: {image: "valkey:8.1", config: {maxclients: 100}}
  memory: {max: 64MiB, policy: noeviction}
  cpus: 0.5
  persistence: {mode: rdb}
  access: {mode: dual-mode, bind: [192.0.2.1]}
  tls: {lifetime: 30d}
network:
  subnets:
    - 10.50.0.0/22
    - 10.50.4.0/22
daemon: {workers: 8, resync: 1m, debounceMilliseconds: 20, watchdog: 10s}
listen: {port: 0}
""",
    )

    rules = found.rules()
    assert type(rules) is Rules
    assert found.docker.socket == "unix:///run/lab.sock"
    assert found.docker.timeout == timedelta(seconds=5)
    assert rules.defaults.engine.image == "valkey:8.1"
    assert rules.defaults.engine.config.maxclients == 100
    assert rules.defaults.memory.max == 64 * 2**20
    assert rules.defaults.access.bind == ["192.0.2.1"]
    assert rules.network.subnets == ["10.50.0.0/22", "10.50.4.0/22"]
    assert (found.daemon.workers, found.daemon.debounceMilliseconds) == (8, 20)
    assert found.daemon.watchdog == timedelta(seconds=10)
    assert found.listen.port == 0


def test_socket_may_be_a_path(tmp_path):
    assert load(tmp_path, "docker: {socket: /x.sock}\n").docker.socket == "unix:///x.sock"


def test_all_problems_are_told_with_their_places(tmp_path):
    assert refusal(
        tmp_path,
        "kind: Setings\ndocker: {socket: 'tcp:/x', timout: 3s}\nhostnames: [a]\n"
        "network: {subnets: [10.0.0.0/8, 10.1.0.0/16]}\nscripting: yes\n"
        "ports: {tls: {first: 9, last: 1}, plain: {first: 7000, last: 6999}}\nscripting: true\n",
    ) == [
        'cachepilot.yaml:1:7: kind: expected Settings; got "Setings" (did you mean "Settings"?)',
        (
            "cachepilot.yaml:2:18: docker.socket: expected the path of a socket, unix:///path or "
            'tcp://host:port; got "tcp:/x"'
        ),
        'cachepilot.yaml:2:28: docker.timout: unknown key "timout" (did you mean "timeout"?)',
        'cachepilot.yaml:3:1: hostnames: unknown key "hostnames" (did you mean "hostNames"?)',
        "cachepilot.yaml:4:10: network: the subnets 10.0.0.0/8 and 10.1.0.0/16 overlap",
        (
            'cachepilot.yaml:5:12: scripting: "yes" is not a boolean in YAML 1.2 (write true or '
            "false)"
        ),
        "cachepilot.yaml:6:22: ports.tls.first: expected at least 1024; got 9",
        "cachepilot.yaml:6:31: ports.tls.last: expected at least 1024; got 1",
        "cachepilot.yaml:6:42: ports.plain: `last` is lower than `first`",
        (
            'cachepilot.yaml:7:1: scripting: duplicate key "scripting", first written in line 5 '
            "(keep one of them)"
        ),
    ]


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("limits: {memory: 128MiB}\n", "1:1: defaults.memory.max"),
        ("limits: {images: [valkey*]}\n", "1:1: defaults.engine.image"),
        ("defaults: {tls: {lifetime: 10m}}\n", "1:28: defaults.tls.lifetime"),
        ("defaults: {access: {bind: [0.0.0.0]}}\n", "1:28: defaults.access.bind[0]"),
        ("defaults: {cpus: 4}\nlimits: {cpus: 2}\n", "1:18: defaults.cpus"),
    ],
)
def test_defaults_that_no_tenant_could_use_are_found_at_once(tmp_path, source, where):
    (line,) = refusal(tmp_path, source)

    assert line.startswith(f"cachepilot.yaml:{where}: ")


def test_ranges_of_ports_must_not_overlap(tmp_path):
    (line,) = refusal(tmp_path, "ports: {tls: {first: 7500, last: 7700}}\n")

    assert line == "cachepilot.yaml:1:8: ports: the ranges `tls` and `plain` overlap"


@pytest.mark.parametrize(
    "source",
    [b"\0", b"\xff\xfe", b"[" * 30_000, b"a: [\n", b"x" * 300_000, b"- 1\n", b"a: 1\n---\nb: 2\n"],
)
def test_nonsense_is_refused_with_a_sentence(tmp_path, source):
    (line,) = refusal(tmp_path, source)

    assert line.startswith("cachepilot.yaml")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    for name in ("pipe", "loop", "."):
        with pytest.raises(SettingsError, match="cannot be read"):
            load_settings(tmp_path / name)


def test_digest_is_about_what_is_in_force(tmp_path):
    """Writing down a default, or a comment, changes nothing; another value does."""
    silent, said = load(tmp_path, "# x\n"), load(tmp_path, "daemon: {workers: 4}\n")
    other = load(tmp_path, "removalGrace: 11m\n")

    assert silent.digest == said.digest
    assert other.digest != silent.digest


def test_what_a_reload_takes_over_is_not_named(tmp_path):
    taken_over = "ports: {quarantine: 2d}\ndaemon: {resync: 1h, watchdog: 1m}\nlimits: {cpus: 2}\n"

    assert load(tmp_path, taken_over).differs_at_start(load(tmp_path, "{}\n")) == []


def test_settings_that_are_read_only_at_the_start_are_named(tmp_path):
    before = load(tmp_path, "daemon: {workers: 2}\n")
    after = load(
        tmp_path, "daemon: {workers: 3, resync: 1h}\nlisten: {port: 9000}\nscripting: false\n"
    )

    assert after.differs_at_start(before) == ["listen", "daemon.workers"]
    assert before.differs_at_start(before) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("canary", -1),
        ("canary", "ten"),
        ("canary", "101%"),
        ("canary", True),
        ("maxUnavailable", 0),
        ("maxUnavailable", "0%"),
        ("settle", "0s"),
        ("resumedAt", "now"),
    ],
)
def test_a_pace_that_cannot_be_kept_is_refused_at_its_place(tmp_path, key, value):
    path = tmp_path / "cachepilot.yaml"
    path.write_text(json.dumps({"rollout": {key: value}}))
    (problem,) = check_settings(path)
    assert problem.where == f"rollout.{key}"
    assert problem.line == 1


def test_only_defaults_that_need_a_restart_are_rolled_out(tmp_path):
    def target(**defaults):
        path = tmp_path / "cachepilot.yaml"
        path.write_text(json.dumps({"defaults": defaults}))
        return check_settings(path).rollout_target()

    plain = target()
    assert target(memory={"max": "64MiB"}, engine={"config": {"timeout": 60}}) == plain
    for other in (
        {"engine": {"image": "redis:7.0"}},
        {"engine": {"config": {"databases": 4}}},
        {"access": {"mode": "dual-mode"}},
        {"access": {"bind": ["127.0.0.2"]}},
    ):
        assert target(**other) != plain
