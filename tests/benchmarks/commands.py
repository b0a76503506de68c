"""What a person waits for at the prompt: whole processes of ``cachepilotctl``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.ground import as_installed
from tests.benchmarks.measure import Goal, Row, Sample, Stopwatch
from tests.benchmarks.simulated import FLEETS
from tests.benchmarks.simulated_fleet import TENANTS

_TURNS = 9


def measure_commands(_engine: str, tenants: int) -> Iterator[Row]:
    """Run the command line over many published statuses, against a Python that does nothing."""
    tenants = tenants or TENANTS
    ground, _ = FLEETS.get(tenants)
    program = str(Path(sys.executable).parent / "cachepilotctl")
    floor = _time([sys.executable, "-c", "pass"], ground.root)
    for words, goal in (
        (("get", "tenants"), Goal(most=0.4, of="p50")),
        (("get", "tenants", "-o", "json"), None),
        (("get", "tenants", "bench-0001"), None),
        (("describe", "tenant", "bench-0001"), None),
        (("--help",), None),
        (("version",), None),
    ):
        yield Row(
            what=f"`cachepilotctl {' '.join(words)}`, {tenants} tenants",
            ours=_time([program, *words], ground.root),
            floor=floor,
            floor_is="`python -c pass`",
            goal=goal,
        )


def _time(command: list[str], root: Path) -> Sample:
    watch = Stopwatch()
    environment = {**as_installed(root), "CACHEPILOT_ROOT": str(root)}
    for _ in range(_TURNS):
        with watch.lap():
            subprocess.run(
                command,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    return watch.sample()
