from __future__ import annotations

import os
import socket

import pytest

from cachepilot.adapters.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's end of the channel, and how it is announced."""
    name = str(tmp_path / "notify")
    if request.param == "abstract":
        name = f"@cachepilot-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        channel.settimeout(10)
        yield name, lambda: channel.recv(4096).decode()


def test_every_state_is_told_in_the_managers_words(manager):
    address, receive = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})

    notifier.ready("3 tenants")
    notifier.status("3 tenants: 2 Ready")
    notifier.reloading(12.5)
    notifier.alive()
    notifier.stopping()

    assert [receive() for _ in range(5)] == [
        "READY=1\nSTATUS=3 tenants",
        "STATUS=3 tenants: 2 Ready",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_nobody_is_told_when_nobody_asked():
    Notifier({}).ready("fine")


def test_a_manager_that_is_gone_does_not_take_us_with_it(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("fine")


def test_no_descriptor_is_left_behind(manager):
    address, receive = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names only

    for _ in range(10):
        notifier.alive()
        receive()

    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - names only
