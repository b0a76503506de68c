"""The real daemon over an imagined engine: ``python -m tests.benchmarks.simulated_daemon ROOT``.

Given a second argument, the processor time until READY goes there as a profile.
"""

from __future__ import annotations

import cProfile
import sys
from pathlib import Path

from cachepilot.daemon.main import run
from tests.benchmarks.simulated import assemble, quiet_log


def main() -> None:
    root, *profile = sys.argv[1:]
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    parts, _, settings, stopping = assemble(Path(root))
    run(parts, settings, quiet_log(), stopping)
    if profile:
        profiler.disable()
        profiler.dump_stats(profile[0])


if __name__ == "__main__":
    main()
