"""An engine in memory: its containers, their names and their ports, seen and changed by ports.

Several worlds may share one engine, each with a root of its own, as installations do on a host.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.ports import ContainerGlance
from cachepilot.observe.replacement import LearnedImage
from cachepilot.observe.snapshot import JOINED, Liveness, Role, SeenContainer, Unknown
from cachepilot.plan.containers import container_name
from cachepilot.plan.guard import refuse_unfit
from cachepilot.plan.shape import engine_of
from tests.fakes.naming import sandbox_of, tenant_of

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld

_ALIVE = (Liveness.RUNNING, Liveness.PAUSED, Liveness.RESTARTING)


@dataclass
class FakeEngine:
    """What all installations on one host share: container names, in one space for everybody."""

    names: dict[str, str] = field(default_factory=dict)
    # Which network a container was made for, by its id.
    homes: dict[str, str] = field(default_factory=dict)
    counter: int = 0

    def new_id(self) -> str:
        """Return an id that nobody had before."""
        self.counter += 1
        return f"c{self.counter}"


def instance_of(container: SeenContainer) -> int:
    """Return the number of the instance whose data folder is mounted."""
    sources = {target: source for target, source, _ in container.shape.mounts}
    return int(sources["/data"].split("/")[1])


def content_of(image: str) -> str:
    """Return the content that the name of an image stands for."""
    return f"sha256:{image}"


@dataclass
class FakeContainers:
    """Answers what is running."""

    world: FakeWorld

    def find(self, tenant_name):
        if not self.world.engine_up:
            return Unknown("cannot reach Docker")
        found = self.world.containers.items()
        return tuple(self._seen(each) for key, each in found if tenant_of(key) == tenant_name)

    def _seen(self, found):
        if found.liveness is Liveness.RUNNING or found.shape.bridge == JOINED:
            return found
        # A resting container cannot be attached to a network that was removed.
        home = found.shape.bridge or self.world.engine.homes[found.container_id]
        attached = home if home in self.world.networks else ""
        return replace(found, shape=replace(found.shape, bridge=attached))

    def glance(self):
        if not self.world.engine_up:
            return Unknown("cannot list containers")
        return tuple(
            ContainerGlance(
                container_id=seen.container_id,
                name=seen.name,
                tenant_name=tenant_of(name),
                role=seen.role,
                state=seen.liveness.value,
                digest=seen.digest,
            )
            for name, seen in self.world.containers.items()
        )

    def image_id(self, image):
        if not self.world.engine_up:
            return None
        return content_of(image) if image in self.world.images else ""


@dataclass
class FakeContainerWriter:
    """Changes what is running; every call counts as one effect."""

    world: FakeWorld

    def ensure_image(self, image):
        self._effect()
        if image not in self.world.images:
            reason = "ImageUnavailable"
            raise StalledError(f"cannot pull image {image}", reason=reason)

    def ensure_network(self, *, bridge, subnet):
        self._effect()
        self.world.networks.add(bridge)

    def examine_image(self, tenant_name, *, image, engine, data_format):
        self._effect()
        seen = LearnedImage(
            image_id=content_of(image), engine=engine_of(image), version=image.split(":")[1]
        )
        memory = self.world.memory(tenant_name)
        self.world.memories[tenant_name] = replace(memory, learned=seen)
        refused = refuse_unfit(
            image,
            asked=engine,
            engine=seen.engine,
            version=seen.version,
            problem="",
            data_format=data_format,
        )
        if refused:
            raise StalledError(refused.message, reason=refused.reason)

    def create(self, tenant_name, workload, *, instance):
        self._effect()
        key = self._key(tenant_name, workload.role, instance)
        self._check_data(tenant_name, workload.role, instance)
        engine, name = self.world.engine, container_name(tenant_name, workload.role)
        if workload.shape.image not in self.world.images:
            raise StalledError("no such image", reason="ImageUnavailable")
        if name in engine.names:
            self._accept_existing(tenant_name, engine.names[name], workload.digest)
            return
        if workload.role.serves and not self.world.disk(tenant_name, instance).tls:
            raise StalledError("a mounted folder is missing", reason="FolderMissing")
        joined = ""
        if workload.shape.bridge == JOINED:
            # The engine keeps a name that nobody has as it is, and minds only at the start.
            sandbox = container_name(tenant_name, Role.SANDBOX)
            joined = engine.names.get(sandbox, sandbox)
        container_id = engine.new_id()
        engine.names[name] = container_id
        engine.homes[container_id] = workload.shape.bridge
        self.world.containers[key] = SeenContainer(
            container_id=container_id,
            name=name,
            role=workload.role,
            liveness=Liveness.CREATED,
            digest=workload.digest,
            shape=workload.shape,
            resources=workload.resources,
            image_id=workload.image_id or content_of(workload.shape.image),
            instance=instance,
            joined=joined,
        )

    def start(self, tenant_name, *, role, instance):
        self._effect()
        self._check_data(tenant_name, role, instance)
        key = self._named(container_name(tenant_name, role))
        if key is None:
            raise WaitingError("the container is gone again")
        seen = self.world.containers[key]
        if seen.liveness is Liveness.PAUSED:
            raise UnavailableError("a paused container cannot be started")
        if seen.liveness is Liveness.RUNNING and not seen.shape.bridge:
            self._attach(key, seen)
        if seen.liveness not in _ALIVE:
            if tenant_name in self.world.lost:
                raise StalledError("a server runs on its data", reason="ServerLost")
            self._start(key, seen)

    def stop(self, tenant_name, *, container_id, timeout, kills=True):
        self._effect()
        key = self._own(tenant_name, container_id)
        if not kills:
            self._check_pause(tenant_name, timeout)
            if key in self.world.servers and not self.world.can_end(key):
                words = "told to save and end, it serves on"
                raise StalledError(words, reason="SaveFailed")
        if key in self.world.servers:
            self.world.shut_down(key)
        elif self.world.containers[key].liveness in _ALIVE:
            self.world.end(key, exit_code=0)
        if not kills and self.world.containers[key].exit_code:
            raise WaitingError("it ended in another way")

    def restart(self, tenant_name, *, container_id, timeout, instance):
        self._effect()
        key = self._own(tenant_name, container_id)
        self._check_data(tenant_name, self.world.containers[key].role, instance)
        if key in self.world.servers:
            self.world.shut_down(key)
        self._start(key, self.world.containers[key])

    def remove(self, tenant_name, *, container_id, digest):
        self._effect()
        key = self._key_of(tenant_name, container_id)
        if key is None:
            return  # whoever has that name now is somebody else
        found = self.world.containers[key]
        if found.digest != digest or found.liveness in (Liveness.RUNNING, Liveness.PAUSED):
            raise WaitingError("it is not the one that was seen")
        del self.world.containers[key]
        del self.world.engine.names[found.name]

    def unpause(self, *, container_id):
        self._effect()
        for seen in self._by_id(container_id):
            if seen.liveness is Liveness.PAUSED:
                self._replace(container_id, liveness=Liveness.RUNNING)

    def rename(self, tenant_name, *, container_id, role):
        self._effect()
        name, names = container_name(tenant_name, role), self.world.engine.names
        if names.get(name, container_id) != container_id:
            raise StalledError("another container has that name", reason="NameTaken")
        for seen in self._by_id(container_id):
            del names[seen.name]
            names[name] = container_id
            self._replace(container_id, name=name)

    def update(self, *, container_id, resources):
        self._effect()
        self._by_id(container_id)
        self._replace(container_id, resources=resources)

    def _start(self, name, seen):
        ports = {at.host_port for at in seen.shape.published}
        others = (each for key, each in self.world.containers.items() if key != name)
        taken = {
            at.host_port
            for each in others
            for at in each.shape.published
            if each.liveness in _ALIVE
        }
        if ports & (self.world.listening | taken):
            self._refuse(name, "another program holds the port", reason="PortInUse")
        if {at.address for at in seen.shape.published} & self.world.foreign:
            self._refuse(name, "not an address of this host", reason="AddressNotLocal")
        if seen.role.serves and not self.world.disk(name, instance_of(seen)).tls:
            raise StalledError("a mounted folder is missing", reason="FolderMissing")
        if seen.joined:
            self._check_sandbox(name, seen.joined)
        else:
            self._attach(name, seen)
        self.world.boot(name)

    def _attach(self, key, seen):
        """Put a container on the network it was made for."""
        home = seen.shape.bridge or self.world.engine.homes[seen.container_id]
        if home not in self.world.networks:
            raise UnavailableError("the network is missing")
        shape = replace(seen.shape, bridge=home)
        self.world.containers[key] = replace(seen, shape=shape)

    def _refuse(self, name, words, *, reason):
        """Fail to start a container, which then remembers why."""
        self.world.containers[name] = replace(self.world.containers[name], error=words)
        raise StalledError(words, reason=reason)

    def _check_pause(self, tenant_name, patience):
        memory = self.world.memory(tenant_name)
        begun = memory.replacement
        noted = begun.note if begun and begun.instance != memory.instance else None
        if noted and self.world.now + patience > noted.until:
            raise WaitingError("writes come back before it has ended")

    def _check_sandbox(self, name, joined):
        sandbox = self.world.containers.get(sandbox_of(name))
        if sandbox is None or sandbox.container_id != joined:
            raise WaitingError("no such container")
        if sandbox.liveness is not Liveness.RUNNING:
            raise UnavailableError("cannot join network of a non running container")

    def _key(self, tenant_name, role, instance):
        if role is Role.SANDBOX:
            return f"{tenant_name}.sandbox"
        return self.world.key(tenant_name, instance)

    def _key_of(self, tenant_name, container_id):
        return next(
            (
                key
                for key, seen in self.world.containers.items()
                if tenant_of(key) == tenant_name and seen.container_id == container_id
            ),
            None,
        )

    def _named(self, name):
        found = self.world.containers.items()
        return next((key for key, seen in found if seen.name == name), None)

    def _own(self, tenant_name, container_id):
        key = self._key_of(tenant_name, container_id)
        if key is None:
            raise WaitingError("it is not the one that was seen")
        return key

    def _accept_existing(self, tenant_name, container_id, digest):
        key = self._key_of(tenant_name, container_id)
        if key is None:
            raise StalledError("another container has that name", reason="NameTaken")
        if self.world.containers[key].digest != digest:
            raise WaitingError("it appeared in the meantime")

    def _by_id(self, container_id):
        found = [
            seen for seen in self.world.containers.values() if seen.container_id == container_id
        ]
        if not found:
            raise WaitingError("it is gone")
        return found

    def _replace(self, container_id, **changes):
        for name, seen in self.world.containers.items():
            if seen.container_id == container_id:
                self.world.containers[name] = replace(seen, **changes)

    def _check_data(self, name, role, instance):
        if role.serves and not self.world.disk(name, instance).marker:
            raise StalledError("the data folder is gone", reason="DataMissing")

    def _effect(self):
        self.world.effects += 1
        self.world.tick()
