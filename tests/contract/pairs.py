"""Two servers of one tenant in a sandbox, as a hand-over has them, in either world."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from cachepilot.observe.snapshot import Liveness, Role
from cachepilot.plan.server_config import render, shut, wanted_directives
from cachepilot.plan.shape import PLAIN_PORT, TLS_PORT, wanted_sandbox, wanted_workload
from cachepilot.plan.users import wanted_users
from cachepilot.spec.upgrade import UpgradeStrategy
from tests.contract.bench import BRIDGE
from tests.fakes.world import NOON

OLD, NEW = 1, 2
LONG = timedelta(minutes=1)
BUFFER = 32 * 2**20


class Pair:
    """A server that serves, and room for another that is to take over."""

    def __init__(self, bench, image, **fields):
        self.bench = bench
        made = bench.prepare(image=image, strategy=UpgradeStrategy.HANDOVER, **fields)
        self.made, self.name, self.spec = made, made.name, made.spec
        self.containers, self.server = bench.writers.containers, bench.writers.server
        self.hand_over = bench.writers.hand_over
        self.containers.ensure_network(bridge=BRIDGE, subnet=bench.subnet)
        sandbox = wanted_sandbox(self.spec, made.reservation)
        self.containers.create(self.name, sandbox, instance=OLD)
        self.containers.start(self.name, role=Role.SANDBOX, instance=OLD)
        self.containers.create(self.name, made.workload, instance=OLD)
        self.containers.start(self.name, role=Role.SERVER, instance=OLD)
        self.wait_for(OLD)

    @property
    def directives(self):
        certificate = self.bench.readers.memory.recall(self.name).certificate
        return wanted_directives(
            self.spec, certificate=certificate, persistence=self.spec.persistence
        )

    @property
    def listeners(self):
        return tuple((each, self.directives[each]) for each in ("port", "tls-port"))

    # A successor ------------------------------------------------------------------------------

    def write_files(self, instance, directives):
        uid, files = self.made.reservation.uid, self.bench.writers.files
        files.write_configuration(self.name, instance=instance, uid=uid, text=render(directives))
        memory = self.bench.readers.memory.recall(self.name)
        users = wanted_users(self.spec, memory, NOON)
        files.write_users(self.name, instance=instance, uid=uid, users=users)

    def create_successor(self, directives=None):
        """Make it, without starting it; by default it is shut, as the planner has it."""
        self.bench.writers.files.prepare(self.name, instance=NEW, uid=self.made.reservation.uid)
        self.write_files(NEW, directives or shut(self.directives))
        workload = wanted_workload(
            self.spec, self.made.reservation, instance=NEW, role=Role.SUCCESSOR
        )
        asleep = replace(workload, resources=replace(workload.resources, restart="no"))
        self.containers.create(self.name, asleep, instance=NEW)

    def start(self, role, instance):
        self.containers.start(self.name, role=role, instance=instance)

    def wait_for(self, instance):
        self.server.wait(self.name, instance=instance, patience=timedelta(seconds=20))

    def succeed(self):
        """Let a successor run, and replicate."""
        self.create_successor()
        self.start(Role.SUCCESSOR, NEW)
        self.wait_for(NEW)
        self.follow()

    # What a hand-over says --------------------------------------------------------------------

    def follow(self):
        encrypted = self.spec.access.has_tls
        self.hand_over.follow(
            self.name,
            instance=NEW,
            leader=OLD,
            port=TLS_PORT if encrypted else PLAIN_PORT,
            encrypted=encrypted,
            buffer=BUFFER,
        )

    def wait(self, patience=timedelta(seconds=20)):
        self.hand_over.wait(self.name, instance=NEW, leader=OLD, patience=patience)

    def drain(self, pause=LONG):
        self.hand_over.drain(self.name, instance=OLD, successor=NEW, pause=pause)

    def promote(self):
        self.hand_over.promote(self.name, instance=NEW, listeners=self.listeners)

    def fence(self):
        self.hand_over.fence(self.name, instance=OLD, successor=NEW)

    def set(self, instance, *directives):
        self.server.set_directives(self.name, instance=instance, directives=directives)

    def resume(self, instance):
        self.server.resume_writes(self.name, instance=instance)

    # What is seen -----------------------------------------------------------------------------

    def seen(self, role):
        found = self.bench.readers.containers.find(self.name)
        return next((each for each in found if each.role is role), None)

    def link(self):
        return self.bench.readers.replication.ask(self.name, instance=NEW)

    def directive(self, instance, name):
        seen = self.bench.readers.server.ask(
            self.name, instance=instance, directives=(name,), users=(), clients=self.bench.nobody
        )
        return seen.directive(name)

    def doors(self):
        """Return which ports let a customer in."""
        published = self.seen(Role.SANDBOX).shape.published
        found = self.bench.readers.endpoints.probe(self.name, published)
        return {each.listener for each in found if not each.problem}

    def holds(self, instance):
        return self.bench.holds(self.made, instance)

    @contextmanager
    def early(self):
        """Give clients that connected to the old server before anything happened."""
        with self.bench.early_clients(self.made) as write:
            yield write

    def late(self, value):
        """Be a client that comes now; return whether it was told yes."""
        return self.bench.write(self.made, value)

    def is_down(self, role):
        return self.seen(role).liveness is not Liveness.RUNNING
