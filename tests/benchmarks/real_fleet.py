"""What the daemon costs beside many real servers that need nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.systemd import Notifier
from cachepilot.daemon.service import Service
from cachepilot.settings import load_settings
from cachepilot.wiring import build
from tests.benchmarks.ground import Ground, grounds
from tests.benchmarks.measure import Goal, Row, Sample
from tests.benchmarks.simulated import quiet_log
from tests.benchmarks.simulated_fleet import compare, idle_rows
from tests.quiet import is_idle

_PATIENCE = 60.0


def measure_real_fleet(engine: str, tenants: int) -> Iterator[Row]:
    """Restart, resync and idle beside real servers."""
    tenants = tenants or 100
    whom = f"{tenants} real tenants"
    with grounds(engine) as ground:
        names = [f"bench-real-{number}" for number in range(tenants)]
        for name in names:
            ground.save(ground.stage(name))
        ground.start()
        ground.settled(names)
        ground.stop()
        daemon = ground.start()
        time.sleep(2.0)
        yield Row(
            what=f"daemon's process started over {whom}, unchanged → READY",
            ours=Sample(values=(daemon.ready_after,)),
            goal=Goal(most=1.5, of="p50"),
            counters=f"{daemon.effects()} effects in its first 2 s",
        )
        yield from idle_rows(daemon, whom)
        ground.stop()
        yield from _compare(ground, whom)


def _compare(ground: Ground, whom: str) -> Iterator[Row]:
    stopping = threading.Event()
    paths = RootPaths(ground.root)
    settings = load_settings(paths.settings_file)
    parts = build(paths, settings, stopping=stopping)
    service = Service(parts, settings, notifier=Notifier({}), log=quiet_log(), stopping=stopping)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        end = time.monotonic() + _PATIENCE
        while not (service._compared and is_idle(service._loop)):
            if time.monotonic() > end:
                raise RuntimeError("the service does not come to rest")
            time.sleep(0.05)
        yield from compare(service, whom)
    finally:
        stopping.set()
        thread.join(_PATIENCE)
