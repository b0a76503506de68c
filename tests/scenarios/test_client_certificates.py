"""Who has no certificate stays outside, and nobody who is inside or has one notices."""

import json
import shutil
import socket
import ssl
from contextlib import contextmanager

import pytest
import redis

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.waiting import eventually

# redis-py forgets the socket of a handshake that a server refuses.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
REFUSED = (redis.RedisError, OSError)


def shows(tenant, client="app"):
    """What a client adds that has a certificate of *tenant*."""
    folder = tenant.folder / "clients" / client
    return {"ssl_certfile": str(folder / "cert.pem"), "ssl_keyfile": str(folder / "key.pem")}


def gets_in(tenant, **options):
    try:
        with tenant.client(**options) as client:
            return bool(client.ping())
    except REFUSED:
        return False


def ask(tenant, how):
    tenant.edit({"access": {"clientCertificates": how}}).settle()
    wanted = {"off": "no", "optional": "optional", "required": "yes"}[how]
    assert tenant.config("tls-auth-clients") == wanted


@contextmanager
def showing(tenant):
    """Let every client of *tenant* in this block show a certificate."""
    plain = tenant.client

    @contextmanager
    def client(listener="tls", **options):
        more = shows(tenant) if listener == "tls" else {}
        with plain(listener, **(more | options)) as connection:
            yield connection

    tenant.client = client
    try:
        yield
    finally:
        del tenant.client


@pytest.mark.parametrize("engine", ENGINES)
def test_asking_for_certificates_breaks_nobody_who_is_inside_or_has_one(fleet, engine):
    tenant = fleet.tenant(f"mtls-{engine}")
    tenant.write({"engine": {"image": ENGINES[engine]}, "tls": {"clients": ["app"]}}).settle()

    bare = {"ssl_certfile": None, "ssl_keyfile": None}
    load = Load(tenant, "tls", "tls")
    with showing(tenant), fleet.unbroken(tenant):
        with load, tenant.client(**bare) as inside:
            inside.ping()
            for how in ("optional", "required", "off", "required"):
                ask(tenant, how)
                load.go_on()
                assert gets_in(tenant)
                assert inside.ping()
                assert gets_in(tenant, **bare) is (how != "required")
        assert load.errors == []
        assert load.lost() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_session_from_before_does_not_replace_a_certificate(fleet, engine):
    """Servers resume sessions of clients without a certificate, unless they are made to forget."""
    tenant = fleet.tenant(f"ticket-{engine}")
    tenant.write({"engine": {"image": ENGINES[engine]}, "tls": {"clients": ["app"]}}).settle()
    ask(tenant, "optional")
    sessions = [session_of(tenant, version) for version in ssl_versions()]
    assert all(resumes(tenant, *each) for each in sessions)

    ask(tenant, "required")
    assert not any(resumes(tenant, *each) for each in sessions)

    # Nor does one that somebody let in behind the daemon's back.
    fleet.hang_up()
    with tenant.admin() as admin:
        admin.config_set("tls-auth-clients", "no")
    sessions = [session_of(tenant, version) for version in ssl_versions()]
    fleet.hang_up()
    eventually(lambda: tenant.config("tls-auth-clients") == "yes")
    eventually(lambda: not any(resumes(tenant, *each) for each in sessions))


def ssl_versions():
    return (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def session_of(tenant, version):
    context = ssl.create_default_context(cafile=tenant.host.public_ca)
    context.maximum_version = version
    with dialled(tenant, context) as connection:
        assert talk(connection)
        return context, connection.session


def resumes(tenant, context, session):
    try:
        with dialled(tenant, context, session) as connection:
            return talk(connection)
    except OSError:
        return False


@contextmanager
def dialled(tenant, context, session=None):
    with (
        socket.create_connection(("127.0.0.1", tenant.port()), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection,
    ):
        yield connection


def talk(connection):
    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    return bool(connection.recv(100))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_of_one_tenant_is_refused_by_the_other(fleet, engine):
    spec = {
        "engine": {"image": ENGINES[engine]},
        "access": {"clientCertificates": "required"},
        "tls": {"clients": ["app"]},
    }
    one = fleet.tenant(f"one-{engine}").write(spec)
    other = fleet.tenant(f"other-{engine}").write(spec)
    for tenant in (one.settle(), other.settle()):
        assert gets_in(tenant, **shows(tenant))
        listed = json.loads(fleet.ctl("get", "certs", tenant.name, "-o", "json"))["items"]
        (client,) = (each["status"] for each in listed if each["spec"]["usage"] == "client")
        files = {"ssl_certfile": client["certFile"], "ssl_keyfile": client["keyFile"]}
        assert gets_in(tenant, **files)
    assert not gets_in(one, **shows(other))
    assert not gets_in(other, **shows(one))
    # Not even a server's own certificate is a client's.
    leaf = one.folder / f"tls/{one.record()['memory']['certificate']}"
    assert not gets_in(one, ssl_certfile=str(leaf / "cert.pem"), ssl_keyfile=str(leaf / "key.pem"))


@pytest.mark.parametrize("engine", ENGINES)
def test_another_client_authority_shuts_out_all_certificates_from_before(fleet, engine, tmp_path):
    tenant = fleet.tenant(f"revoke-{engine}")
    tenant.write(
        {
            "engine": {"image": ENGINES[engine]},
            "access": {"clientCertificates": "required"},
            "tls": {"clients": ["app", "lost"]},
        }
    ).settle()
    kept = shutil.copytree(tenant.folder / "clients/lost", tmp_path / "lost")
    copy = {"ssl_certfile": str(kept / "cert.pem"), "ssl_keyfile": str(kept / "key.pem")}

    tenant.edit({"tls": {"clients": ["app"]}}).settle()
    assert not (tenant.folder / "clients/lost").exists()
    # The documentation says so: a copy goes on working.
    assert gets_in(tenant, **copy)

    with showing(tenant), fleet.unbroken(tenant):
        tenant.edit({"tls": {"clientsRotatedAt": "2026-03-01T12:00:00Z"}}).settle()
        assert gets_in(tenant)
    assert not gets_in(tenant, **copy)


def test_lost_and_stolen_files_of_clients_are_told_and_mended(fleet):
    tenant = fleet.tenant("clientfiles").write({"tls": {"clients": ["app"]}}).settle()
    folder = tenant.folder / "clients/app"
    before = (folder / "cert.pem").read_bytes()
    (folder / "key.pem").chmod(0o644)

    fleet.hang_up()

    eventually(lambda: (folder / "cert.pem").read_bytes() != before)
    tenant.settle()
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_lost_client_authority_is_told_and_serving_goes_on(fleet):
    tenant = fleet.tenant("clientlost").write({"tls": {"clients": ["app"]}}).settle()
    tenant.edit({"access": {"clientCertificates": "required"}}).settle()
    folder = tenant.folder / "client-ca"
    aside = folder.rename(folder.with_name("aside"))

    with showing(tenant):
        fleet.hang_up()
        tenant.stalled("ClientAuthorityBroken")
        assert gets_in(tenant)
        aside.rename(folder)
        fleet.hang_up()
        tenant.settle()
