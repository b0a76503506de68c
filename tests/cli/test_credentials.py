"""The one verb that shows a secret, and what it leaves behind."""

import json
import os
import stat

import pytest

from cachepilot.adapters.ledger import Ledger
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.adapters.record_writer import RecordWriter
from cachepilot.adapters.records import Records
from cachepilot.adapters.secret import Secret
from cachepilot.observe.user_memory import KeptRules
from tests.cli.hosts import NOON, document

OWNERS = os.geteuid() == 0


@pytest.fixture
def acme(host):
    host.write("acme.yaml", document())
    host.publish("acme")
    records = Records(host.paths, owners=OWNERS)
    writer = RecordWriter(
        records,
        Ledger(host.paths, records, owners=OWNERS),
        PasswordFiles([]),
        utc_now=lambda: NOON,
    )
    writer.generate_credential("acme", user="default", pending=False, wish=None, now=NOON)
    for user in ("cachepilot", "cachepilot-metrics", "cachepilot-backup"):
        writer.generate_credential("acme", user=user, pending=False, wish=None, now=NOON)
    host.password = records.secret("acme", "default").reveal()
    return host


def test_everything_a_client_needs_is_shown(acme):
    shown = acme.run("credentials", "acme", "--reveal", "-o", "json").json
    assert shown == {
        "host": "127.0.0.1",
        "tlsPort": 7300,
        "plainPort": None,
        "username": "default",
        "password": acme.password,
        "caFile": str(acme.paths.public_ca),
        "clientCertificates": "off",
        "clients": {},
        "url": f"rediss://default:{acme.password}@127.0.0.1:7300/0",
    }
    text = acme.run("credentials", "tenant/acme", "--reveal").out
    assert acme.password in text
    assert "plainPort:   -" in text


def test_another_user_is_shown_by_name(acme):
    password = Records(acme.paths, owners=OWNERS).secret("acme", "cachepilot-metrics").reveal()

    shown = acme.run(
        "credentials", "acme", "--user", "cachepilot-metrics", "--reveal", "-o", "json"
    ).json

    assert (shown["username"], shown["password"]) == ("cachepilot-metrics", password)
    assert shown["url"] == f"rediss://cachepilot-metrics:{password}@127.0.0.1:7300/0"
    assert '"user":"cachepilot-metrics"' in acme.paths.events.read_text().replace(": ", ":")


@pytest.mark.parametrize("user", ["cachepilot", "cachepilot-backup"])
def test_the_keys_of_the_house_are_not_shown(acme, user):
    password = Records(acme.paths, owners=OWNERS).secret("acme", user).reveal()

    ended = acme.run("credentials", "acme", "--user", user, "--reveal")

    assert ended.code == 2
    assert password not in ended.out + ended.err


def test_a_user_that_does_not_exist_has_no_password(acme):
    ended = acme.run("credentials", "acme", "--user", "nobody", "--reveal")
    assert (ended.code, "no password of nobody yet" in ended.err) == (1, True)


def test_a_users_first_password_is_not_shown_before_the_server_has_it(acme):
    records = Records(acme.paths, owners=OWNERS)
    writer = RecordWriter(
        records,
        Ledger(acme.paths, records, owners=OWNERS),
        PasswordFiles([]),
        utc_now=lambda: NOON,
    )
    writer.generate_credential("acme", user="app", pending=False, wish=None, now=NOON)

    ended = acme.run("credentials", "acme", "--user", "app", "--reveal")
    assert (ended.code, "the server does not have app yet" in ended.err) == (1, True)

    rules = KeptRules(user="app", keys=(), channels=(), commands=("+get",))
    writer.remember_rules("acme", rules=(rules,))
    shown = acme.run("credentials", "acme", "--user", "app", "--reveal", "-o", "json").json
    assert shown["password"] == records.secret("acme", "app").reveal()


FOLDER = "/var/lib/cachepilot/tenants/acme/clients/app"
FILES = {"certFile": f"{FOLDER}/cert.pem", "keyFile": f"{FOLDER}/key.pem"}


def demand(acme, mode, *clients):
    access = acme.publish("acme")["spec"]["access"]
    acme.publish(
        "acme",
        spec={"access": {**access, "clientCertificates": mode}},
        clientCertificates=[{"name": name, "problem": "", **FILES} for name in clients],
    )


def test_a_certificate_that_clients_must_show_is_told_with_its_files(acme):
    demand(acme, "required", "app")

    text = acme.run("credentials", "acme", "--reveal").out
    assert "clients must show a certificate, too; those of spec.tls.clients:" in text
    assert f"  app   {FILES['certFile']}  {FILES['keyFile']}" in text
    shown = acme.run("credentials", "acme", "--reveal", "-o", "json").json
    assert shown["clientCertificates"] == "required"
    assert shown["clients"] == {"app": FILES}


def test_where_nobody_has_the_certificate_that_is_demanded_the_way_out_is_told(acme):
    demand(acme, "required")
    text = acme.run("credentials", "acme", "--reveal").out
    assert "clients must show a certificate, too; name them in spec.tls.clients" in text


def test_a_certificate_with_which_nobody_gets_in_is_not_handed_out(acme):
    demand(acme, "required", "app")
    bad = {"name": "app", "problem": "another authority signed it", **FILES}
    acme.publish(
        "acme",
        spec={"access": {"mode": "tls-only", "clientCertificates": "required"}},
        clientCertificates=[bad],
    )
    ended = acme.run("credentials", "acme", "--reveal")
    assert "app   another authority signed it" in ended.out
    assert FILES["keyFile"] not in ended.out
    assert acme.run("credentials", "acme", "--reveal", "-o", "json").json["clients"] == {}


@pytest.mark.parametrize("mode", ["off", "optional"])
def test_where_no_certificate_is_demanded_nothing_is_said(acme, mode):
    demand(acme, mode, "app")
    assert "must show" not in acme.run("credentials", "acme", "--reveal").out


def test_a_plain_listener_has_a_plain_url(acme):
    acme.publish("acme", endpoints=[{"listener": "plain", "host": "::1", "port": 7600}])
    shown = acme.run("credentials", "acme", "--reveal", "-o", "json").json
    assert (shown["tlsPort"], shown["plainPort"], shown["caFile"]) == (None, 7600, None)
    assert shown["url"] == f"redis://default:{acme.password}@[::1]:7600/0"


def test_a_password_of_any_letters_fits_into_the_url(acme, monkeypatch):
    monkeypatch.setattr(Records, "secret", lambda *_: Secret("p@ss/w:rd %"))
    shown = acme.run("credentials", "acme", "--reveal", "-o", "json").json
    assert shown["url"] == "rediss://default:p%40ss%2Fw%3Ard%20%25@127.0.0.1:7300/0"


def test_nothing_is_shown_unasked(acme):
    ended = acme.run("credentials", "acme")
    assert (ended.code, "--reveal" in ended.err) == (2, True)
    assert acme.password not in ended.out + ended.err
    assert not acme.paths.events.exists()


def test_showing_leaves_an_event_without_the_secret(acme):
    acme.run("credentials", "acme", "--reveal")
    text = acme.paths.events.read_text()
    (event,) = map(json.loads, text.splitlines())
    assert (event["tenant"], event["type"], event["reason"]) == (
        "acme",
        "Normal",
        "CredentialsRevealed",
    )
    assert event["time"] == "2026-03-01T12:00:00.000Z"
    assert acme.password not in text
    assert stat.S_IMODE(acme.paths.events.stat().st_mode) == 0o640
    assert "CredentialsRevealed" in acme.run("events", "--for", "acme").out


def test_what_cannot_be_recorded_is_not_shown(acme):
    acme.paths.log.rmdir()
    ended = acme.run("credentials", "acme", "--reveal")
    assert ended.code == 1
    assert acme.password not in ended.out + ended.err


def test_a_tenant_without_password_or_record_is_explained(acme):
    acme.publish("beta")
    ended = acme.run("credentials", "beta", "--reveal")
    assert (ended.code, "no password of default yet" in ended.err) == (1, True)
    acme.paths.record("acme").write_text("{")
    ended = acme.run("credentials", "acme", "--reveal")
    assert (ended.code, "put it back from a backup" in ended.err) == (1, True)
    assert acme.run("credentials", "acne", "--reveal").code == 4
