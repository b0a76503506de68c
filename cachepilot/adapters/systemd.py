"""Telling systemd how we are: the notify protocol of sd_notify(3), which it declares stable."""

from __future__ import annotations

import socket
from collections.abc import Mapping


class Notifier:
    """Sends state to the service manager; silent when nobody asked for it.

    Args:
        environment: Where NOTIFY_SOCKET is found.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An "@" stands for the NUL byte of an abstract socket.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Say that start-up, or a reload, is over."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Say one line for people."""
        self._send(f"STATUS={status}")

    def reloading(self, monotonic: float) -> None:
        """Say that a reload begins, with the moment the manager needs to tell two apart."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self) -> None:
        """Say that we are going."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog; a manager without one takes no notice."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto(message.encode(), self._address)
            except OSError:
                return  # a manager that is gone must not take us with it
