"""What somebody changes behind the daemon's back turns the matching condition with one visit.

The tenant is paused, so that the daemon only looks; otherwise it would mend the harm in the same
visit. Nobody is visited but when told to.
"""

import re
import shutil
import subprocess

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}
PATHS = ("tls-cert-file", "tls-key-file", "tls-ca-cert-file")


@pytest.fixture(scope="module")
def quiet(make_host):
    """A host on which nobody is visited by himself."""
    host = make_host({"daemon": {"resync": "12h", "workers": 2}})
    try:
        yield host.start()
    finally:
        host.close()


@pytest.fixture(scope="module", params=ENGINES)
def tenant(quiet, request):
    made = quiet.tenant(f"lie{request.param}")
    made.write(
        {
            "engine": {"image": ENGINES[request.param]},
            "access": {"mode": "dual-mode"},
            "auth": {"users": [{"name": "app", "keys": ["app:*"], "commands": ["+@read"]}]},
        }
    ).settle()
    # The leaf that an earlier look at the names gave, which is good in all but its age.
    shutil.copytree(made.folder / "tls/1", quiet.root / f"{made.name}-leaf")
    made.edit({"tls": {"extraNames": ["cache.example.org"]}}).settle()
    return made.edit({"paused": True}).settle("Paused")


def visits(host):
    found = re.search(r"^cachepilot_reconcile_total (\S+)", host.page("metrics")[1], re.MULTILINE)
    return float(found[1])


def visit(host):
    """Have everybody visited once; return when that is over."""
    before = visits(host)
    host.hang_up()
    eventually(lambda: visits(host) == before + len(host.tenants))


def set_user(*words):
    return lambda _tenant, admin: admin.execute_command("ACL SETUSER", *words)


def delete_user(name):
    return lambda _tenant, admin: admin.acl_deluser(name)


def set_config(**directives):
    words = [word.replace("_", "-") for pair in directives.items() for word in pair]
    return lambda _tenant, admin: admin.execute_command("CONFIG SET", *words)


def serve_older_leaf(tenant, admin):
    """A good certificate of the same authority, but not the one that should be served."""
    serve(tenant, admin, tenant.host.root / f"{tenant.name}-leaf")


def serve_strangers_leaf(tenant, admin):
    folder = tenant.host.root / f"{tenant.name}-stranger"
    shutil.copytree(tenant.host.root / f"{tenant.name}-leaf", folder, dirs_exist_ok=True)
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    serve(tenant, admin, folder)


def serve(tenant, admin, folder):
    uid = tenant.record()["memory"]["reservation"]["uid"]
    target = tenant.folder / "tls/99"
    shutil.copytree(folder, target, dirs_exist_ok=True)
    for path in (target, *target.iterdir()):
        shutil.chown(path, uid, uid)
    set_config(
        tls_cert_file="/tls/99/cert.pem",
        tls_key_file="/tls/99/key.pem",
        tls_ca_cert_file="/tls/99/ca.pem",
    )(tenant, admin)


# What is done, the condition that must turn, and what it must name.
LIES = {
    "a directive": (set_config(maxclients="77"), "ConfigApplied", ("77", "10000", "maxclients")),
    "memory": (set_config(maxmemory="1048577"), "ConfigApplied", ("1048577", "16777216")),
    "save points": (set_config(save="60 1"), "ConfigApplied", ("60 1",)),
    "a rule": (set_user("default", "+@admin"), "CredentialsApplied", ("default",)),
    "a rule less": (set_user("default", "-get"), "CredentialsApplied", ("default",)),
    "keys": (set_user("default", "resetkeys", "~a*"), "CredentialsApplied", ("default",)),
    "another user": (set_user("mallory", "on", "nopass", "~*", "+@all"), "CredentialsApplied",
                     ("mallory",)),
    "a password": (set_user("default", "resetpass", ">somebody"), "CredentialsApplied",
                   ("default",)),
    "one password more": (set_user("default", ">somebody"), "CredentialsApplied", ("default",)),
    "no password": (set_user("default", "nopass"), "CredentialsApplied", ("default",)),
    "a rule of a further user": (set_user("app", "+set"), "CredentialsApplied", ("app",)),
    "keys of a further user": (set_user("app", "~*"), "CredentialsApplied", ("app",)),
    "a password of a further user": (set_user("app", ">somebody"), "CredentialsApplied", ("app",)),
    "a further user gone": (delete_user("app"), "CredentialsApplied", ("app",)),
    "a rule of the exporter": (set_user("cachepilot-metrics", "+@write"), "CredentialsApplied",
                               ("cachepilot-metrics",)),
    "a closed account": (set_user("default", "off"), "EndpointsReachable", ("tls", "plain")),
    "an older leaf": (serve_older_leaf, "CertificateServed", ("another certificate",)),
    "a stranger's leaf": (serve_strangers_leaf, "CertificateServed", ("127.0.0.1",)),
    "a closed port": (set_config(port="0"), "EndpointsReachable", ("plain",)),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_one_visit_turns_the_condition_that_no_longer_holds(quiet, tenant, lie):
    harm, kind, named = LIES[lie]
    visit(quiet)
    assert tenant.condition(kind)["status"] == "True", tenant.summary()
    assert tenant.condition("Ready")["status"] == "True", tenant.summary()
    with tenant.admin() as admin:
        before = {
            name: tenant.config(name) for name in ("maxclients", "maxmemory", "save", "port")
        }
        before |= {name: tenant.config(name) for name in PATHS}
        rules = [each.split()[1:] for each in admin.acl_list()]
        harm(tenant, admin)
        try:
            visit(quiet)

            found = tenant.condition(kind)
            assert found["status"] == "False", tenant.summary()
            assert all(word in found["message"] for word in named), found["message"]
            assert tenant.condition("Ready")["status"] == "False", tenant.summary()
        finally:
            words = [word for pair in before.items() for word in pair]
            admin.execute_command("CONFIG SET", *words)
            admin.acl_deluser("mallory")
            for name, *words in rules:
                admin.execute_command("ACL SETUSER", name, "reset", *words)
