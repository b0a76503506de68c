"""Two worlds to hold one contract against: the one in memory, and a real Docker Engine.

A bench has the ports under test, and hands that meddle from outside as people do.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import shutil
import socket
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import docker
import docker.errors
import redis

from cachepilot import clock
from cachepilot.adapters.authority import Authority
from cachepilot.adapters.docker_client import DockerClients
from cachepilot.adapters.docker_engine import DockerEngine
from cachepilot.adapters.labels import NETWORK, PROBE, ROOT, network_name
from cachepilot.adapters.paths import SOCKET, RootPaths
from cachepilot.errors import StalledError
from cachepilot.observe.memory import Reservation
from cachepilot.observe.ports import ClientQuestions
from cachepilot.observe.snapshot import Liveness, Role, SeenServer
from cachepilot.plan.clients import asks_clients
from cachepilot.plan.server_config import managed_directives, render, wanted_directives
from cachepilot.plan.shape import bridge_name, wanted_workload
from cachepilot.plan.users import CUSTOMER, OWN_USERS, expected_users, wanted_users
from cachepilot.settings import load_settings
from cachepilot.spec.document import AccessMode
from cachepilot.wiring import build
from tests.builders import tenant
from tests.fakes.readers import readers_of
from tests.fakes.texts import parse_rules
from tests.fakes.world import NOON, FakeWorld
from tests.fakes.writers import writers_of

ENGINES = {
    "redis7": "cachepilot-lab/redis:7.0",
    "redis8": "cachepilot-lab/redis:8.0",
    "valkey8": "cachepilot-lab/valkey:8.1",
}
UNKNOWN_RULE = "+nosuchcommand"
ABSENT_IMAGE = "cachepilot-lab/absent:1"
BRIDGE = bridge_name(0)
GENEROUS = 30.0
_UIDS = itertools.count(2_000_000)
_NUMBERS = itertools.count()


def eventually(check, *, within=GENEROUS):
    """Return the first true answer of *check*; the last answer when time is up."""
    end = clock.monotonic() + within
    waiting = threading.Event()
    while not (answer := check()) and clock.monotonic() < end:
        waiting.wait(0.02)
    return answer


def collect_garbage():
    """Let go of the sockets that docker-py forgets when it cannot connect; pytest would mind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def free_port(given):
    """Return a port that nobody has and that was not *given* before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in given:
            given.add(port)
            return port


NO_CLIENTS = ClientQuestions()


class Bench:
    """What both worlds can do; the ports do nearly all of it."""

    readers: object
    writers: object
    subnet: str
    is_real: bool
    nobody = NO_CLIENTS

    # Making -----------------------------------------------------------------------------------

    def new_name(self):
        return f"ct{os.getpid():x}-{next(_NUMBERS)}"

    def prepare(self, *, name=None, image=ENGINES["redis8"], certified=False, **fields):
        """Return a tenant whose record and folders are ready for a server."""
        fields = {"access": AccessMode.PLAIN_ONLY, "memory_max": 32 * 2**20, **fields}
        fields = {"memory_limit": 128 * 2**20, **fields}
        spec = tenant(name or self.new_name(), image=image, **fields)
        memory, files = self.writers.memory, self.writers.files
        reservation = Reservation(
            tls_port=self.free_port() if spec.access.has_tls else None,
            plain_port=self.free_port() if spec.access.has_plain else None,
            uid=next(_UIDS),
            bridge=0,
        )
        memory.reserve(spec.name, reservation)
        for user in (*OWN_USERS, *(user.name for user in spec.users)):
            memory.generate_credential(spec.name, user=user, pending=False, wish=None, now=NOON)
        files.prepare(spec.name, instance=1, uid=reservation.uid)
        if certified:
            self.certify(spec, revision=1)
        made = SimpleNamespace(
            name=spec.name,
            spec=spec,
            reservation=reservation,
            workload=wanted_workload(spec, reservation, instance=1),
        )
        self.configure(made)
        return made

    def certify(self, spec, *, revision):
        uid = self.readers.memory.recall(spec.name).reservation.uid
        self.writers.certificates.create_authority()
        if asks_clients(spec) and not self.readers.certificates.clients(spec.name).authority:
            self.writers.certificates.create_client_authority(spec.name, wish=None)
        self.writers.certificates.issue(
            spec.name,
            revision=revision,
            names=spec.names,
            lifetime=spec.certificate_lifetime,
            uid=uid,
            clients=asks_clients(spec),
            now=self.now(),
        )

    def configure(self, made, **overrides):
        memory = self.readers.memory.recall(made.name)
        directives = wanted_directives(
            made.spec, certificate=memory.certificate, persistence=made.spec.persistence
        )
        uid, files = made.reservation.uid, self.writers.files
        text = render(directives | overrides)
        files.write_configuration(made.name, instance=1, uid=uid, text=text)
        users = wanted_users(made.spec, memory, NOON)
        files.write_users(made.name, instance=1, uid=uid, users=users)

    def create(self, made, workload=None):
        self.writers.containers.ensure_network(bridge=BRIDGE, subnet=self.subnet)
        self.writers.containers.create(made.name, workload or made.workload, instance=1)
        return self.seen(made)

    def start(self, made):
        self.writers.containers.start(made.name, role=Role.SERVER, instance=1)
        return self.seen(made)

    def serve(self, **fields):
        """Return a tenant whose server answers."""
        made = self.prepare(**fields)
        self.create(made)
        self.start(made)
        self.await_server(made)
        return made

    def await_server(self, made):
        self.writers.server.wait(made.name, instance=1, patience=made.workload.stop_timeout)

    # Looking ----------------------------------------------------------------------------------

    def seen(self, made):
        found = self.readers.containers.find(made.name)
        assert isinstance(found, tuple), found
        assert len(found) <= 1
        return found[0] if found else None

    def ask(self, made, directives=None, clients=NO_CLIENTS):
        wanted = managed_directives(made.spec) if directives is None else directives
        return self.readers.server.ask(
            made.name,
            instance=1,
            directives=wanted,
            users=expected_users(made.spec),
            clients=clients,
        )

    def user(self, made, name):
        answer = self.ask(made)
        assert isinstance(answer, SeenServer), answer
        return next((user for user in answer.users if user.name == name), None)

    def probe(self, made):
        published = made.workload.shape.published
        return self.readers.endpoints.probe(made.name, published)


class FakeBench(Bench):
    """The world in memory."""

    is_real = False
    subnet = "10.0.0.0/24"

    def __init__(self, engine=None):
        self.world = FakeWorld()
        self.world.images |= set(ENGINES.values())
        self.world.unknown_rules = {image: {UNKNOWN_RULE} for image in ENGINES.values()}
        if engine:
            self.world.engine = engine
        self.readers, self.writers = readers_of(self.world), writers_of(self.world)
        self._ports = itertools.count(7000)

    def sibling(self):
        return FakeBench(self.world.engine)

    def free_port(self):
        return next(self._ports)

    def now(self):
        return self.world.tick()

    @contextlib.contextmanager
    def occupied(self, port):
        self.world.listening.add(port)
        yield
        self.world.listening.discard(port)

    @contextlib.contextmanager
    def stranger(self, name):
        self.world.engine.names[name] = "somebody's"
        yield
        del self.world.engine.names[name]

    def foreign_address(self):
        self.world.foreign.add("192.0.2.77")
        return "192.0.2.77"

    def freeze(self, made):
        self.world.freeze(made.name)

    def kill(self, made):
        self.world.kill(made.name)

    def crash_again_and_again(self, made):
        self.world.crash_loop(made.name)

    def probes(self):
        return []

    def disconnect(self, made):
        seen = self.world.containers[made.name]
        shape = replace(seen.shape, bridge="")
        self.world.containers[made.name] = replace(seen, shape=shape)

    def rename(self, made, name):
        self.world.rename(made.name, name)

    def lose_certificates(self, made):
        self.world.disk(made.name).tls = False

    def has_certificates(self, made):
        return self.world.disk(made.name).tls

    def lose_data(self, made):
        self.world.disk(made.name).marker = False

    def has_data(self, made):
        return self.world.disk(made.name).marker

    def has_dump(self, made):
        return self.world.disk(made.name).dump is not None

    def has_append_only(self, made):
        return self.world.disk(made.name).append_only is not None

    def write(self, made, value):
        return self.world.write_late(made.name, value)

    def read(self, made):
        return self.world.servers[made.name].data

    def holds(self, made, instance):
        return self.world.servers[self.world.key(made.name, instance)].data

    @contextlib.contextmanager
    def early_clients(self, made):
        server = self.world.servers[made.name]
        server.has_clients = True
        yield lambda value: self.world.write_early(made.name, value)

    def end_pauses(self, made, within):
        self.world.end_pauses()

    def files_of(self, made, instance):
        disk = self.world.disk(made.name, instance)
        found = {"dump": disk.dump, "append only": disk.append_only}
        return {what for what, held in found.items() if held is not None}

    def kill_role(self, pair, role):
        seen = pair.seen(role)
        found = self.world.containers.items()
        self.world.kill(next(key for key, each in found if each == seen))

    def set_directive(self, made, name, value):
        self.world.servers[made.name].directives[name] = value

    def set_user(self, made, name, *rules):
        hashed = tuple("#unknown" if rule.startswith(">") else rule for rule in rules)
        self.world.servers[made.name].users[name] = parse_rules(hashed)

    @contextlib.contextmanager
    def crowd(self, made):
        self.world.servers[made.name].crowded = True
        yield
        self.world.servers[made.name].crowded = False

    def drop_kept_connection(self, made):
        self.world.kept.pop(made.name, None)

    def remove_socket(self, made):
        self.world.servers[made.name].socket = False

    @contextlib.contextmanager
    def lost_server(self, made):
        self.world.lost.add(made.name)
        yield
        self.world.lost.remove(made.name)

    @contextlib.contextmanager
    def unwritable_data(self, made):
        self.world.disk(made.name).writable = False
        yield
        self.world.disk(made.name).writable = True

    @contextlib.contextmanager
    def unwritable_log(self, made):
        assert self.has_append_only(made)
        with self.unwritable_data(made):
            yield

    @contextlib.contextmanager
    def silence(self):
        self.world.engine_up = False
        yield self.readers.containers
        self.world.engine_up = True

    @contextlib.contextmanager
    def another_authority(self):
        before = self.world.authority
        self.world.authority = replace(before, fingerprint="another root")
        yield
        self.world.authority = before


class RealBench(Bench):
    """A root folder of its own on a real engine, through the very wiring of the daemon."""

    is_real = True

    def __init__(self, root: Path, client: docker.APIClient, socket_url: str):
        self.paths, self.client, self._socket_url = RootPaths(root), client, socket_url
        self.paths.etc.mkdir(parents=True, exist_ok=True)
        self.paths.settings_file.write_text(f"docker: {{socket: '{socket_url}'}}\n")
        self._stopping, self._given, self._siblings = threading.Event(), set(), []
        settings = load_settings(self.paths.settings_file)
        self.parts = build(self.paths, settings, stopping=self._stopping)
        self.readers, self.writers = self.parts.world.readers, self.parts.world.writers
        self.subnet = self._claim_subnet()

    def _claim_subnet(self):
        """Make the bridge on the first subnet that nobody uses."""
        for third in range(256):
            subnet = f"10.97.{(third + os.getpid()) % 256}.0/26"
            try:
                self.writers.containers.ensure_network(bridge=BRIDGE, subnet=subnet)
            except StalledError as error:
                assert error.reason == "SubnetInUse", error
            else:
                return subnet
        raise AssertionError("no subnet is free")

    def tidy(self):
        """Remove every container, so that addresses and memory last."""
        self.parts.connections.close()
        label = f"{ROOT}={self.paths.root}"
        for row in self.client.containers(all=True, filters={"label": label}):
            self.client.remove_container(row["Id"], force=True, v=True)

    def close(self):
        self._stopping.set()
        self.tidy()
        label = f"{ROOT}={self.paths.root}"
        for row in self.client.networks(filters={"label": label}):
            self.client.remove_network(row["Id"])

    def sibling(self):
        root = self.paths.root.with_name(f"{self.paths.root.name}-sibling")
        self._siblings.append(RealBench(root, self.client, self._socket_url))
        return self._siblings[-1]

    def free_port(self):
        return free_port(self._given)

    def now(self):
        return clock.utc_now()

    def network(self):
        return network_name(BRIDGE, str(self.paths.root))

    def networks(self):
        return self.client.networks(filters={"label": f"{NETWORK}={BRIDGE}"})

    def _id(self, made):
        return self.seen(made).container_id

    @contextlib.contextmanager
    def occupied(self, port):
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", port))
            holder.listen()
            yield

    @contextlib.contextmanager
    def stranger(self, name):
        made = self.client.create_container(ENGINES["redis8"], ["redis-server"], name=name)
        yield
        self.client.remove_container(made["Id"], force=True, v=True)

    def foreign_address(self):
        return "192.0.2.77"

    def freeze(self, made):
        self.client.pause(self._id(made))

    def kill(self, made):
        self.client.kill(self._id(made))
        eventually(lambda: self.seen(made).liveness is Liveness.EXITED)

    def crash_again_and_again(self, made):
        """Let the server find nonsense in its file and die at once, whenever Docker starts it."""
        self.configure(made, maxmemory="nonsense")
        pid = self.client.inspect_container(self._id(made))["State"]["Pid"]
        os.kill(pid, 9)
        # Docker's pauses double; from the fourth on there is time to look.
        state = lambda: self.client.inspect_container(self._id(made))  # noqa: E731
        assert eventually(lambda: state()["RestartCount"] >= 4)
        assert eventually(lambda: self.seen(made).liveness is Liveness.RESTARTING)

    def probes(self):
        """Return the containers and folders that trials have left."""
        folders = list(self.paths.tenants.glob("*/probe"))
        labels = [PROBE, f"{ROOT}={self.paths.root}"]
        return self.client.containers(all=True, filters={"label": labels}) + folders

    def starts(self, made):
        """Return when Docker started a container and when it was put on a network, in order."""
        now = int(time.time()) + 1
        told = self.client.events(since=now - 60, until=now, decode=True)
        container_id = self._id(made)
        return [
            event["Action"]
            for event in told
            if container_id
            in (event["Actor"]["ID"], event["Actor"]["Attributes"].get("container"))
            and event["Action"] in {"start", "connect"}
        ]

    def disconnect(self, made):
        self.client.disconnect_container_from_network(self._id(made), self.network())

    def rename(self, made, name):
        self.client.rename(self._id(made), name)

    def lose_certificates(self, made):
        shutil.rmtree(self.paths.tls(made.name))

    def has_certificates(self, made):
        return self.paths.tls(made.name).exists()

    def lose_data(self, made):
        shutil.rmtree(self.paths.data(made.name, 1))

    def has_data(self, made):
        return self.paths.data(made.name, 1).exists()

    def has_dump(self, made):
        return (self.paths.data(made.name, 1) / "dump.rdb").exists()

    def has_append_only(self, made):
        return (self.paths.data(made.name, 1) / "appendonlydir").exists()

    def write(self, made, value):
        try:
            with self.customer(made) as client:
                return bool(client.set("key", value))
        except (redis.exceptions.TimeoutError, redis.exceptions.ConnectionError):
            return False

    def read(self, made):
        with self.customer(made) as client:
            return int(client.get("key") or 0)

    def holds(self, made, instance):
        """Return what a customer would read there; nobody but us gets at that socket."""
        folder = os.open(self.paths.run(made.name, instance), os.O_PATH)
        path = f"/proc/self/fd/{folder}/{SOCKET}"
        try:
            with self._client(made, unix_socket_path=path) as client:
                return int(client.get("key") or 0)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def early_clients(self, made):
        """Give a writer with connections of before; one that had to wait is of no more use."""
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(self.customer(made, patience=0.3)) for _ in range(6)]
            for client in clients:
                client.ping()

            def write(value):
                try:
                    return bool(clients.pop().set("key", value))
                except redis.exceptions.RedisError:
                    return False

            yield write

    def end_pauses(self, made, within):
        threading.Event().wait(within.total_seconds())

    def files_of(self, made, instance):
        folder = self.paths.data(made.name, instance)
        found = {"dump": "dump.rdb", "append only": "appendonlydir"}
        return {what for what, name in found.items() if (folder / name).exists()}

    def kill_role(self, pair, role):
        self.client.kill(pair.seen(role).container_id)
        eventually(lambda: pair.seen(role).liveness is Liveness.EXITED)

    def customer(self, made, *, patience=1.0):
        return self._client(made, port=made.reservation.plain_port, patience=patience)

    @contextlib.contextmanager
    def _client(self, made, *, patience=1.0, **where):
        password = self.parts.records.secret(made.name, CUSTOMER).reveal()
        client = redis.Redis(
            **where,
            password=password,
            single_connection_client=True,
            socket_timeout=patience,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        try:
            yield client
        finally:
            client.close()

    @property
    def kept(self):
        return self.parts.connections

    def daemon(self, made):
        return self.kept.get(made.name, 1)

    def set_directive(self, made, name, value):
        self.daemon(made).config_set(name, value)

    def set_user(self, made, name, *rules):
        self.daemon(made).execute_command("ACL SETUSER", name, "reset", *rules)

    @contextlib.contextmanager
    def crowd(self, made):
        with self.customer(made) as client:
            client.ping()
            self.set_directive(made, "maxclients", "1")
            yield

    def drop_kept_connection(self, made):
        self.kept.drop(made.name, 1)

    def remove_socket(self, made):
        (self.paths.run(made.name, 1) / SOCKET).unlink()

    @contextlib.contextmanager
    def lost_server(self, made):
        """Serve on the socket of *made* with a process that no container knows."""
        with contextlib.chdir(self.paths.run(made.name, 1)), socket.socket(socket.AF_UNIX) as lost:
            lost.bind(SOCKET)
            lost.listen()
            yield
        self.remove_socket(made)

    @contextlib.contextmanager
    def unwritable_data(self, made):
        """Mark the folder immutable, or else take away the right to write."""
        folder = self.paths.data(made.name, 1)
        before = folder.stat()
        os.chown(folder, 0, 0)
        yield
        os.chown(folder, before.st_uid, before.st_gid)

    @contextlib.contextmanager
    def unwritable_log(self, made):
        """Lie in the way of the process that would write it, whatever number that gets."""
        folder = self.paths.data(made.name, 1)
        obstacles = [folder / f"temp-rewriteaof-{process}.aof" for process in range(2, 400)]
        for each in obstacles:
            each.mkdir()
        yield
        for each in obstacles:
            each.rmdir()

    @contextlib.contextmanager
    def silence(self):
        """Give an adapter whose engine does not answer."""
        clients = DockerClients(f"unix://{self.paths.root}/absent.sock", timeout=1)
        yield DockerEngine(
            clients,
            root=str(self.paths.root),
            folder_of=self.paths.tenant,
            check_data=lambda _name, _instance: None,
            check_pause=lambda _name, _patience: None,
            run_folder=self.paths.run,
            remember_image=lambda _name, _learned: None,
            monotonic=clock.monotonic,
        )
        del clients
        collect_garbage()

    @contextlib.contextmanager
    def another_authority(self):
        """Give clients the root of somebody else."""
        before = self.paths.public_ca.read_bytes()
        elsewhere = RootPaths(self.paths.root / "elsewhere")
        Authority(elsewhere, utc_now=clock.utc_now, owners=True).create()
        shutil.copy(elsewhere.public_ca, self.paths.public_ca)
        yield
        self.paths.public_ca.write_bytes(before)
