"""The daemon's own life: its tenants outlive it, and everybody can tell how it is."""

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.scenarios.waiting import eventually, throughout


@pytest.fixture
def fleet_of_three(host):
    """Three tenants of different kinds, all Ready."""
    host.start()
    specs = ({}, {"persistence": {"mode": "aof"}}, {"access": {"mode": "plain-only"}})
    tenants = [host.tenant(f"life{n}").write(spec) for n, spec in enumerate(specs)]
    return [each.settle() for each in tenants]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_daemon_that_starts_over_running_tenants_does_nothing(host, fleet_of_three, end):
    with host.undisturbed(*fleet_of_three):
        getattr(host, end)()
        assert all(each.is_running() for each in fleet_of_three)
        started = time.time()
        host.start()
        # Beyond the next resync, so that everybody was visited.
        eventually(
            lambda: all(
                (host.status_folder / f"{each.name}.json").stat().st_mtime > started
                for each in fleet_of_three
            )
        )
        assert {each.word for each in fleet_of_three} == {"Ready"}


def test_it_stops_while_we_wait_even_with_work_on_its_hands(host, fleet_of_three):
    for number in range(4):
        host.tenant(f"newcomer{number}").write()

    assert host.stop() == 0

    assert all(each.is_running() for each in fleet_of_three)
    host.start()
    for each in host.tenants:
        each.settle()


def test_status_can_be_read_while_the_daemon_is_down(host, fleet_of_three):
    host.stop()

    shown = host.ctl("get", "tenants")

    assert shown.count("Ready") == 3


def test_a_second_daemon_refuses_and_harms_nobody(host, fleet_of_three):
    first = host.daemon
    with host.undisturbed(*fleet_of_three):
        second = host.spawn()
        assert second.wait(20) == 1
        assert f"pid {first.pid}" in host.log()
        host.daemon = first
        throughout(lambda: first.poll() is None, seconds=1)


def test_broken_settings_keep_the_old_ones_in_force(host, fleet_of_three):
    good = host.settings_file.read_text()
    with host.undisturbed(*fleet_of_three):
        host.put(host.settings_file, "kind: Settings\nunheard: of\n")
        host.hang_up()
        eventually(lambda: any("cachepilot.yaml" in text for text in host.problems()))
        assert "unheard" in " ".join(host.problems())
        host.ctl("config", "check", expect=3)

        host.put(host.settings_file, good)
        host.hang_up()
        eventually(lambda: host.problems() == [])
        host.ctl("config", "check")


def test_new_settings_reach_every_tenant_without_a_restart(host, fleet_of_three):
    with host.unbroken(*fleet_of_three):
        host.write_settings(defaults=host.settings["defaults"] | {"memory": {"max": "20MiB"}})
        host.hang_up()
        eventually(
            lambda: {each.config("maxmemory") for each in fleet_of_three} == {str(20 * 2**20)}
        )


def test_it_does_not_start_with_settings_that_cannot_be_used(host):
    host.put(host.settings_file, "kind: Settings\nunheard: of\n")

    assert host.spawn().wait(20) == 1
    assert "unheard" in host.log()


def test_systemd_is_told_of_everything(host, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0.2)
        told = []

        def is_told(pattern):
            try:
                while True:
                    told.append(manager.recv(4096).decode())
            except TimeoutError:
                return any(re.search(pattern, message, re.MULTILINE) for message in told)

        host.start(env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"})
        eventually(lambda: is_told(r"^READY=1$"))
        host.tenant("told").write().settle()
        eventually(lambda: is_told(r"^STATUS=1 tenants?: 1 Ready"))
        eventually(lambda: is_told(r"^WATCHDOG=1$"))

        told.clear()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        host.hang_up()
        eventually(lambda: is_told(r"^RELOADING=1$") and is_told(r"^READY=1$"))
        reload = next(message for message in told if "RELOADING" in message)
        moment = int(re.search(r"^MONOTONIC_USEC=(\d+)$", reload, re.MULTILINE)[1])
        assert before <= moment <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

        host.stop()
        eventually(lambda: is_told(r"^STOPPING=1$"))


def test_health_and_metrics_are_served_and_make_sense(host, fleet_of_three):
    assert host.page("livez")[0] == host.page("readyz")[0] == 200
    host.tenant("broken").write({"engine": {"image": "cachepilot-lab/redis:0.0"}})
    eventually(host.tenants[-1].status)
    # A broken tenant does not make the daemon unready.
    assert host.page("readyz")[0] == 200

    status, text = host.page("metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert status == 200
    assert all(family.documentation and family.type != "unknown" for family in families.values())
    assert all(name.startswith(("cachepilot_", "process_", "python_")) for name in families), set(
        families
    )
    seen = [
        (s.name, tuple(sorted(s.labels.items()))) for f in families.values() for s in f.samples
    ]
    assert len(seen) == len(set(seen))
    named = {dict(labels).get("tenant") for _, labels in seen}
    assert {each.name for each in fleet_of_three} <= named
    assert host.page("unheard-of")[0] == 404


def test_it_listens_on_this_host_only(host):
    host.start()
    port = f"{host.slot.metrics_port:04X}"
    lines = [
        line.split()
        for file in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{file}").read_text().splitlines()[1:]
    ]

    listening = [words[1] for words in lines if words[3] == "0A" and words[1].endswith(f":{port}")]

    assert listening == [f"0100007F:{port}"]


def test_a_signal_of_impatience_twice_still_leaves_everything_whole(host, fleet_of_three):
    for _ in range(2):
        os.kill(host.daemon.pid, signal.SIGINT)
    assert host.daemon.wait(30) == 0
    with host.undisturbed(*fleet_of_three):
        host.start()
