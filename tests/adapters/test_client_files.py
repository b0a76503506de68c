"""The authority for a tenant's clients and what it signs, judged by openssl."""

import os
import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.adapters.authority import Authority
from cachepilot.adapters.certificate_files import CertificateFiles
from cachepilot.adapters.client_files import ClientFiles
from cachepilot.errors import StalledError
from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import SeenClients
from cachepilot.spec.document import TenantName

ACME, OTHER = TenantName("acme"), TenantName("other")
OWNERS = os.geteuid() == 0
UID = 234_567 if OWNERS else os.geteuid()
LIFETIME = timedelta(days=90)
NOW = datetime.now(UTC)


@pytest.fixture
def start(paths, records, writer):
    """What a program that starts now would use."""
    for number, name in enumerate((ACME, OTHER)):
        port = Reservation(tls_port=7300 + number, plain_port=None, uid=UID + number, bridge=0)
        writer.reserve(name, port)

    def begin():
        authority = Authority(paths, utc_now=lambda: NOW, owners=OWNERS)
        clients = ClientFiles(paths, utc_now=lambda: NOW, owners=OWNERS)
        return CertificateFiles(paths, authority, records, clients, owners=OWNERS)

    return begin


@pytest.fixture
def certificates(start):
    return start()


def issue(certificates, client="app", tenant=ACME, **more):
    if not certificates.clients(tenant).authority:
        certificates.create_client_authority(tenant, wish=None)
    asked = {"client": client, "lifetime": LIFETIME, "now": NOW} | more
    certificates.issue_client(tenant, **asked)


def issue_leaf(certificates, *, clients=True, revision=1):
    certificates.create_authority()
    certificates.issue(
        ACME,
        revision=revision,
        names=("localhost",),
        lifetime=LIFETIME,
        uid=UID,
        clients=clients,
        now=NOW,
    )


def openssl(*words):
    ended = subprocess.run(["openssl", *map(str, words)], check=False, capture_output=True)
    return ended.returncode, (ended.stdout + ended.stderr).decode()


def verifies(authority, certificate, purpose="sslclient"):
    code, _ = openssl("verify", "-purpose", purpose, "-CAfile", authority, certificate)
    return code == 0


def mode(path):
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_tenant_without_clients_has_nothing_on_disk(certificates, paths):
    assert certificates.clients(ACME) == SeenClients()
    assert not paths.clients(ACME).exists()


def test_a_client_gets_key_and_certificate_that_only_clients_can_use(certificates, paths):
    issue(certificates)
    folder = paths.clients(ACME) / "app"
    authority = paths.client_authority(ACME) / "cert.pem"

    assert verifies(authority, folder / "cert.pem")
    assert not verifies(authority, folder / "cert.pem", purpose="sslserver")
    assert (mode(folder), mode(folder.parent)) == ("0o700", "0o700")
    assert (mode(folder / "key.pem"), mode(authority.parent)) == ("0o600", "0o700")
    (seen,) = certificates.clients(ACME).certificates
    assert (seen.name, seen.folder, seen.problem) == ("app", str(folder), "")
    assert seen.not_after - NOW > timedelta(days=89)


def test_no_tenant_vouches_for_the_client_of_another(certificates, paths):
    issue(certificates)
    issue(certificates, tenant=OTHER)

    theirs = paths.client_authority(OTHER) / "cert.pem"
    assert not verifies(theirs, paths.clients(ACME) / "app/cert.pem")


def test_neither_root_nor_server_vouches_for_clients(certificates, paths):
    issue(certificates)
    issue_leaf(certificates)
    leaf = paths.leaf(ACME, 1)

    assert not verifies(leaf / "ca.pem", leaf / "cert.pem", purpose="sslclient")
    assert not verifies(paths.public_ca, paths.clients(ACME) / "app/cert.pem")
    # What the server shows as a client of its predecessor is a client's certificate only.
    assert verifies(leaf / "ca.pem", leaf / "client.pem")
    assert not verifies(leaf / "ca.pem", leaf / "client.pem", purpose="sslserver")


def test_a_leaf_says_whether_it_goes_with_client_certificates(certificates):
    issue(certificates)
    issue_leaf(certificates, clients=False)
    assert certificates.leaf(ACME, 1).clients == ""

    issue_leaf(certificates, revision=2)
    seen = certificates.leaf(ACME, 2)
    assert seen.clients == certificates.clients(ACME).authority
    assert seen.problem == ""


@pytest.mark.parametrize("lost", ["client.pem", "client-key.pem"])
def test_a_leaf_without_what_the_server_shows_is_of_no_use(certificates, start, paths, lost):
    issue(certificates)
    issue_leaf(certificates)
    assert certificates.leaf(ACME, 1).problem == ""

    (paths.leaf(ACME, 1) / lost).unlink()

    for each in (certificates, start()):
        assert "do not fit together" in each.leaf(ACME, 1).problem


def test_another_authority_ends_all_that_the_one_before_signed(certificates, start, records):
    issue(certificates)
    before = certificates.clients(ACME)

    certificates.create_client_authority(ACME, wish="2026-03-01T00:00:00Z")

    for each in (certificates, start()):
        seen = each.clients(ACME)
        assert seen.authority not in ("", before.authority)
        assert [one.authority for one in seen.certificates] == [""]
    assert records.recall(ACME).clients_rotated_at == "2026-03-01T00:00:00Z"


def test_a_removed_client_leaves_nothing(certificates, paths):
    issue(certificates, "app")
    issue(certificates, "web")

    certificates.remove_client(ACME, client="app")
    certificates.remove_client(ACME, client="app")

    assert certificates.clients(ACME).names == ("web",)
    assert not (paths.clients(ACME) / "app").exists()


def test_a_lost_authority_is_told_and_never_made_anew(certificates, paths):
    issue(certificates)
    shutil.rmtree(paths.client_authority(ACME))

    seen = certificates.clients(ACME)
    assert (seen.authority, seen.names) == ("", ("app",))
    assert "put the folder back" in seen.problem
    with pytest.raises(StalledError) as refusal:
        issue_leaf(certificates)
    assert refusal.value.reason == "ClientAuthorityBroken"


@pytest.mark.parametrize("text", [b"", b"hunter2", b"-----BEGIN PRIVATE KEY-----\nhunter2\n"])
def test_a_torn_authority_is_told_without_its_content(certificates, paths, text):
    issue(certificates)
    (paths.client_authority(ACME) / "key.pem").write_bytes(text)

    problem = certificates.clients(ACME).problem
    assert "cannot be read" in problem
    assert "hunter2" not in problem


def test_a_torn_client_is_named_but_not_shown(certificates, paths):
    issue(certificates)
    (paths.clients(ACME) / "app/cert.pem").write_bytes(b"torn")

    seen = certificates.clients(ACME)
    assert (seen.names, seen.certificates) == (("app",), ())


def test_a_key_that_others_could_read_is_told(certificates, paths):
    issue(certificates)
    (paths.clients(ACME) / "app/key.pem").chmod(0o644)

    assert "mode was changed" in certificates.clients(ACME).certificates[0].problem


@pytest.mark.parametrize("harm", [("", 0o755), ("key.pem", 0o644)])
def test_an_authority_that_others_could_read_is_told_until_it_is_private_again(
    paths, certificates, harm
):
    issue(certificates)
    name, mode = harm
    place = paths.client_authority(ACME) / name
    before = stat.S_IMODE(place.stat().st_mode)
    assert certificates.clients(ACME).problem == ""

    place.chmod(mode)

    problem = certificates.clients(ACME).problem
    assert "others may have its key" in problem
    assert "clientsRotatedAt" in problem
    place.chmod(before)
    assert certificates.clients(ACME).problem == ""
