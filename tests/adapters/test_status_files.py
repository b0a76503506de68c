import json
import os
import shutil
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachepilot.adapters.event_file import EventFile
from cachepilot.adapters.folder_reader import FolderReader
from cachepilot.adapters.folder_writer import FolderWriter
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.status_files import StatusFiles
from cachepilot.adapters.status_format import parse_tenant, render_tenant
from cachepilot.errors import UnavailableError
from cachepilot.observe.memory import Memory, Reservation
from cachepilot.observe.snapshot import (
    Engine,
    Role,
    SeenAuthority,
    SeenCertificate,
    SeenContainer,
    SeenFiles,
    SeenHost,
    SeenServer,
    Snapshot,
    Unknown,
)
from cachepilot.plan.actions import AclUser
from cachepilot.spec.document import TenantName
from cachepilot.spec.maintenance import Window
from cachepilot.spec.problem import Problem
from cachepilot.spec.tenant import TenantSpec
from cachepilot.status.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Endpoint,
    PublishedClient,
    TenantStatus,
    Waiting,
)
from cachepilot.status.host import HostStatus
from tests.builders import tenant

ACME = TenantName("acme")
OLDER = Path(__file__).parent / "older"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHARED = SeenHost(
    authority=SeenAuthority(exists=True, fingerprint="f", not_after=NOON),
    owned_ports=((7300, "acme"), (7301, "beta")),
    owned_uids=((200_000, "acme"),),
    resting_ports=frozenset({7302}),
    listeners=frozenset({("0.0.0.0", 22), ("127.0.0.1", 7300)}),
    bridges=((0, 2),),
    foreign_addresses=("203.0.113.9",),
)
SERVER = SeenServer(
    engine=Engine.REDIS,
    version="7.0.15",
    run_id="r",
    uptime_seconds=5,
    loading=False,
    used_memory=1000,
    resident_memory=2000,
    keys=3,
    clients=4,
    directives=(("maxmemory", "1"), ("tls-auth-clients", "no")),
    users=(),
)


def snapshot(**fields):
    blank = SeenFiles(
        folders_ready=True,
        configuration="c",
        users="user default on #1\n",
        data_marker=True,
        has_dump=False,
        has_append_only=False,
    )
    return replace(
        Snapshot(
            tenant_name=ACME,
            at=NOON,
            memory=Memory(generation=1, restart_wish=("w", NOON)),
            host=SHARED,
            containers=(),
            image_exists=None,
            files=blank,
            certificate=None,
            server=SERVER,
        ),
        **fields,
    )


def status(name=ACME, **fields):
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.TRUE,
        reason="Converged",
        message="all is well",
        last_transition_time=NOON,
    )
    return replace(
        TenantStatus(
            tenant_name=name,
            word="Ready",
            generation=2,
            observed_generation=2,
            observed_digest="d",
            settings_digest="s",
            observed_at=NOON,
            source="/etc/cachepilot/tenants.d/acme.yaml",
            labels=(("team", "web"),),
            annotations=(("note", "ä\n"),),
            spec=tenant("acme", cpus=0.5, config=(("hz", "5"), ("maxclients", "100"))),
            conditions=(ready,),
            endpoints=(Endpoint(listener="tls", host="127.0.0.1", port=7300),),
            problems=("acme.yaml:1:1: no",),
            plan=("StartContainer acme: it is stopped",),
            snapshot=snapshot(),
        ),
        **fields,
    )


@pytest.fixture
def store(paths):
    return StatusFiles(paths, owner=None)


def again(paths):
    """What a program that starts now would use."""
    return StatusFiles(paths, owner=None)


def published(paths, name=ACME):
    return json.loads(paths.tenant_status(name).read_text())


def identity(paths):
    seen = paths.tenant_status(ACME).stat()
    return seen.st_ino, seen.st_size


def host_status(**fields):
    return replace(
        HostStatus(
            pid=7,
            version="0.1.0",
            started_at=NOON,
            heartbeat_at=NOON + timedelta(seconds=9),
            settings_digest="s",
            docker_problem="",
            authority=SHARED.authority,
            problems=(Problem(file="a.yaml", line=3, column=5, where="spec", message="no"),),
            orphans=(("cachepilot-x", "x"),),
            conditions=(),
            tenants=2,
        ),
        **fields,
    )


def test_the_published_object_is_the_one_of_the_contract(paths, store):
    store.publish(status())
    content = published(paths)

    assert list(content) == ["apiVersion", "kind", "metadata", "spec", "status", "snapshot"]
    assert content["apiVersion"] == "cachepilot/v1"
    assert content["kind"] == "Tenant"
    assert content["metadata"] == {
        "name": "acme",
        "labels": {"team": "web"},
        "annotations": {"note": "ä\n"},
        "source": "/etc/cachepilot/tenants.d/acme.yaml",
    }
    assert content["spec"]["engine"]["config"] == {"hz": "5", "maxclients": "100"}
    assert content["spec"]["tls"]["lifetime"] == "90d"
    assert content["spec"]["access"]["ports"] == {"tls": None, "plain": None}
    assert isinstance(content["spec"]["memory"]["max"], int)
    assert content["status"]["observedAt"] == "2026-03-01T12:00:00Z"
    assert content["status"]["conditions"] == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Converged",
            "message": "all is well",
            "lastTransitionTime": "2026-03-01T12:00:00Z",
        }
    ]
    assert content["status"]["endpoints"] == [
        {"listener": "tls", "host": "127.0.0.1", "port": 7300}
    ]
    assert stat.S_IMODE(paths.tenant_status(ACME).stat().st_mode) == 0o640
    assert stat.S_IMODE(paths.status.stat().st_mode) == 0o750


def unique_pairs():
    return st.dictionaries(st.text(), st.text(), max_size=3).map(lambda each: tuple(each.items()))


MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the zone is told beside it
    timezones=st.just(UTC),
)
SPANS = st.integers(0, 10**8).map(lambda seconds: timedelta(seconds=seconds))
AUTHORITIES = st.builds(SeenAuthority, not_after=st.none() | MOMENTS)
SNAPSHOTS = st.builds(
    Snapshot,
    at=MOMENTS,
    memory=st.builds(Memory, restart_wish=st.none() | st.tuples(st.text(), MOMENTS)),
    host=st.builds(SeenHost, authority=AUTHORITIES),
    containers=st.builds(Unknown)
    | st.lists(st.builds(SeenContainer, started_at=st.none() | MOMENTS), max_size=2).map(tuple),
    certificate=st.none() | st.builds(SeenCertificate, not_before=MOMENTS, not_after=MOMENTS),
)
SPECS = st.builds(
    TenantSpec,
    name=st.just(ACME),
    config=unique_pairs(),
    cpus=st.none() | st.floats(0.05, 1024),
    certificate_lifetime=SPANS,
    renew_before=SPANS,
    rotate_every=st.none() | SPANS.filter(bool),
    grace=SPANS,
    window=st.none() | st.builds(Window, duration=SPANS),
)
CLIENTS = st.builds(PublishedClient, not_before=MOMENTS, not_after=MOMENTS, renew_at=MOMENTS)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        TenantStatus,
        tenant_name=st.just(ACME),
        labels=unique_pairs(),
        annotations=unique_pairs(),
        observed_at=MOMENTS,
        conditions=st.lists(st.builds(Condition, last_transition_time=MOMENTS), max_size=2).map(
            tuple
        ),
        spec=st.none() | SPECS,
        snapshot=st.none() | SNAPSHOTS,
        waiting=st.none() | st.builds(Waiting, until=st.none() | MOMENTS),
        clients=st.lists(CLIENTS, max_size=2).map(tuple),
    )
)
def test_whatever_was_published_reads_back_the_same_besides_what_all_share(given):
    text = json.dumps(render_tenant(given))
    expected = given
    if given.snapshot:
        own = SeenHost(
            authority=given.snapshot.host.authority,
            foreign_addresses=given.snapshot.host.foreign_addresses,
        )
        expected = replace(given, snapshot=replace(given.snapshot, host=own))

    assert parse_tenant(json.loads(text)) == expected


def test_a_later_program_reads_what_was_published_with_the_facts_that_all_share(paths, store):
    store.publish(status())
    store.publish_host(host_status())

    assert again(paths).read(ACME) == status()
    assert again(paths).read(TenantName("beta")) is None


def test_what_was_published_before_passwords_were_replaced_is_understood(paths, store):
    """As an upgraded daemon finds it, or an upgraded command beside a daemon that is not."""
    store.publish(status())
    shutil.copy(OLDER / "acme.json", paths.tenant_status(ACME))
    shutil.copy(OLDER / "host.json", paths.host_status)

    found = again(paths).read(ACME)

    assert found.condition(ConditionType.READY).last_transition_time == NOON
    assert (found.word, found.spec) == (
        "Ready",
        replace(tenant(), grace=timedelta(), inherited=frozenset()),
    )
    assert found.snapshot.server.directive("hz") == "2"
    assert found.snapshot.container(Role.SERVER).container_id == "c1"
    assert found.snapshot.host.owned_ports == SHARED.owned_ports


def test_what_all_share_is_published_once_and_not_in_every_tenants_file(paths, store):
    store.publish(status())
    store.publish_host(host_status())

    assert "beta" not in paths.tenant_status(ACME).read_text()
    assert "beta" in paths.host_status.read_text()


def test_a_new_daemon_passes_on_what_the_one_before_saw_until_it_looked_itself(paths, store):
    store.publish(status())
    store.publish_host(host_status())
    fresh = again(paths)
    fresh.publish_host(host_status(pid=8))
    assert again(paths).read(ACME) == status()

    seen = replace(SHARED, bridges=((0, 9),))
    later = snapshot(host=seen, at=NOON + timedelta(seconds=1))
    fresh.publish(status(snapshot=later))
    fresh.publish_host(host_status(pid=8))
    assert again(paths).read(ACME).snapshot.host == seen


QUIET = {
    "time": status(
        observed_at=NOON + timedelta(days=1), snapshot=snapshot(at=NOON + timedelta(days=1))
    ),
    "numbers": status(
        snapshot=snapshot(
            server=replace(
                SERVER, uptime_seconds=99, used_memory=9, resident_memory=8, keys=7, clients=6
            )
        )
    ),
    "neighbours": status(snapshot=snapshot(host=replace(SHARED, owned_ports=((1, "x"),)))),
}
NEWS = {
    "word": status(word="NotReady"),
    "plan": status(plan=()),
    "server": status(snapshot=snapshot(server=replace(SERVER, run_id="another"))),
    "no server": status(snapshot=snapshot(server=None)),
    "containers": status(snapshot=snapshot(containers=Unknown("no answer"))),
    "authority": status(
        snapshot=snapshot(host=replace(SHARED, authority=SeenAuthority(exists=False)))
    ),
    "no snapshot": status(snapshot=None),
}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("what", QUIET)
def test_an_unchanged_status_is_confirmed_but_not_written_again(paths, store, what, fresh):
    store.publish(status())
    before = identity(paths)
    os.utime(paths.tenant_status(ACME), (0, 0))

    (again(paths) if fresh else store).publish(QUIET[what])

    assert identity(paths) == before
    assert paths.tenant_status(ACME).stat().st_mtime > 0


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("what", NEWS)
def test_a_changed_status_is_written(paths, store, what, fresh):
    store.publish(status())
    before = identity(paths)

    (again(paths) if fresh else store).publish(NEWS[what])

    assert identity(paths) != before
    assert again(paths).read(ACME).word == NEWS[what].word


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 99_999, b'{"kind": "Tenant"}', "other"],
)
def test_a_file_that_is_not_ours_counts_as_none_and_is_replaced(paths, store, content):
    store.publish(status(name=TenantName("beta")))
    path = paths.tenant_status(ACME)
    beta = paths.tenant_status(TenantName("beta")).read_bytes()
    path.write_bytes(beta if content == "other" else content)

    assert store.read(ACME) is None
    store.publish(status())
    assert again(paths).read(ACME).word == "Ready"


def test_a_tampered_host_file_only_takes_the_shared_facts_away(paths, store):
    store.publish(status())
    for content in (b"{", b"[]", b'{"shared": 1}'):
        paths.host_status.write_bytes(content)
        seen = again(paths).read(ACME)
        assert seen.snapshot.host.owned_ports == ()
        assert seen.word == "Ready"


def test_a_published_file_that_was_removed_comes_back(paths, store):
    store.publish(status())
    paths.tenant_status(ACME).unlink()
    store.publish(status())

    assert published(paths)["status"]["word"] == "Ready"


def test_what_was_withdrawn_is_gone(paths, store):
    store.publish(status())
    store.withdraw(ACME)
    store.withdraw(ACME)

    assert store.read(ACME) is None
    assert not paths.tenant_status(ACME).exists()


def test_a_tenant_called_host_and_the_host_do_not_disturb_each_other(paths, store):
    name = TenantName("host")
    store.publish(status(name=name))
    store.publish_host(host_status())
    store.publish(status(name=name, word="Stopped"))

    assert again(paths).read(name).word == "Stopped"
    assert json.loads(paths.host_status.read_text())["kind"] == "Host"


def test_the_host_says_what_the_contract_lists(paths, store):
    store.publish_host(host_status(docker_problem="no answer"))
    content = json.loads(paths.host_status.read_text())

    assert content["daemon"] == {
        "pid": 7,
        "version": "0.1.0",
        "startedAt": "2026-03-01T12:00:00Z",
        "heartbeatAt": "2026-03-01T12:00:09Z",
        "settingsDigest": "s",
    }
    assert content["docker"] == {"up": False, "message": "no answer"}
    assert content["authority"] == {
        "fingerprint": "f",
        "notAfter": "2026-03-01T12:00:00Z",
        "problem": "",
        "roots": [],
        "rotation": None,
    }
    assert content["problems"] == [
        {"file": "a.yaml", "line": 3, "column": 5, "where": "spec", "message": "no", "hint": ""}
    ]
    assert content["orphans"] == [{"container": "cachepilot-x", "tenant": "x"}]
    assert content["tenants"] == 2


@pytest.mark.parametrize("trouble", ["write", "rename"])
def test_a_folder_that_takes_nothing_more_is_told_and_the_old_status_stays(
    paths, store, monkeypatch, trouble
):
    store.publish(status())

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, trouble, fail)
        with pytest.raises(UnavailableError, match="no space left on device"):
            store.publish(status(word="NotReady"))

    assert again(paths).read(ACME).word == "Ready"
    store.publish(status(word="NotReady"))
    assert again(paths).read(ACME).word == "NotReady"


def test_no_password_and_no_hash_gets_into_what_is_published(paths, records, writer, store):
    """A canary through everything that is observed from files and then published."""
    owners = os.geteuid() == 0
    uid = 234_567 if owners else os.geteuid()
    files = FolderWriter(paths, records, owners=owners)
    writer.reserve(ACME, Reservation(tls_port=7300, plain_port=None, uid=uid, bridge=0))
    for user in ("default", "cachepilot"):
        writer.generate_credential(ACME, user=user, pending=False, wish=None, now=NOON)
    files.prepare(ACME, instance=1, uid=uid)
    users = tuple(
        AclUser(name=user, passwords=(1,), commands=("+@all",))
        for user in ("default", "cachepilot")
    )
    files.write_users(ACME, instance=1, uid=uid, users=users)
    with (paths.conf(ACME, 1) / "users.acl").open("a") as file:
        file.write("user backdoor on >canary-password ~* +@all\n")
    memory = records.recall(ACME)
    seen = snapshot(
        memory=memory,
        files=FolderReader(paths, records, PasswordFiles([]), owners=owners).look(
            ACME, memory, password_files=()
        ),
        server=replace(
            SERVER, directives=(("requirepass", "canary-password"), ("masterauth", "canary-auth"))
        ),
    )

    store.publish(status(snapshot=seen))
    store.publish_host(host_status())
    EventFile(paths.events, owner=None).record(
        at=NOON, tenant_name=ACME, warning=False, reason="Seen", message=repr(seen.files)
    )

    shown = "".join(p.read_text() for p in (*paths.status.iterdir(), paths.events))
    secrets = [records.secret(ACME, user) for user in ("default", "cachepilot")]
    for canary in ("canary", *(s.reveal() for s in secrets), *(s.sha256() for s in secrets)):
        assert canary not in shown
    assert "#1" in shown, "the revision is what should be shown"


def test_reading_before_anything_was_published_is_none(tmp_path):
    assert StatusFiles(RootPaths(tmp_path / "nowhere"), owner=None).read(ACME) is None
