"""The daemon around real files, on a host whose Docker does not answer."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from cachepilot import clock
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.systemd import Notifier
from cachepilot.daemon.logging import Logger
from cachepilot.daemon.loop import Beat
from cachepilot.daemon.main import prepare
from cachepilot.daemon.service import Service
from cachepilot.plan.shape import LONGEST_STOP
from cachepilot.settings import load_settings
from cachepilot.status.conditions import ConditionType
from cachepilot.wiring import build
from tests.builders import text

SOON = 20.0
DOCKER = '{socket: "tcp://127.0.0.1:1"}'


@dataclass
class Daemon:
    """One root, and a service over it for each time it is started."""

    paths: RootPaths
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self.paths.tenants_d.mkdir(parents=True)
        prepare(self.paths)
        self.configure("")

    def configure(self, more, *, docker=DOCKER):
        settings = f"docker: {docker}\nlisten: {{port: 0}}\n{more}"
        self.paths.settings_file.write_text(settings)

    def write(self, name, content):
        (self.paths.tenants_d / f"{name}.yaml").write_text(content)

    def remove(self, name):
        (self.paths.tenants_d / f"{name}.yaml").unlink()

    def make(self, notifier=None):
        settings = load_settings(self.paths.settings_file)
        self.parts = build(self.paths, settings, stopping=self.stopping)
        log = Logger(io.StringIO(), least="error")
        return Service(
            self.parts,
            settings,
            notifier=notifier or Notifier({}),
            log=log,
            stopping=self.stopping,
        )

    def is_published(self, name):
        return self.paths.tenant_status(name).exists()

    def await_published(self, name, *, there):
        end, waiting = clock.monotonic() + SOON, threading.Event()
        while self.is_published(name) is not there:
            assert clock.monotonic() < end
            waiting.wait(0.02)


@pytest.fixture
def daemon(tmp_path):
    return Daemon(RootPaths(tmp_path))


@pytest.fixture
def run(daemon):
    """Start a service; all of them end with the test."""
    threads = []

    def start():
        service = daemon.make()
        threads.append(threading.Thread(target=service.run))
        threads[-1].start()
        return lambda: stop(threads[-1])

    def stop(thread):
        daemon.stopping.set()
        thread.join(SOON)
        assert not thread.is_alive()
        daemon.stopping.clear()

    yield start
    daemon.stopping.set()
    for thread in threads:
        thread.join(SOON)


def test_the_status_of_a_file_that_never_was_valid_goes_with_the_file(daemon, run):
    daemon.write("typo", text("typo", memory={"max": "lots"}))
    daemon.write("other", text("other"))
    run()
    daemon.await_published("typo", there=True)

    daemon.remove("typo")

    daemon.await_published("typo", there=False)
    assert daemon.is_published("other")


def test_the_last_file_takes_its_status_along(daemon, run):
    daemon.write("typo", text("typo", memory={"max": "lots"}))
    run()
    daemon.await_published("typo", there=True)

    daemon.remove("typo")

    daemon.await_published("typo", there=False)


def test_a_daemon_withdraws_what_the_one_before_said_about_nobody(daemon, run):
    daemon.write("typo", text("typo", memory={"max": "lots"}))
    daemon.write("served", text("served"))
    stop = run()
    daemon.await_published("typo", there=True)
    daemon.await_published("served", there=True)
    stop()
    daemon.remove("typo")
    daemon.remove("served")

    run()

    daemon.await_published("typo", there=False)
    # It was valid, so there is a record; whether it may go is another question.
    assert daemon.is_published("served")


def test_the_folder_is_read_every_ten_seconds_even_if_nothing_seems_to_have_happened(daemon):
    daemon.write("acme", text("acme"))

    assert daemon.make()._refresh() == 10.0


def test_what_changes_behind_a_link_is_found_when_the_folder_is_read_anyway(
    daemon, run, tmp_path, monkeypatch
):
    monkeypatch.setattr("cachepilot.daemon.service._REFRESH_EVERY", 0.2)
    target = tmp_path / "target"
    target.write_text(text("one"))
    (daemon.paths.tenants_d / "linked.yaml").symlink_to(target)
    run()
    daemon.await_published("one", there=True)

    target.write_text(f"{text('one')}---\n{text('two')}")

    daemon.await_published("two", there=True)


def test_no_visit_says_new_settings_about_what_was_read_under_the_old(daemon):
    """A visit in the middle of a reload speaks of the settings that its reading was made by."""
    daemon.write("acme", text("acme", memory={"max": "64MiB"}))
    service = daemon.make()
    service._read_folder()
    said = []

    def visit():
        status = service._visit("acme", lambda _: None).status
        said.append((status.settings_digest, status.condition(ConditionType.SPEC_VALID).status))

    visit()
    ((before, _),) = said
    refresh = daemon.parts.brake.refresh

    def slow_refresh(now):
        visit()
        changed = refresh(now)
        visit()
        return changed

    daemon.parts.brake.refresh = slow_refresh
    daemon.configure("limits: {memory: 32MiB}\ndefaults: {memory: {max: 16MiB}}\n")
    service._use_new_settings()
    visit()

    new = load_settings(daemon.paths.settings_file).digest
    assert said[-1] == (new, "False")
    assert all(valid == "False" for digest, valid in said if digest == new)
    assert {digest for digest, _ in said} == {before, new}


def test_no_worker_counts_as_stuck_while_docker_may_still_answer(daemon):
    daemon.configure("", docker='{socket: "tcp://127.0.0.1:1", timeout: 1h}')
    service = daemon.make()
    service._loop.beats["worker-0"] = Beat(clock.monotonic(), "acme")
    slowest = LONGEST_STOP + timedelta(hours=1)

    service._loop.beats["worker-0"].at -= slowest.total_seconds()
    assert service._reporter.stuck(service._longest_action) == {}
    service._loop.beats["worker-0"].at -= timedelta(hours=10).total_seconds()
    assert service._reporter.stuck(service._longest_action)


class Heard(Notifier):
    """What the service manager hears of one beat; the service is told to stop during it."""

    def __init__(self, stopping):
        super().__init__({})
        self.stopping, self.messages = stopping, []

    def _send(self, message):
        self.messages.append(message)
        self.stopping.set()


IDLE = timedelta(seconds=20)
BUSY = LONGEST_STOP + timedelta(seconds=100)


@pytest.mark.parametrize(
    ("beats", "is_fed"),
    [
        ({}, True),
        ({"worker-0": (IDLE, None)}, True),
        ({"worker-0": (2 * IDLE, None)}, False),
        ({"worker-0": (2 * IDLE, "acme")}, True),
        ({"worker-0": (BUSY, "acme")}, True),
        ({"worker-0": (BUSY + IDLE, "acme")}, False),
        ({"worker-0": (timedelta(), None), "worker-1": (2 * IDLE, None)}, False),
    ],
)
def test_the_watchdog_is_fed_while_every_worker_shows_signs_of_life(
    daemon, monkeypatch, beats, is_fed
):
    """A thread that only keeps time would feed it although nobody is served any more."""
    monkeypatch.setattr("cachepilot.daemon.service._TICK", 0.0)
    daemon.configure(
        "daemon: {watchdog: 30s}\n", docker='{socket: "tcp://127.0.0.1:1", timeout: 10s}'
    )
    manager = Heard(daemon.stopping)
    service = daemon.make(manager)
    for worker, (silent, visiting) in beats.items():
        service._loop.beats[worker] = Beat(
            clock.monotonic() - silent.total_seconds() + 1, visiting
        )

    service._keep_time()

    assert manager.messages[0].startswith("STATUS=0 tenants")
    assert manager.messages[1:] == (["WATCHDOG=1"] if is_fed else [])


def test_a_clock_that_jumps_makes_no_worker_look_stuck(daemon, monkeypatch):
    service = daemon.make()
    service._loop.beats["worker-0"] = Beat(clock.monotonic())
    utc_now = clock.utc_now

    for jump in (timedelta(days=400), -timedelta(days=400)):
        monkeypatch.setattr(clock, "utc_now", lambda jump=jump: utc_now() + jump)
        assert service._reporter.stuck(service._longest_action) == {}
