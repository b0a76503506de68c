import json
from datetime import UTC, datetime

import pytest

from tests.cli.hosts import NOON

LEAF = {
    "revision": 3,
    "fingerprint": "ab" * 32,
    "authority": "cd" * 32,
    "names": ["localhost"],
    "notBefore": "2026-02-01T00:00:00Z",
    "notAfter": "2026-05-02T00:00:00Z",
    "renewAt": "2026-04-01T00:00:00Z",
}
CLIENT = {
    "name": "app",
    "fingerprint": "ef" * 32,
    "notBefore": "2026-02-01T00:00:00Z",
    "notAfter": "2026-05-03T00:00:00Z",
    "renewAt": "2026-04-02T00:00:00Z",
    "certFile": "/var/lib/cachepilot/tenants/acme/clients/app/cert.pem",
    "keyFile": "/var/lib/cachepilot/tenants/acme/clients/app/key.pem",
    "problem": "",
}
SERVED = {
    "type": "CertificateServed",
    "status": "True",
    "reason": "Served",
    "message": "served until 2026-05-02, proven by handshake",
}
OLD, NEW = "cd" * 32, "12" * 32


def publish(host, name="acme", **status):
    host.publish(name, certificate=LEAF, conditions=[SERVED], **status)


def publish_host(host, rotation=None, roots=(OLD,), problem=""):
    host.beat()
    content = json.loads(host.paths.host_status.read_text())
    content["authority"] = {
        "fingerprint": OLD,
        "notAfter": "2036-01-01T00:00:00Z",
        "problem": problem,
        "roots": [{"fingerprint": each, "notAfter": "2036-01-01T00:00:00Z"} for each in roots],
        "rotation": rotation,
    }
    host.paths.host_status.write_text(json.dumps(content))


def rows(ended):
    return [line.split() for line in ended.out.splitlines()]


def test_roots_servers_and_clients_are_listed(host):
    publish(host, clientCertificates=[CLIENT])
    publish_host(host)

    titles, root, server, client = rows(host.run("get", "certs"))

    assert titles == ["TENANT", "KIND", "NAME", "ENDS", "RENEWED", "STATE"]
    assert root == ["-", "root", OLD[:16], "2036-01-01", "-", "signs"]
    assert server == ["acme", "server", "ab" * 8, "2026-05-02", "2026-04-01", "Served"]
    assert client == ["acme", "client", "app", "2026-05-03", "2026-04-02", "Issued"]


def test_wide_says_where_the_files_of_a_client_are(host):
    publish(host, clientCertificates=[CLIENT])
    found = host.run("get", "certs", "-o", "wide").out
    assert "/var/lib/cachepilot/tenants/acme/clients/app/{cert,key}.pem" in found
    assert LEAF["fingerprint"] in found


def test_a_client_that_has_none_yet_is_listed_all_the_same(host):
    publish(host)
    content = json.loads(host.paths.tenant_status("acme").read_text())
    content["spec"]["tls"]["clients"] = ["late"]
    host.paths.tenant_status("acme").write_text(json.dumps(content))
    assert rows(host.run("get", "certs"))[-1][1:] == ["client", "late", "-", "-", "NotIssued"]


def test_a_certificate_with_which_nobody_gets_in_is_not_called_issued(host):
    problem = "another authority signed it"
    publish(host, clientCertificates=[CLIENT | {"problem": problem}])

    assert rows(host.run("get", "certs"))[-1][-1] == "Unusable"
    assert problem in host.run("get", "certs", "-o", "wide").out


def test_what_ended_since_the_daemon_looked_is_said_so(host):
    publish(host, clientCertificates=[CLIENT, CLIENT | {"name": "b", "problem": "it is torn"}])
    host.now = datetime(2026, 5, 2, 12, tzinfo=UTC)
    states = [row[-1] for row in rows(host.run("get", "certs"))[1:]]
    assert states == ["Expired", "Issued", "Unusable"]

    host.now = datetime(2026, 5, 3, tzinfo=UTC)

    assert [row[-1] for row in rows(host.run("get", "certs"))[1:]] == ["Expired"] * 3
    server, client, other = host.run("get", "certs", "-o", "json").items
    assert server["status"]["message"] == "it ended on 2026-05-02"
    assert server["status"]["served"] is True
    assert client["status"]["message"] == "it ended on 2026-05-03"
    assert other["status"]["message"] == "it is torn; it ended on 2026-05-03"


def test_the_phase_of_a_rotation_is_shown(host):
    rotation = {
        "phase": "joining",
        "since": "2026-03-01T00:00:00Z",
        "until": None,
        "waitsFor": ["acme"],
        "problem": "",
        "message": "every server takes up a bundle with a new root; it waits for acme",
    }
    publish(host)
    publish_host(host, rotation=rotation, roots=(OLD, NEW))

    assert [row[-1] for row in rows(host.run("get", "certs"))[1:3]] == ["signs", "joining"]
    assert "it waits for acme" in host.run("get", "certs", "-o", "wide").out
    roots = host.run("get", "certs", "-o", "json").items[:2]
    assert [each["status"]["state"] for each in roots] == ["signs", "joining"]
    assert roots[1]["status"]["rotation"]["waitsFor"] == ["acme"]


def test_a_broken_authority_is_told(host):
    publish_host(host, roots=(), problem="cannot use the certificate authority: it is gone")
    publish(host)
    assert "Broken" in host.run("get", "certs").out


def test_machines_get_all_there_is_to_know_and_names(host):
    publish(host, clientCertificates=[CLIENT])
    server, client = host.run("get", "certs", "acme", "-o", "json").items

    assert server["kind"] == "Certificate"
    assert server["metadata"] == {"name": f"acme/server/{'ab' * 8}", "tenant": "acme"}
    assert server["spec"] == {"usage": "server"}
    assert server["status"]["served"] is True
    assert client["status"]["keyFile"] == CLIENT["keyFile"]
    assert "certificate/acme/client/app" in host.run("get", "certs", "-o", "name").out


def test_names_and_labels_select(host):
    publish(host)
    publish(host, "beta", metadata={"labels": {"tier": "gold"}})
    assert {row[0] for row in rows(host.run("get", "certs", "beta"))[1:]} == {"beta"}
    chosen = host.run("get", "certs", "-l", "tier=gold", "--no-headers")
    assert {row[0] for row in rows(chosen)} == {"beta"}
    assert host.run("get", "certs", "nobody").code == 4


def test_nothing_at_all_is_said_so(host):
    host.publish("plain")
    host.beat(NOON)
    ended = host.run("get", "certs")
    assert (ended.code, ended.out) == (0, "")
    assert "no certificates yet" in ended.err


@pytest.mark.parametrize("option", [["-w"], ["--sort-by", "name"], ["--fail-on", "degraded"]])
def test_what_makes_no_sense_for_certificates_is_refused(host, option):
    publish(host)
    assert host.run("get", "certs", *option).code == 2
