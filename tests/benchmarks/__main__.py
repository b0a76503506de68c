"""Run benchmarks and print what they found: ``python -m tests.benchmarks [NAME…]``."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

from tests.benchmarks import (
    births,
    changes,
    commands,
    real_fleet,
    replacements,
    simulated_fleet,
    takeovers,
    visits,
)
from tests.benchmarks.ground import alone, sweep, sweep_folders
from tests.benchmarks.measure import Row, render_markdown, render_text
from tests.benchmarks.simulated import FLEETS

Benchmark = Callable[[str, int], Iterator[Row]]

# Each is given the engine's address and how many tenants somebody asked for, or 0.
REAL: dict[str, Benchmark] = {
    "edit-to-pong": births.measure_edit_to_pong,
    "fleet": births.measure_fleet,
    "repair": births.measure_repair,
    "live-edit": changes.measure_live_edit,
    "replacement": replacements.measure_replacement,
    "take-over": takeovers.measure_takeover,
    "real-fleet": real_fleet.measure_real_fleet,
    "visit": visits.measure_visit,
}
SIMULATED: dict[str, Benchmark] = {
    "resync": simulated_fleet.measure_resync,
    "one-edit": simulated_fleet.measure_one_edit,
    "restart": simulated_fleet.measure_restart,
    "get-tenants": commands.measure_commands,
    "idle": simulated_fleet.measure_idle,
}
ALL = {**REAL, **SIMULATED}


def main() -> None:
    options = _parse()
    engine = os.environ.get("DOCKER_HOST", "")
    names = options.names or [*(REAL if engine else ()), *SIMULATED]
    if not engine and REAL.keys() & set(names):
        sys.exit("error: set DOCKER_HOST to the engine that may be used")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows: list[Row] = []
    with alone(), closing(FLEETS):
        sweep(engine)
        sweep_folders()
        for name in names:
            sys.stderr.write(f"-- {name}\n")
            for row in ALL[name](engine, options.tenants):
                rows.append(row)
                sys.stderr.write(render_text(row))
    if options.markdown:
        machine = f"{os.cpu_count()} cores, Linux {platform.release()}"
        sys.stdout.write(f"Measured on {machine}, Python {platform.python_version()}.\n\n")
        sys.stdout.write(render_markdown(rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*ALL, []], metavar="NAME", help=", ".join(ALL)
    )
    parser.add_argument(
        "--tenants", type=int, default=0, metavar="N", help="instead of each one's usual number"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table at the end")
    return parser.parse_args()


if __name__ == "__main__":
    main()
