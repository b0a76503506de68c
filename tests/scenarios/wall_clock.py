"""A wall clock that jumps for one process; the seconds that it counts go on as ever."""

import subprocess
from pathlib import Path


class WallClock:
    """A clock whose difference from the true one a scenario sets, for whoever is started by it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall-clock"
        self.jump("+0")

    def jump(self, difference: str) -> None:
        """Show another time at once: `+400d` or `-2d`, counted from the true time."""
        beside = self._file.with_suffix(".new")
        beside.write_text(difference)
        beside.rename(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What a program has to be started with to live by this clock."""
        return {
            "LD_PRELOAD": subprocess.check_output(
                ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"], text=True
            ).strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
