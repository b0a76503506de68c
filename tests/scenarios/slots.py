"""A number nobody else on this machine uses: what keeps parallel hosts on one engine apart."""

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

_FOLDER = Path(tempfile.gettempdir()) / "cachepilot-scenario-slots"
_SLOTS = 16
_FIRST_PORT = 13_000
# A deleted tenant keeps its port, and one host may see every tenant of a whole run.
_PORTS_EACH = 1200
_PORTS_OF_A_KIND = 550


class Slot:
    """Ports, a subnet, user ids and a mark of one's own, until released or the process ends."""

    def __init__(self) -> None:
        _FOLDER.mkdir(exist_ok=True)
        # Where one test process begins its search follows from its id: fewer collisions.
        for step in range(_SLOTS):
            number = (os.getpid() + step) % _SLOTS
            file = os.open(_FOLDER / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._file, self.number = file, number
                return
            os.close(file)
        raise RuntimeError(f"all {_SLOTS} slots for scenarios are taken")

    def release(self) -> None:
        os.close(self._file)

    @property
    def mark(self) -> str:
        """Part of every tenant's name, because container names are unique on an engine."""
        return f"s{self.number}"

    @property
    def subnet(self) -> str:
        return f"10.150.{self.number * 4}.0/22"

    @property
    def metrics_port(self) -> int:
        return self._first + 1190

    def free_port(self, number: int) -> int:
        """Return one of thirty ports that no range of the settings holds."""
        return self._first + 2 * _PORTS_OF_A_KIND + number

    def settings(self) -> dict[str, object]:
        first, plain = self._first, self._first + _PORTS_OF_A_KIND
        uid = 720_000 + self.number * 1200
        return {
            "network": {"subnets": [self.subnet]},
            "ports": {
                "tls": {"first": first, "last": plain - 1},
                "plain": {"first": plain, "last": plain + _PORTS_OF_A_KIND - 1},
            },
            "uids": {"first": uid, "last": uid + 1199},
            "listen": {"port": self.metrics_port},
        }

    @property
    def _first(self) -> int:
        return _FIRST_PORT + self.number * _PORTS_EACH
