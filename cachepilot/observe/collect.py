"""Ask the world; remember the answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cachepilot.observe.memory import Memory
from cachepilot.observe.ports import ClientQuestions, Readers
from cachepilot.observe.snapshot import (
    Liveness,
    Role,
    SeenContainer,
    SeenServer,
    SeenSuccessor,
    Snapshot,
    Unknown,
    Unreachable,
)
from cachepilot.spec.document import TenantName


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What has to be asked about a tenant besides what is always asked.

    Attributes:
        image: The wanted image.
        bind: The wanted addresses.
        password_files: (user, path) of each password that the author chooses.
        listeners: For each listener that the spec opens, the port it pins, or None.
        directives: The server's directives that we answer for.
        users: Names of everybody who should be on the server.
        logins: Names of the users that the tenant's clients log in as.
        grace: How long a password that was replaced still works.
        gateways: The bridges' own addresses, which hide the clients that come through them.
    """

    image: str
    bind: tuple[str, ...]
    password_files: tuple[tuple[str, str], ...]
    listeners: tuple[tuple[str, int | None], ...]
    directives: tuple[str, ...]
    users: tuple[str, ...]
    logins: tuple[str, ...]
    grace: timedelta
    gateways: frozenset[str]


def collect(
    tenant_name: TenantName, questions: Questions, readers: Readers, *, now: datetime
) -> Snapshot:
    """Take one snapshot of everything that belongs to *tenant_name*.

    Raises:
        StalledError: What we remember cannot be read.
        UnavailableError: Something failed in a way that leaves nothing to plan with.
    """
    memory = readers.memory.recall(tenant_name)
    authority = readers.certificates.authority()
    containers = readers.containers.find(tenant_name)
    files = readers.files.look(tenant_name, memory, password_files=questions.password_files)
    snapshot = Snapshot(
        tenant_name=tenant_name,
        at=now,
        memory=memory,
        host=readers.host.look(
            authority,
            bind=questions.bind,
            new_ports=_needs_ports(memory, questions),
            moves=_moves(memory, questions, containers),
        ),
        containers=containers,
        image_exists=None,
        files=files,
        certificate=readers.certificates.leaf(tenant_name, memory.certificate),
        stale_certificates=readers.certificates.has_stale(tenant_name, memory.certificate),
        clients=readers.certificates.clients(tenant_name),
    )
    container = snapshot.container(Role.SERVER)
    return _ask_server(_with_successor(snapshot, readers), container, questions, readers)


def _with_successor(snapshot: Snapshot, readers: Readers) -> Snapshot:
    """Return *snapshot* with how far the successor is, if there is to be one."""
    memory, name = snapshot.memory, snapshot.tenant_name
    begun = memory.hand_over
    if begun is None or not begun.is_undecided:
        return snapshot
    of_successor = replace(memory, instance=begun.instance)
    files = readers.files.look(name, of_successor, password_files=())
    container = snapshot.container(Role.SUCCESSOR)
    is_up = container is not None and container.liveness is Liveness.RUNNING
    said = readers.replication.ask(name, instance=begun.instance) if is_up else None
    successor = SeenSuccessor(configuration=files.configuration, replication=said)
    return replace(snapshot, successor=successor)


def _needs_ports(memory: Memory, questions: Questions) -> bool:
    """Return whether a port has to be found that the tenant does not hold yet."""
    held = memory.reservation
    if held is None:
        return True
    ports = {"tls": held.tls_port, "plain": held.plain_port}
    return any(
        ports[listener] is None or pinned not in (None, ports[listener])
        for listener, pinned in questions.listeners
    )


def _moves(
    memory: Memory, questions: Questions, containers: tuple[SeenContainer, ...] | Unknown
) -> bool:
    """Return whether a container would be published where none of the tenant's is."""
    held = memory.reservation
    if held is None or isinstance(containers, Unknown) or not containers:
        return False
    ports = {"tls": held.tls_port, "plain": held.plain_port}
    wanted = {(at, ports[name]) for name, _ in questions.listeners for at in questions.bind}
    present = {(at.address, at.host_port) for each in containers for at in each.shape.published}
    return bool(wanted - present)


def _ask_server(
    snapshot: Snapshot,
    container: SeenContainer | None,
    questions: Questions,
    readers: Readers,
) -> Snapshot:
    """Return *snapshot* with the answers that depend on what runs."""
    name = snapshot.tenant_name
    if not isinstance(snapshot.containers, Unknown):
        found = readers.containers.image_id(questions.image)
        exists = None if found is None else bool(found)
        snapshot = replace(snapshot, image_exists=exists, image_id=found or "")
    if isinstance(snapshot.containers, Unknown):
        # The engine's silence says nothing about the server, which may well be serving.
        return replace(snapshot, server=_ask(snapshot, questions, readers))
    if container is None or container.liveness is not Liveness.RUNNING:
        return snapshot
    endpoints = readers.endpoints.probe(name, snapshot.published)
    return replace(snapshot, server=_ask(snapshot, questions, readers), endpoints=endpoints)


def _ask(snapshot: Snapshot, questions: Questions, readers: Readers) -> SeenServer | Unreachable:
    server = readers.server.ask(
        snapshot.tenant_name,
        instance=snapshot.memory.instance,
        directives=questions.directives,
        users=questions.users,
        clients=_ask_about_clients(snapshot, questions),
    )
    if isinstance(server, Unreachable) or not server.failed_logins:
        return server
    return replace(
        server,
        failed_logins=tuple(
            replace(failed, is_proxy=failed.address in questions.gateways)
            for failed in server.failed_logins
        ),
    )


def _ask_about_clients(snapshot: Snapshot, questions: Questions) -> ClientQuestions:
    """Return what matters of clients after a password was replaced."""
    memory, now = snapshot.memory, snapshot.at
    older: dict[str, timedelta] = {}
    failed: dict[str, timedelta] = {}
    for user in questions.logins:
        current = memory.credential(user)
        if current is None or current.since is None or current.revision == 1:
            continue
        since = min(current.since, now)
        over = now - (since + questions.grace)
        if len([kept for kept in memory.credentials_of(user) if not kept.pending]) > 1:
            older[user] = now - since
        if over > timedelta(0):
            failed[user] = over
    return ClientQuestions(older_than=tuple(older.items()), failed_within=tuple(failed.items()))
