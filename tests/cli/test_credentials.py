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
