"""ContainerReader and ContainerWriter over one Docker Engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import docker.errors
import docker.types

from cachepilot.adapters.docker_client import DockerClients, engine_errors, words_of
from cachepilot.adapters.docker_containers import DockerContainers
from cachepilot.adapters.docker_images import ImageExaminer
from cachepilot.adapters.docker_inspect import create_request, seen_container
from cachepilot.adapters.docker_refusals import refuse_known_failure
from cachepilot.adapters.docker_start import start_container
from cachepilot.adapters.docker_stop import end_by_itself
from cachepilot.adapters.docker_supplies import DockerSupplies
from cachepilot.adapters.labels import DIGEST
from cachepilot.adapters.lost_server import is_answering, is_served
from cachepilot.adapters.paths import SOCKET
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.ports import ContainerGlance
from cachepilot.observe.replacement import LearnedImage
from cachepilot.observe.snapshot import Engine, Liveness, Resources, Role, SeenContainer, Unknown
from cachepilot.plan.actions import Workload
from cachepilot.plan.containers import container_name
from cachepilot.plan.guard import refuse_unfit
from cachepilot.plan.shape import CPU_PERIOD
from cachepilot.spec.document import TenantName

_CONFLICT = 409


class DockerEngine:
    """Reads and changes the containers of one installation on one engine.

    Args:
        clients: One client a thread.
        root: Absolute root folder of this installation, written as a label.
        folder_of: Where a tenant's own files live.
        check_data: Called right before a start; raises StalledError unless the data folder is
            the one we made.
        check_pause: Called right before a stop that kills nobody; raises WaitingError unless
            nobody can write meanwhile.
        run_folder: Where a server instance makes its socket.
        remember_image: Told what an image holds.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        clients: DockerClients,
        *,
        root: str,
        folder_of: Callable[[TenantName], Path],
        check_data: Callable[[TenantName, int], None],
        check_pause: Callable[[TenantName, timedelta], None],
        run_folder: Callable[[TenantName, int], Path],
        remember_image: Callable[[TenantName, LearnedImage], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._clients = clients
        self._root = root
        self._folder_of = folder_of
        self._check_data = check_data
        self._check_pause = check_pause
        self._run_folder = run_folder
        self._remember_image = remember_image
        self._monotonic = monotonic
        self._containers = DockerContainers(clients, root=root, folder_of=folder_of)
        self._supplies = DockerSupplies(clients, root=root, monotonic=monotonic)
        self._examiner = ImageExaminer(clients, root=root)

    # Questions --------------------------------------------------------------------------------

    def find(self, tenant_name: TenantName) -> tuple[SeenContainer, ...] | Unknown:
        """Return every container with this tenant's label; Unknown when the engine is silent."""
        return self._containers.find(tenant_name)

    def glance(self) -> tuple[ContainerGlance, ...] | Unknown:
        """Return one row for every container of this installation, in one call."""
        return self._containers.glance()

    def image_id(self, image: str) -> str | None:
        """Return which content *image* stands for: empty if it is not there, None in silence."""
        return self._supplies.image_id(image)

    # Verbs ------------------------------------------------------------------------------------

    def ensure_image(self, image: str) -> None:
        """Fetch *image* unless the engine has it."""
        self._supplies.ensure_image(image)

    def examine_image(
        self, tenant_name: TenantName, *, image: str, engine: Engine, data_format: int | None
    ) -> None:
        """Record which server *image* holds."""
        learned = self._examiner.examine(tenant_name, image, engine)
        self._remember_image(tenant_name, learned)
        refused = refuse_unfit(
            image,
            asked=engine,
            engine=learned.engine,
            version=learned.version,
            problem=learned.problem,
            data_format=data_format,
        )
        if refused:
            raise StalledError(refused.message, reason=refused.reason)

    def ensure_network(self, *, bridge: str, subnet: str) -> None:
        """Make the shared bridge; one that is there is left alone."""
        self._supplies.ensure_network(bridge=bridge, subnet=subnet)

    def create(self, tenant_name: TenantName, workload: Workload, *, instance: int) -> None:
        """Create a container, stopped; the same one twice is fine."""
        if workload.role.serves:
            self._check_data(tenant_name, instance)
        name = container_name(tenant_name, workload.role)
        image, wanted = workload.shape.image, workload.image_id
        body = create_request(
            tenant_name,
            workload,
            root=self._root,
            folder=self._folder(tenant_name),
            image=image if not wanted or self.image_id(image) == wanted else wanted,
            instance=instance,
            sandbox=container_name(tenant_name, Role.SANDBOX),
        )
        try:
            with engine_errors(f"cannot create container {name}"):
                self._clients.get().create_container_from_config(body, name)  # type: ignore[no-untyped-call] # stub gap
        except docker.errors.NotFound as error:
            message = f"cannot create container {name}: {words_of(error)}"
            if "network" in message:
                raise StalledError(message, reason="NetworkMissing") from error
            raise StalledError(message, reason="ImageUnavailable") from error
        except UnavailableError as error:
            refuse_known_failure("create", name, str(error))
            cause = error.__cause__
            if not (isinstance(cause, docker.errors.APIError) and _status(cause) == _CONFLICT):
                raise
            self._accept_existing(tenant_name, name, workload.digest)

    def start(self, tenant_name: TenantName, *, role: Role, instance: int) -> None:
        """Start a container after checking the data folder's marker and owner.

        One that runs off its network is put on it.
        """
        name = container_name(tenant_name, role)
        if role.serves:
            self._check_data(tenant_name, instance)
            self._refuse_second(name, self._run_folder(tenant_name, instance))
        try:
            with engine_errors(f"cannot start container {name}"):
                self._refuse_while_ending()
                start_container(self._clients.get(), name)
        except docker.errors.NotFound as error:
            refuse_known_failure("start", name, words_of(error))
            raise WaitingError(f"container {name}, or its network, is gone again") from error
        except UnavailableError as error:
            refuse_known_failure("start", name, str(error))
            raise

    def stop(
        self, tenant_name: TenantName, *, container_id: str, timeout: timedelta, kills: bool = True
    ) -> None:
        """Stop a container, giving the server *timeout* to save before it *kills* or gives up."""
        found = self._containers.own(tenant_name, container_id)
        if not kills:
            instance = seen_container(
                found, root=self._root, folder=self._folder(tenant_name)
            ).instance
            self._check_pause(tenant_name, timeout)
            with _existing():
                end_by_itself(
                    self._clients.get(),
                    tenant_name,
                    container_id,
                    patience=timeout,
                    answers=partial(is_answering, self._run_folder(tenant_name, instance)),
                    monotonic=self._monotonic,
                    last_words=self._containers.last_words,
                )
            # Whatever held us up: what came behind the pause is in no note.
            self._check_pause(tenant_name, timedelta())
            return
        with _existing(), engine_errors(f"cannot stop the container of {tenant_name}"):
            self._clients.get().stop(container_id, timeout=int(timeout.total_seconds()))

    def restart(
        self, tenant_name: TenantName, *, container_id: str, timeout: timedelta, instance: int
    ) -> None:
        """Stop and start a container, whatever state it is in."""
        self._check_data(tenant_name, instance)
        self._containers.own(tenant_name, container_id)
        try:
            with engine_errors(f"cannot restart the container of {tenant_name}"):
                self._refuse_while_ending()
                self._clients.get().restart(container_id, timeout=int(timeout.total_seconds()))
        except UnavailableError as error:
            refuse_known_failure("restart", f"of {tenant_name}", str(error))
            raise

    def remove(self, tenant_name: TenantName, *, container_id: str, digest: str) -> None:
        """Remove a container if its id and digest are still those that were seen."""
        found = self._containers.inspect(container_id)
        if found is None:
            return
        labels = found["Config"].get("Labels") or {}
        if not self._containers.is_ours(found, tenant_name) or labels.get(DIGEST, "") != digest:
            raise WaitingError(f"the container of {tenant_name} is not the one that was seen")
        seen = self._containers.seen(tenant_name, found)
        if seen.liveness in (Liveness.RUNNING, Liveness.PAUSED):
            raise WaitingError(f"the container of {tenant_name} runs again")
        try:
            with engine_errors(f"cannot remove the container of {tenant_name}"):
                self._clients.get().remove_container(
                    container_id, v=True, force=seen.liveness is Liveness.DEAD
                )
        except docker.errors.NotFound:
            return  # removing twice is fine
        except UnavailableError as error:
            if "already in progress" in str(error):
                # Somebody else removes it, too; only when it is gone is its name free.
                message = f"the container of {tenant_name} is being removed"
                raise WaitingError(message, retry_after=timedelta(seconds=1)) from error
            raise

    def unpause(self, *, container_id: str) -> None:
        """Thaw a frozen container."""
        try:
            with _existing(), engine_errors("cannot unpause a container"):
                self._clients.get().unpause(container_id)
        except UnavailableError as error:
            if "is not paused" not in str(error):
                raise

    def rename(self, tenant_name: TenantName, *, container_id: str, role: Role) -> None:
        """Give a container its contracted name."""
        name = container_name(tenant_name, role)
        try:
            with _existing(), engine_errors(f"cannot rename a container to {name}"):
                self._clients.get().rename(container_id, name)
        except UnavailableError as error:
            if "same name as its current name" in str(error):
                return
            if "already in use" in str(error):
                raise StalledError(
                    f"another container is called {name}; rename or remove it", reason="NameTaken"
                ) from error
            raise

    def update(self, *, container_id: str, resources: Resources) -> None:
        """Change memory, processor time and restart policy while running."""
        try:
            with _existing(), engine_errors("cannot update a container"):
                self._clients.get().update_container(
                    container_id,
                    # Always both: one alone is refused whenever it would pass the other.
                    mem_limit=resources.memory,
                    memswap_limit=resources.swap,
                    cpu_period=CPU_PERIOD,
                    cpu_quota=resources.cpu_quota,
                    restart_policy={"Name": resources.restart},  # type: ignore[arg-type] # stub gap
                )
        except UnavailableError as error:
            if "current usage" in str(error):
                raise WaitingError(str(error), retry_after=timedelta(seconds=30)) from error
            raise

    # The rest ---------------------------------------------------------------------------------

    def _refuse_while_ending(self) -> None:
        """Raise UnavailableError if the engine accepts no new connection any more.

        An engine that is stopping stops its containers and goes on serving old connections. A
        server that is started in between is left half alive: the next engine cannot start it.
        """
        self._clients.knock()

    def _accept_existing(self, tenant_name: TenantName, name: str, digest: str) -> None:
        """Return if *name* is what a lost reply of ours created; refuse a stranger."""
        found = self._containers.inspect(name)
        if found is None:
            raise WaitingError(f"the name {name} is still being freed")
        if not self._containers.is_ours(found, tenant_name):
            raise StalledError(
                f"another container is called {name}; rename or remove it", reason="NameTaken"
            )
        if (found["Config"].get("Labels") or {}).get(DIGEST) != digest:
            raise WaitingError(f"container {name} appeared in the meantime")

    def _refuse_second(self, name: str, run_folder: Path) -> None:
        """Refuse to start a server beside one that Docker lost track of."""
        if not is_served(run_folder):
            return
        found = self._containers.inspect(name)
        if found is None or not found["State"].get("Running"):
            raise StalledError(
                f"cannot start container {name}: a server that Docker lost track of runs on its "
                f"data; end the process that listens on {run_folder / SOCKET}, or "
                "restart the host",
                reason="ServerLost",
            )

    def _folder(self, tenant_name: TenantName) -> str:
        return str(self._folder_of(tenant_name))


@contextmanager
def _existing() -> Iterator[None]:
    """Turn the absence of a container that a plan saw into a reason to look again."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise WaitingError("the container is gone; somebody else removed it") from error


def _status(error: docker.errors.APIError) -> int | None:
    return error.status_code
