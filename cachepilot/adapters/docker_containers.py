"""Which containers an installation has on one Docker Engine, and what is seen of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker.errors

from cachepilot.adapters.docker_client import DockerClients, engine_errors
from cachepilot.adapters.docker_inspect import Json, is_ours, seen_container
from cachepilot.adapters.docker_start import expect_networks
from cachepilot.adapters.labels import DIGEST, ROLE, ROOT, TENANT
from cachepilot.errors import UnavailableError, WaitingError
from cachepilot.observe.ports import ContainerGlance
from cachepilot.observe.snapshot import Role, SeenContainer, Unknown
from cachepilot.plan.containers import container_name
from cachepilot.spec.document import TenantName
from cachepilot.spec.tree import shorten

_LAST_LINES = 6
_LONGEST_WORDS = 1000


class DockerContainers:
    """Asks about containers and changes none.

    Args:
        clients: One client a thread.
        root: Absolute root folder of this installation, written as a label.
        folder_of: Where a tenant's own files live.
    """

    def __init__(
        self, clients: DockerClients, *, root: str, folder_of: Callable[[TenantName], Path]
    ) -> None:
        self._clients = clients
        self._root = root
        self._folder_of = folder_of

    def find(self, tenant_name: TenantName) -> tuple[SeenContainer, ...] | Unknown:
        """Return every container with this tenant's label; Unknown when the engine is silent."""
        try:
            found = self.inspect(container_name(tenant_name, Role.SERVER))
            if found and self.is_ours(found, tenant_name):
                seen = self.seen(tenant_name, found)
                if not seen.joined:
                    return (seen,)  # whoever shares no network is all that a tenant has
            return tuple(
                self.seen(tenant_name, inspected) for inspected in self._search(tenant_name)
            )
        except UnavailableError as error:
            return Unknown(str(error))

    def glance(self) -> tuple[ContainerGlance, ...] | Unknown:
        """Return one row for every container of this installation, in one call."""
        try:
            with engine_errors("cannot list containers"):
                rows = self._clients.get().containers(
                    all=True, filters={"label": [TENANT, f"{ROOT}={self._root}"]}
                )
        except UnavailableError as error:
            return Unknown(str(error))
        return tuple(
            ContainerGlance(
                container_id=row["Id"],
                name=row["Names"][0].removeprefix("/") if row["Names"] else "",
                tenant_name=TenantName(row["Labels"][TENANT]),
                role=row["Labels"].get(ROLE, ""),
                state=row["State"],
                digest=row["Labels"].get(DIGEST, ""),
            )
            for row in rows
        )

    def inspect(self, reference: str) -> Json | None:
        """Return what Docker tells of a container by name or id; None if there is none."""
        try:
            with engine_errors(f"cannot inspect container {reference}"):
                inspected: Json = self._clients.get().inspect_container(reference)
        except docker.errors.NotFound:
            return None
        return inspected

    def own(self, tenant_name: TenantName, container_id: str) -> Json:
        """Look again right before something that hurts.

        Raises:
            WaitingError: It is gone, or not the tenant's.
        """
        found = self.inspect(container_id)
        if found is None or not self.is_ours(found, tenant_name):
            raise WaitingError(f"the container of {tenant_name} is not the one that was seen")
        return found

    def seen(self, tenant_name: TenantName, inspected: Json) -> SeenContainer:
        """Return what is seen of an inspected container, its last words where they matter."""
        state = inspected["State"]
        ended_badly = state.get("ExitCode") and (
            not state.get("Running") or state.get("Restarting")
        )
        if not state.get("Running"):
            expect_networks(self._clients.get(), inspected)
        seen = seen_container(inspected, root=self._root, folder=str(self._folder_of(tenant_name)))
        # A successor tells only its log why it cannot use what it is sent.
        tells = ended_badly or seen.role is Role.SUCCESSOR
        return replace(seen, last_words=self.last_words(inspected) if tells else "")

    def last_words(self, inspected: Json) -> str:
        """Return the end of the log of an inspected container; empty if nobody can read it."""
        try:
            with engine_errors("cannot read logs"):
                logs: bytes = self._clients.get().logs(inspected["Id"], tail=_LAST_LINES)
        except (UnavailableError, docker.errors.NotFound):
            return ""
        return shorten(logs.decode(errors="replace"), _LONGEST_WORDS)

    def is_ours(self, inspected: Json, tenant_name: TenantName) -> bool:
        """Return whether this installation made an inspected container for the tenant."""
        return is_ours(inspected, tenant_name, root=self._root)

    def _search(self, tenant_name: TenantName) -> tuple[Json, ...]:
        labels = [f"{TENANT}={tenant_name}", f"{ROOT}={self._root}"]
        with engine_errors("cannot list containers"):
            rows = self._clients.get().containers(all=True, filters={"label": labels})
        found = (self.inspect(row["Id"]) for row in rows)
        return tuple(each for each in found if each and self.is_ours(each, tenant_name))
