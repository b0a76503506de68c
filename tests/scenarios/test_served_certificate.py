"""What a server really serves, whatever it says of itself."""

from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.adapters.authority import Authority
from cachepilot.adapters.certificate_making import make_leaf, make_root
from cachepilot.adapters.paths import RootPaths
from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually

ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}


def stranger_leaf(host, signed_by):
    """Return a certificate for the same names that nobody issued."""
    root = make_root(datetime.now(UTC))
    if signed_by == "our root":
        paths = RootPaths(host.root)
        root = Authority(paths, utc_now=lambda: datetime.now(UTC), owners=True).load()
    names, lifetime = ("127.0.0.1", "localhost"), timedelta(days=30)
    return make_leaf(root, names=names, lifetime=lifetime, now=datetime.now(UTC))


@pytest.mark.parametrize("signed_by", ["our root", "a stranger"])
@pytest.mark.parametrize("engine", ENGINES)
def test_another_certificate_under_the_same_path_is_told_and_ended(fleet, engine, signed_by):
    """The server's own answers are all as wanted; only a handshake can tell."""
    spec = {"engine": {"image": ENGINES[engine]}, "paused": True}
    tenant = fleet.tenant(f"lie{len(fleet.tenants)}")
    tenant.write(spec | {"paused": False}).settle().edit({"paused": True}).settle("Paused")
    run_id = tenant.run_id()
    leaf = tenant.folder / f"tls/{tenant.record()['memory']['certificate']}"
    lie = stranger_leaf(fleet, signed_by)
    honest = {name: (leaf / name).read_bytes() for name in ("cert.pem", "key.pem")}

    (leaf / "cert.pem").write_bytes(lie.certificate_pem())
    (leaf / "key.pem").write_bytes(lie.key_pem())
    with tenant.admin() as admin:
        inside = f"/tls/{leaf.name}"
        admin.config_set(
            "tls-cert-file", f"{inside}/cert.pem", "tls-key-file", f"{inside}/key.pem"
        )
    for name, content in honest.items():
        (leaf / name).write_bytes(content)
    fleet.hang_up()

    def is_told():
        told = tenant.condition("CertificateServed")
        assert (told["status"], told["reason"]) == ("False", "OtherServed"), told
        return tenant.condition("ConfigApplied")["status"] == "True"

    eventually(is_told)
    tenant.edit({"paused": None}).settle()
    assert tenant.condition("CertificateServed")["status"] == "True"
    assert tenant.run_id() == run_id
