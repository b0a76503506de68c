"""The authority and its leaves, judged by openssl and by Python's own TLS."""

import os
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cachepilot.adapters.authority import Authority
from cachepilot.adapters.certificate_files import CertificateFiles
from cachepilot.adapters.client_files import ClientFiles
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import Reservation
from cachepilot.spec.document import TenantName

ACME = TenantName("acme")
UID = 234_567 if os.geteuid() == 0 else os.geteuid()
OWNERS = os.geteuid() == 0
NAMES = ("127.0.0.1", "2001:db8::1", "cache.example.org", "localhost")
LIFETIME = timedelta(days=90)
NOW = datetime.now(UTC)


@pytest.fixture
def authority(paths):
    return Authority(paths, utc_now=lambda: NOW, owners=OWNERS)


@pytest.fixture
def certificates(paths, authority, records, writer):
    writer.reserve(ACME, Reservation(tls_port=7300, plain_port=None, uid=UID, bridge=0))
    clients = ClientFiles(paths, utc_now=lambda: NOW, owners=OWNERS)
    return CertificateFiles(paths, authority, records, clients, owners=OWNERS)


@pytest.fixture
def again(paths, records):
    """What a program that starts now would use."""

    def start():
        fresh = Authority(paths, utc_now=lambda: NOW, owners=OWNERS)
        clients = ClientFiles(paths, utc_now=lambda: NOW, owners=OWNERS)
        return CertificateFiles(paths, fresh, records, clients, owners=OWNERS)

    return start


def issue(certificates, revision=1, **more):
    asked = {"names": NAMES, "lifetime": LIFETIME, "uid": UID, "now": NOW, "clients": False} | more
    certificates.issue(ACME, revision=revision, **asked)


@pytest.fixture
def issued(certificates):
    certificates.create_authority()
    issue(certificates)
    return certificates


def openssl(*words):
    ended = subprocess.run(["openssl", *map(str, words)], check=False, capture_output=True)
    return ended.returncode, (ended.stdout + ended.stderr).decode()


def mode(path):
    return oct(stat.S_IMODE(path.stat().st_mode))


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# The authority --------------------------------------------------------------------------------


def test_a_fresh_host_has_no_authority_and_no_problem(certificates):
    seen = certificates.authority()

    assert (seen.exists, seen.problem) == (False, "")
    with pytest.raises(WaitingError, match="no authority yet"):
        issue(certificates)


def test_the_root_is_made_once_and_published(paths, certificates, again):
    certificates.create_authority()
    seen, before = certificates.authority(), content(paths.ca)

    certificates.create_authority()
    again().create_authority()

    assert content(paths.ca) == before
    assert again().authority() == certificates.authority() == seen
    assert seen.exists
    assert (mode(paths.ca), mode(paths.ca / "key.pem")) == ("0o700", "0o600")
    assert (mode(paths.public), mode(paths.public_ca)) == ("0o755", "0o644")
    assert paths.public_ca.read_bytes() == before["cert.pem"]
    assert b"PRIVATE" not in paths.public_ca.read_bytes()


def test_openssl_takes_the_root_for_an_authority_of_ten_years(paths, certificates):
    certificates.create_authority()
    code, text = openssl(
        "x509", "-in", paths.public_ca, "-noout", "-text", "-fingerprint", "-sha256"
    )

    assert code == 0
    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "NIST CURVE: P-256" in text
    assert certificates.authority().fingerprint.upper() in text.replace(":", "")
    left = certificates.authority().not_after - NOW
    assert timedelta(days=3650) < left < timedelta(days=3660)
    assert openssl("verify", "-x509_strict", "-CAfile", paths.public_ca, paths.public_ca)[0] == 0


@pytest.mark.parametrize("threads", [8])
def test_many_tenants_that_are_first_at_once_share_one_root(paths, certificates, threads):
    seen = []

    def create():
        certificates.create_authority()
        seen.append(content(paths.ca))

    running = [threading.Thread(target=create) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    assert len(seen) == threads
    assert all(each == seen[0] for each in seen)


def lose_key(paths):
    (paths.ca / "key.pem").unlink()


def lose_certificate(paths):
    (paths.ca / "cert.pem").unlink()


def lose_folder(paths):
    shutil.rmtree(paths.ca)


def lose_all_but_the_leaf(paths):
    shutil.rmtree(paths.ca)
    shutil.rmtree(paths.public)


def tear_key(paths):
    (paths.ca / "key.pem").write_bytes(b"")


def tear_certificate(paths):
    path = paths.ca / "cert.pem"
    path.write_bytes(path.read_bytes()[:100])


def swap_key(paths):
    shutil.copy(paths.leaf(ACME, 1) / "key.pem", paths.ca / "key.pem")


def swap_both_for_a_leaf(paths):
    for name in ("key.pem", "cert.pem"):
        shutil.copy(paths.leaf(ACME, 1) / name, paths.ca / name)


@pytest.mark.parametrize(
    "harm",
    [
        lose_key,
        lose_certificate,
        lose_folder,
        lose_all_but_the_leaf,
        tear_key,
        tear_certificate,
        swap_key,
        swap_both_for_a_leaf,
    ],
)
def test_a_root_that_was_lost_or_harmed_is_never_replaced(paths, issued, again, harm):
    backup = content(paths.ca)
    harm(paths)
    harmed = sorted(paths.state.rglob("*"))

    for user in (issued, again()):
        seen = user.authority()
        assert not seen.exists
        assert str(paths.ca) in seen.problem
        assert "PRIVATE" not in seen.problem
        for attempt in (user.create_authority, lambda user=user: issue(user, 2)):
            with pytest.raises(StalledError) as told:
                attempt()
            assert told.value.reason == "AuthorityBroken"
    assert sorted(paths.state.rglob("*")) == harmed

    paths.ca.mkdir(exist_ok=True)
    for name, text in backup.items():
        (paths.ca / name).write_bytes(text)
    assert issued.authority().exists
    issue(issued, 2)


def test_something_rescued_into_the_folder_is_not_thrown_away(paths, certificates):
    paths.ca.mkdir(parents=True)
    (paths.ca / "key.pem.old").touch()

    with pytest.raises(StalledError, match=r"key\.pem\.old"):
        certificates.create_authority()

    assert (paths.ca / "key.pem.old").exists()


def test_an_empty_folder_is_no_lost_root(paths, certificates):
    paths.ca.mkdir(parents=True)

    certificates.create_authority()

    assert certificates.authority().exists


def test_a_death_while_the_root_is_made_leaves_none_or_a_whole_one(
    paths, certificates, again, monkeypatch
):
    """Die before each effect of making the root in turn; a new program goes on from there."""
    calls = ["fchmod", "write", "fsync", "rename", "open", "mkdir"]
    real = {name: getattr(os, name) for name in calls}
    survived = 0
    for effects in range(200):
        left = [effects]

        def mortal(name, left=left):
            def call(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
                return real[name](*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(os, name, mortal(name))
            try:
                certificates.create_authority()
            except KeyboardInterrupt:
                died = True
            else:
                died = False
        fresh = again()
        assert fresh.authority().problem == ""
        fresh.create_authority()
        assert fresh.authority().exists
        assert paths.public_ca.read_bytes() == (paths.ca / "cert.pem").read_bytes()
        if not died:
            break
        survived += 1
        shutil.rmtree(paths.ca)
        shutil.rmtree(paths.public)
        certificates = again()

    assert survived > 10
    assert not died


@pytest.mark.parametrize("harm", ["remove", "replace", "chmod"])
def test_the_copy_for_clients_and_the_modes_are_mended_when_a_leaf_is_issued(paths, issued, harm):
    wanted = paths.public_ca.read_bytes()
    (paths.ca / "key.pem").chmod(0o644)
    paths.ca.chmod(0o755)
    if harm == "remove":
        paths.public_ca.unlink()
    elif harm == "replace":
        paths.public_ca.write_bytes(b"something else")
    else:
        paths.public_ca.chmod(0o600)

    issue(issued, 2)

    assert paths.public_ca.read_bytes() == wanted
    assert mode(paths.public_ca) == "0o644"
    assert (mode(paths.ca), mode(paths.ca / "key.pem")) == ("0o700", "0o600")


# Leaves ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("issued")
def test_openssl_verifies_the_leaf_for_every_name_and_no_other(paths):
    leaf = paths.leaf(ACME, 1) / "cert.pem"
    verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", paths.public_ca]

    for name in ("localhost", "cache.example.org"):
        assert openssl(*verify, "-verify_hostname", name, leaf)[0] == 0
    for address in ("127.0.0.1", "2001:db8::1"):
        assert openssl(*verify, "-verify_ip", address, leaf)[0] == 0
    assert openssl(*verify, "-verify_hostname", "other.example.org", leaf)[0] != 0
    assert openssl(*verify, "-verify_ip", "127.0.0.2", leaf)[0] != 0
    assert openssl("verify", "-purpose", "sslclient", "-CAfile", paths.public_ca, leaf)[0] != 0


@pytest.mark.usefixtures("issued")
def test_openssl_reads_what_the_contract_says(paths):
    text = openssl("x509", "-in", paths.leaf(ACME, 1) / "cert.pem", "-noout", "-text")[1]
    lines = [line.strip() for line in text.splitlines()]

    def after(title):
        return lines[next(n for n, line in enumerate(lines) if line.startswith(title)) + 1]

    assert after("X509v3 Basic Constraints: critical") == "CA:FALSE"
    assert after("X509v3 Key Usage: critical") == "Digital Signature"
    assert after("X509v3 Extended Key Usage") == "TLS Web Server Authentication"
    assert after("X509v3 Subject Alternative Name") == (
        "IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, "
        "DNS:cache.example.org, DNS:localhost"
    )
    assert "X509v3 Subject Key Identifier:" in lines
    assert "X509v3 Authority Key Identifier:" in lines
    assert "NIST CURVE: P-256" in lines


@pytest.mark.usefixtures("issued")
def test_a_client_that_checks_chain_and_name_gets_in_and_one_that_dials_another_name_does_not(
    paths,
):
    folder = paths.leaf(ACME, 1)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.create_default_context(cafile=str(paths.public_ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT

    def shake_hands(name):
        here, there = socket.socketpair()
        with here, there:
            serving = threading.Thread(target=lambda: serve(there))
            serving.start()
            try:
                with client.wrap_socket(here, server_hostname=name) as encrypted:
                    return encrypted.getpeercert()["subject"]
            finally:
                serving.join()

    def serve(there):
        with suppress(ssl.SSLError, OSError):
            server.wrap_socket(there, server_side=True).close()

    for name in NAMES:
        assert shake_hands(name) == ((("commonName", "127.0.0.1"),),)
    for name in ("example.org", "127.0.0.9"):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(name)


def test_what_was_issued_is_seen_and_remembered(paths, issued, again, records):
    root = issued.authority()

    seen = issued.leaf(ACME, 1)

    assert seen == again().leaf(ACME, 1)
    assert seen.problem == ""
    assert seen.names == tuple(sorted(NAMES))
    assert seen.authority == root.fingerprint
    fingerprint = openssl(
        "x509", "-in", paths.leaf(ACME, 1) / "cert.pem", "-noout", "-fingerprint", "-sha256"
    )[1]
    assert seen.fingerprint.upper() in fingerprint.replace(":", "")
    assert seen.not_before == NOW.replace(microsecond=0) - timedelta(minutes=5)
    assert seen.not_after == NOW.replace(microsecond=0) + LIFETIME
    assert records.recall(ACME).certificate == 1


@pytest.mark.usefixtures("issued")
@pytest.mark.skipif(not OWNERS, reason="only root may give files away")
def test_the_server_can_read_its_files_and_nobody_else(paths):
    tls = paths.tls(ACME)
    places = [tls, tls / "1", *sorted((tls / "1").iterdir())]

    assert [(p.name, mode(p), p.stat().st_uid, p.stat().st_gid) for p in places] == [
        ("tls", "0o750", 0, UID),
        ("1", "0o750", 0, UID),
        ("ca.pem", "0o640", 0, UID),
        ("cert.pem", "0o640", 0, UID),
        ("key.pem", "0o640", 0, UID),
    ]


def test_a_leaf_never_outlives_its_root(issued):
    root = issued.authority()

    issue(issued, 2, lifetime=timedelta(days=36_500))

    assert issued.leaf(ACME, 2).not_after == root.not_after


@pytest.mark.parametrize("jump", [-1, 4000])
def test_a_clock_that_jumped_out_of_the_roots_time_signs_nothing(paths, issued, jump):
    with pytest.raises(StalledError, match="is the clock right") as told:
        issue(issued, 2, now=NOW + timedelta(days=jump))

    assert told.value.reason == "AuthorityBroken"
    assert not paths.leaf(ACME, 2).exists()


def test_a_long_first_name_is_cut_in_the_subject_and_whole_where_it_counts(paths, issued):
    long_name = ".".join(["a" * 50] * 4)
    issue(issued, 2, names=(long_name,))

    leaf = x509.load_pem_x509_certificate((paths.leaf(ACME, 2) / "cert.pem").read_bytes())

    assert leaf.subject.rfc4514_string() == f"CN={long_name[:64]}"
    assert issued.leaf(ACME, 2).names == (long_name,)


def test_serial_numbers_and_keys_never_repeat(paths, issued):
    for revision in (2, 3):
        issue(issued, revision)
    leaves = [
        x509.load_pem_x509_certificate((paths.leaf(ACME, n) / "cert.pem").read_bytes())
        for n in (1, 2, 3)
    ]

    assert len({leaf.serial_number for leaf in leaves}) == 3
    assert all(leaf.serial_number.bit_length() > 64 for leaf in leaves)
    assert len({(paths.leaf(ACME, n) / "key.pem").read_bytes() for n in (1, 2, 3)}) == 3


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem"])
@pytest.mark.parametrize("harm", ["remove", "empty", "cut", "link", "binary"])
def test_a_torn_revision_is_none_and_gets_replaced(paths, issued, name, harm):
    path = paths.leaf(ACME, 1) / name
    whole = path.read_bytes()
    path.unlink()
    if harm == "link":
        path.symlink_to(paths.public_ca)
    elif harm != "remove":
        path.write_bytes({"empty": b"", "cut": whole[:60], "binary": b"\0\xff" * 99}[harm])
    assert issued.leaf(ACME, 1) is None

    issue(issued, 1)

    assert issued.leaf(ACME, 1).problem == ""
    assert sorted(p.name for p in paths.tls(ACME).iterdir()) == ["1"]


def test_a_key_of_another_certificate_is_a_problem(paths, issued):
    issue(issued, 2)
    shutil.copy(paths.leaf(ACME, 1) / "key.pem", paths.leaf(ACME, 2) / "key.pem")

    assert "key belongs to another" in issued.leaf(ACME, 2).problem


def test_a_certificate_that_only_claims_to_be_signed_by_the_root_is_a_problem(paths, issued):
    """Same issuer's name, somebody else's signature: names alone prove nothing."""
    folder = paths.leaf(ACME, 1)
    genuine = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), password=None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(genuine.subject)
        .issuer_name(genuine.issuer)
        .public_key(key.public_key())
        .serial_number(genuine.serial_number)
        .not_valid_before(genuine.not_valid_before_utc)
        .not_valid_after(genuine.not_valid_after_utc)
    )
    for extension in genuine.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    forged = builder.sign(key, genuine.signature_hash_algorithm)
    (folder / "cert.pem").write_bytes(forged.public_bytes(serialization.Encoding.PEM))

    seen = issued.leaf(ACME, 1)

    assert seen.authority == ""
    assert "no root in its bundle signed it" in seen.problem


def test_a_leaf_of_an_earlier_root_names_that_root(paths, issued, tmp_path):
    """Somebody begins anew on purpose; the planner sees that the authority changed."""
    first = issued.authority().fingerprint
    for gone in (paths.ca, paths.public):
        shutil.rmtree(gone)
    shutil.move(paths.tls(ACME), tmp_path / "aside")
    issued.create_authority()
    shutil.move(tmp_path / "aside", paths.tls(ACME))

    assert issued.leaf(ACME, 1).authority == first
    assert issued.authority().fingerprint != first


@pytest.mark.parametrize("name", [".", "key.pem", "cert.pem"])
def test_a_mode_that_locks_the_server_out_or_lets_others_in_is_a_problem(paths, issued, name):
    (paths.leaf(ACME, 1) / name).chmod(0o777)

    assert "owner or mode" in issued.leaf(ACME, 1).problem


@pytest.mark.skipif(not OWNERS, reason="only root may give files away")
def test_an_owner_that_locks_the_server_out_is_a_problem(paths, issued):
    os.chown(paths.leaf(ACME, 1) / "key.pem", 0, 0)

    assert "owner or mode" in issued.leaf(ACME, 1).problem


def test_a_failed_write_leaves_no_revision_and_no_memory_of_one(
    paths, issued, records, monkeypatch
):
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(UnavailableError, match="no space left on device"):
            issue(issued, 2)

    assert issued.leaf(ACME, 2) is None
    assert records.recall(ACME).certificate == 1
    assert [p.name for p in paths.tls(ACME).iterdir()] == ["1"]


def test_an_unchanged_leaf_is_not_parsed_again(issued, monkeypatch):
    seen = issued.leaf(ACME, 1)
    monkeypatch.setattr("cachepilot.adapters.leaf_reading.parse_pair", None)
    monkeypatch.setattr("cachepilot.adapters.root_folders.parse_pair", None)

    assert issued.leaf(ACME, 1) is seen
    assert issued.authority().exists


def test_pruning_keeps_the_recorded_revision_and_nothing_else(paths, issued):
    for revision in (2, 3):
        issue(issued, revision)
    (paths.tls(ACME) / ".cachepilot-new-0").mkdir()
    assert issued.has_stale(ACME, 3)

    issued.prune(ACME, keep=3)

    assert [p.name for p in paths.tls(ACME).iterdir()] == ["3"]
    assert not issued.has_stale(ACME, 3)
    assert issued.leaf(ACME, 3).problem == ""


@pytest.mark.parametrize("reason", ["another is recorded", "it is torn"])
def test_pruning_looks_again_before_it_deletes(paths, issued, reason):
    issue(issued, 2)
    if reason == "it is torn":
        (paths.leaf(ACME, 2) / "key.pem").unlink()

    with pytest.raises(WaitingError):
        issued.prune(ACME, keep=2 if reason == "it is torn" else 1)

    assert paths.leaf(ACME, 1).exists()
    assert paths.leaf(ACME, 2).exists()


def test_no_private_key_shows_in_what_is_seen(issued):
    shown = repr([issued.leaf(ACME, 1), issued.authority(), vars(issued), vars(issued._authority)])

    assert "PRIVATE" not in shown
