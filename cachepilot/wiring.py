"""Where concrete adapters meet the ports; the only place that names both."""

from __future__ import annotations

import grp
import os
import threading
from collections.abc import Collection
from dataclasses import dataclass

from cachepilot import clock
from cachepilot.adapters.authority import Authority
from cachepilot.adapters.certificate_files import CertificateFiles
from cachepilot.adapters.client_files import ClientFiles
from cachepilot.adapters.docker_client import DockerClients
from cachepilot.adapters.docker_engine import DockerEngine
from cachepilot.adapters.endpoint_probe import EndpointProbe
from cachepilot.adapters.event_file import EventFile
from cachepilot.adapters.folder_reader import FolderReader
from cachepilot.adapters.folder_writer import FolderWriter
from cachepilot.adapters.host import HostFacts
from cachepilot.adapters.ledger import Ledger
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.probe_server import ProbeServers
from cachepilot.adapters.record_writer import RecordWriter
from cachepilot.adapters.records import Records
from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.redis_orders import RedisOrders
from cachepilot.adapters.redis_questions import RedisQuestions
from cachepilot.adapters.redis_replication import RedisReplication
from cachepilot.adapters.removal_brake import RemovalBrake
from cachepilot.adapters.replacement_record import ReplacementRecord
from cachepilot.adapters.rollout_file import RolloutFile
from cachepilot.adapters.root_succession import RootSuccession
from cachepilot.adapters.rule_trials import RuleTrials
from cachepilot.adapters.status_files import StatusFiles
from cachepilot.adapters.tenant_files import TenantFiles
from cachepilot.apply.authority_port import AuthorityWriter
from cachepilot.apply.ports import Writers
from cachepilot.errors import StalledError
from cachepilot.observe.ports import Readers
from cachepilot.plan.succession import SuccessionTerms
from cachepilot.plan.users import CUSTOMER, DAEMON
from cachepilot.reconcile import Terms, World
from cachepilot.settings import Settings
from cachepilot.spec.document import TenantName

_ROOT_USER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the service needs besides the world that visits touch."""

    paths: RootPaths
    world: World
    files: TenantFiles
    brake: RemovalBrake
    records: Records
    ledger: Ledger
    passwords: PasswordFiles
    host: HostFacts
    authority: Authority
    succession: AuthorityWriter
    board: StatusFiles
    rollout: RolloutFile
    events: EventFile
    clients: DockerClients
    connections: ManagementConnections
    probes: ProbeServers


def build(paths: RootPaths, settings: Settings, *, stopping: threading.Event) -> Parts:
    """Return everything, connected; nothing outside is touched yet.

    Args:
        paths: Where everything lies.
        settings: What the host's owner decided.
        stopping: Set when the daemon stops; ends every wait.
    """
    owners = os.geteuid() == _ROOT_USER
    records = Records(paths, owners=owners)
    replacements = ReplacementRecord(records)
    ledger = Ledger(paths, records, owners=owners)
    authority = Authority(
        paths,
        utc_now=clock.utc_now,
        owners=owners,
        born_with=lambda: settings.authority.rotatedAt,
    )
    clients_of = ClientFiles(paths, utc_now=clock.utc_now, owners=owners)
    certificates = CertificateFiles(paths, authority, records, clients_of, owners=owners)
    passwords = PasswordFiles(settings.limits.passwordFiles)
    folders = FolderReader(paths, records, passwords, owners=owners)
    clients = DockerClients(
        settings.docker.socket, timeout=int(settings.docker.timeout.total_seconds())
    )
    engine = DockerEngine(
        clients,
        root=str(paths.root),
        folder_of=paths.tenant,
        check_data=folders.check_data,
        check_pause=lambda name, patience: replacements.check_pause(
            name, now=clock.utc_now(), patience=patience
        ),
        run_folder=paths.run,
        remember_image=replacements.remember_image,
        monotonic=clock.monotonic,
    )
    connections = ManagementConnections(
        run_folder=paths.run,
        password=lambda name: records.secret(name, DAEMON),
        monotonic=clock.monotonic,
    )
    orders = RedisOrders(
        connections,
        replacements,
        hashes=records.hashes,
        password=records.password,
        utc_now=clock.utc_now,
        monotonic=clock.monotonic,
        stopping=stopping,
    )
    probes = ProbeServers(
        clients,
        root=str(paths.root),
        folder_of=paths.probe,
        owners=owners,
        monotonic=clock.monotonic,
        stopping=stopping,
    )
    replication = RedisReplication(connections, monotonic=clock.monotonic, stopping=stopping)
    host = HostFacts(
        ledger,
        quarantine=settings.ports.quarantine,
        utc_now=clock.utc_now,
        monotonic=clock.monotonic,
    )
    endpoints = EndpointProbe(
        ca_file=paths.public_ca,
        own_files=lambda name: paths.leaf(name, records.recall(name).certificate),
        password=lambda name: records.secret(name, CUSTOMER),
    )
    files = TenantFiles(
        paths.tenants_d,
        settings.rules(),
        incumbent=lambda name: _source_of(records, name),
        held_by=lambda path: _held_by(records, path),
    )
    brake = RemovalBrake(files, known=records.known, recall=records.recall)
    readers_group = published_owner() if owners else None
    board = StatusFiles(paths, owner=readers_group)
    world = World(
        source=brake,
        readers=Readers(
            containers=engine,
            files=folders,
            certificates=certificates,
            memory=records,
            host=host,
            server=RedisQuestions(connections, revision_of=records.revision_of),
            replication=replication,
            endpoints=endpoints,
        ),
        writers=Writers(
            memory=RecordWriter(records, ledger, passwords, utc_now=clock.utc_now),
            certificates=certificates,
            files=FolderWriter(paths, records, owners=owners),
            containers=engine,
            server=orders,
            trials=RuleTrials(connections, probes, records),
            hand_over=replication,
        ),
        status=board,
        utc_now=clock.utc_now,
    )
    return Parts(
        paths=paths,
        world=world,
        files=files,
        brake=brake,
        records=records,
        ledger=ledger,
        passwords=passwords,
        host=host,
        authority=authority,
        succession=RootSuccession(authority),
        board=board,
        rollout=RolloutFile(paths, owner=(0, 0) if owners else None),
        events=EventFile(paths.events, owner=readers_group),
        clients=clients,
        connections=connections,
        probes=probes,
    )


def terms_of(settings: Settings) -> Terms:
    """Return what holds for all visits under *settings*."""
    return Terms(rules=settings.rules(), settings_digest=settings.digest)


def succession_terms(settings: Settings) -> SuccessionTerms:
    """Return how the root of this host is replaced under *settings*."""
    wanted = settings.authority
    return SuccessionTerms(
        rotated_at=wanted.rotatedAt,
        notice=wanted.notice,
        overlap=wanted.overlap,
        rotate_before=wanted.rotateBefore,
    )


def published_owner() -> tuple[int, int]:
    """Return root and the group that may read what is published, if the host has one."""
    try:
        return (0, grp.getgrnam("cachepilot").gr_gid)
    except KeyError:
        return (0, 0)


def _source_of(records: Records, name: TenantName) -> str:
    """Return the file that a tenant's record names; an unreadable record names none."""
    try:
        return records.recall(name).source
    except StalledError:
        return ""


def _held_by(records: Records, path: str) -> Collection[TenantName]:
    """Return whose records name *path*; asked only for a file that was never good."""
    return [name for name in records.known() if _source_of(records, name) == path]
