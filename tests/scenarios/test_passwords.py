"""Passwords that look like something else: taken as they are, or refused without being shown."""

import hashlib
import itertools
import json
import urllib.parse

import docker.errors
import pytest
import redis

from tests.scenarios.tenant import document
from tests.scenarios.waiting import eventually

# Texts that a file format, a shell, a template or a pattern would take for more than a text.
USABLE = {
    "quotes": "canary'\"`'quoted\"",
    "comment": "canary#not-a-comment",
    "mapping": "canary:{a:[b]},-{c:d}",
    "alias": "&canary*alias!tag|>%@",
    "boolean": "yes" * 6,
    "number": "0x" + "5eC2e7" * 4,
    "rule of an ACL": ">canary+@all~*&*nopass",
    "hash of an ACL": "#" + "c0ffee" * 11,
    "backslashes": "canary\\n\\t\\0\\x41\\",
    "shell": "$(canary);`id`$HOME|&&",
    "template": "canary{0}%s%(x)s{{x}}",
    "address": "canary@host:6379/0?x=y",
    "unicode": "kanarienvögelchen-\N{SNOWMAN}\N{GRINNING FACE}",
}
# What surrounds a password in its file, if anything.
AROUND = ("{}", "{}\n", "{}\r\n", "{}\n\n# a comment, and more lines\n")
UNUSABLE = {
    "a leading blank": " canary-leading-blank-0815",
    "a trailing blank": "canary-trailing-blank-0815 ",
    "a tab": "canary\ttabbed-secret-0815",
    "too short": "canary-0815",
    "mapping with a blank": "secret: canary-mapping-0815",
    "a mark in front": "\N{ZERO WIDTH NO-BREAK SPACE}canary-mark-0815",
}


@pytest.fixture
def tenant(fleet):
    name = f"pass{len(fleet.tenants)}"
    return fleet.tenant(name).write({"access": {"mode": "dual-mode"}}).settle()


def put(path, text):
    path.touch(mode=0o600)
    path.write_bytes(text.encode())


def traces(text):
    """Return every form in which *text* might show: raw, quoted, escaped, shortened, hashed."""
    stripped = text.strip()
    forms = {text, stripped, repr(text), json.dumps(text), ascii(text)}
    forms |= {repr(text)[1:-1], json.dumps(text)[1:-1], ascii(text)[1:-1]}
    forms |= {repr(text.encode())[2:-1], urllib.parse.quote(text)}
    forms |= {stripped[:12], stripped[-12:]}
    forms |= {hashlib.sha256(each.encode()).hexdigest()[:16] for each in (text, stripped)}
    return forms


def shown(host):
    """Return everything that people and programs get to read about *host*."""
    parts = [host.log(), host.events_file.read_text(), host.page("metrics")[1]]
    parts += [file.read_text() for file in host.status_folder.iterdir()]
    parts += [json.dumps(container.attrs) for container in host.containers()]
    parts += [words_of(container) for container in host.containers()]
    return "\n".join(parts)


def words_of(container):
    """Return what a container printed; one of an earlier scenario may go at this moment."""
    try:
        return container.logs().decode(errors="replace")
    except docker.errors.APIError as error:
        assert error.status_code in (404, 409), error
        return ""


def test_a_password_that_looks_like_something_else_works_and_is_never_shown(
    fleet, tenant, tmp_path
):
    file = tmp_path / "password"
    with fleet.unbroken(tenant):
        for text, around in zip(USABLE.values(), itertools.cycle(AROUND), strict=False):
            put(file, around.replace("{}", text))
            tenant.edit({"auth": {"passwordFile": str(file)}})
            eventually(lambda text=text: logs_in(tenant, text))
            tenant.settle()
            assert tenant.password() == text

        revealed = json.loads(fleet.ctl("credentials", tenant.name, "--reveal", "-o", "json"))
        with redis.Redis.from_url(revealed["url"], ssl_ca_certs=str(fleet.public_ca)) as client:
            assert client.ping()
    everything = shown(fleet)
    found = {kind for kind, text in USABLE.items() for form in traces(text) if form in everything}
    assert found == set()


def logs_in(tenant, password):
    for listener in ("tls", "plain"):
        with tenant.client(listener, password=password) as client:
            assert client.ping()
    return True


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_password_that_is_refused_is_never_shown(fleet, tenant, tmp_path, kind):
    file, old = tmp_path / "password", tenant.password()
    put(file, UNUSABLE[kind])

    with fleet.unbroken(tenant):
        tenant.edit({"auth": {"passwordFile": str(file)}})
        message = tenant.stalled("PasswordFileUnusable")["message"]

    assert str(file) in message
    everything = shown(fleet) + fleet.ctl("describe", "tenant", tenant.name)
    assert [form for form in traces(UNUSABLE[kind]) if form in everything] == []
    assert tenant.password() == old


def test_a_password_in_a_field_where_none_belongs_is_never_shown(fleet, tenant):
    """People write the password itself where the path of its file belongs, or invent a field."""
    for text in (*USABLE.values(), *UNUSABLE.values()):
        for auth in ({"passwordFile": text}, {"password": text}):
            fleet.put(tenant.path, document(tenant.name, {"auth": auth}))
            refusal = fleet.ctl("validate", str(tenant.path), expect=3)
            assert [form for form in traces(text) if form in refusal] == []
            eventually(lambda: any(str(tenant.path) in each for each in fleet.problems()))
    eventually(lambda: tenant.word == "Invalid")
    everything = shown(fleet) + fleet.ctl("describe", "tenant", tenant.name)
    texts = (*USABLE.values(), *UNUSABLE.values())
    assert [form for text in texts for form in traces(text) if form in everything] == []
