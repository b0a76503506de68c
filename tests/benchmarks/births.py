"""How long customers wait for a server: a new one, a whole fleet, and one that was removed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

from tests.benchmarks.bare import Bare
from tests.benchmarks.customer import Customer, Door
from tests.benchmarks.ground import Ground, grounds
from tests.benchmarks.measure import Goal, Row, Sample

MODEL = "bench-model"


def measure_edit_to_pong(engine: str, tenants: int) -> Iterator[Row]:
    """Save a file, wait for a PONG; beside each, the same by ``docker run -d`` and by the API."""
    with grounds(engine) as ground:
        bare, customer = _begin(ground)
        client = bare.client()
        ours, command, command_pong, calls = [], [], [], []
        for number in range(tenants or 15):
            name = f"bench-edit-{number}"
            staged = ground.stage(name)
            began = time.perf_counter()
            ground.save(staged)
            ours.append(customer.waits(partial(_door, ground, name)) - began)
            bare.prepare(0)
            began = time.perf_counter()
            bare.run_command(0)
            command.append(time.perf_counter() - began)
            found = customer.waits(partial(bare.door, 0))
            command_pong.append(found - began)
            bare.remove(client, 0)
            bare.prepare(1)
            began = time.perf_counter()
            bare.create_and_start(client, 1)
            calls.append(time.perf_counter() - began)
            bare.remove(client, 1)
        daemon = ground.daemon
        counters = f"{daemon.effects() if daemon else 0} effects for {len(ours) + 1} tenants"
    for floor_is, floor, goal in (
        ("`docker run -d`", command, Goal(most=1.5, of="ratio")),
        ("`docker run -d` → PONG", command_pong, None),
        ("API create + start", calls, None),
    ):
        yield Row(
            what="file saved → TLS PONG",
            ours=Sample(values=tuple(ours)),
            floor=Sample(values=tuple(floor)),
            floor_is=floor_is,
            goal=goal,
            counters=counters,
        )


def measure_fleet(engine: str, tenants: int) -> Iterator[Row]:
    """Drop many files at once, against a script that only creates and starts."""
    for number in (tenants,) if tenants else (20, 100):
        with grounds(engine) as ground:
            bare, customer = _begin(ground)
            floor = _bare_fleet(ground, bare, number)
            names = [f"bench-fleet-{each}" for each in range(number)]
            staged = [ground.stage(name) for name in names]
            began_at, began = time.time(), time.perf_counter()
            for path in staged:
                ground.save(path)
            ground.settled(names)
            took = time.perf_counter() - began
            # The condition turned True when the daemon had logged in over TLS itself.
            latest = max(_ready_since(ground, name) for name in names) - began_at
            failed = sum(1 for name in names if not customer.asks(_door(ground, name)))
            effects = ground.daemon.effects() if ground.daemon else 0
        yield Row(
            what=f"{number} files at once → all Ready",
            ours=Sample(values=(min(took, latest),)),
            floor=Sample(values=(floor,)),
            floor_is="bare create + start",
            goal=Goal(most=1.25, of="ratio"),
            counters=f"{latest / number * 1000:.0f} ms a tenant, bare "
            f"{floor / number * 1000:.0f}; {ground.workers} workers; {effects} effects; "
            f"{failed} without PONG",
        )


def measure_repair(engine: str, tenants: int) -> Iterator[Row]:
    """Remove a container by force and wait until customers are served again."""
    with grounds(engine) as ground:
        bare, customer = _begin(ground)
        client = bare.client()
        ours, whole, floor = [], [], []
        door = _door(ground, MODEL)
        for _ in range(tenants or 10):
            ground.settled([MODEL])
            began = time.perf_counter()
            client.remove_container(f"cachepilot-{MODEL}", force=True, v=True)
            removed = time.perf_counter()
            pong = customer.waits(lambda: door)
            ours.append(pong - removed)
            whole.append(pong - began)
            time.sleep(1.0)
            bare.prepare(0)
            began = time.perf_counter()
            bare.create_and_start(client, 0)
            customer.waits(partial(bare.door, 0))
            floor.append(time.perf_counter() - began)
            bare.remove(client, 0)
    yield Row(
        what="`docker rm -f` returned → TLS PONG",
        ours=Sample(values=tuple(ours)),
        floor=Sample(values=tuple(floor)),
        floor_is="bare create + start → PONG",
        goal=Goal(most=5.0, of="p95"),
        counters=f"from the call of `docker rm -f`: {Sample(values=tuple(whole))}",
    )


def _begin(ground: Ground) -> tuple[Bare, Customer]:
    """Start a daemon with one tenant, which shows what a container looks like."""
    ground.save(ground.stage(MODEL))
    ground.start()
    ground.settled([MODEL])
    return Bare(ground, MODEL), Customer(ground.public_ca)


def _bare_fleet(ground: Ground, bare: Bare, number: int) -> float:
    for each in range(number):
        bare.prepare(each)
    with ThreadPoolExecutor(ground.workers) as pool:
        clients = [bare.client() for _ in range(ground.workers)]

        def work(worker: int) -> None:
            for each in range(worker, number, ground.workers):
                bare.create_and_start(clients[worker], each)

        began = time.perf_counter()
        list(pool.map(work, range(ground.workers)))
        took = time.perf_counter() - began
        list(pool.map(lambda each: bare.remove(bare.client(), each), range(number)))
    return took


def _door(ground: Ground, name: str) -> Door:
    socket = ground.folder(name) / "run/1/redis.sock"
    return Door(ground.port(name), ground.password(name), socket)


def _ready_since(ground: Ground, name: str) -> float:
    conditions = ground.status(name)["status"]["conditions"]
    ready = next(each for each in conditions if each["type"] == "Ready")
    return datetime.fromisoformat(ready["lastTransitionTime"]).timestamp()
