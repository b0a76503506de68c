from pathlib import Path

from cachepilot.adapters.paths import RootPaths
from cachepilot.spec.document import TenantName

ACME = TenantName("acme")


def test_everything_of_a_tenant_lies_where_the_contract_says():
    paths = RootPaths(Path("/"))

    assert str(paths.tenants_d) == "/etc/cachepilot/tenants.d"
    assert str(paths.settings_file) == "/etc/cachepilot/cachepilot.yaml"
    assert str(paths.record(ACME)) == "/var/lib/cachepilot/tenants/acme/record.json"
    assert str(paths.leaf(ACME, 3)) == "/var/lib/cachepilot/tenants/acme/tls/3"
    assert str(paths.conf(ACME, 1)) == "/var/lib/cachepilot/tenants/acme/conf/1"
    assert str(paths.run(ACME, 1)) == "/var/lib/cachepilot/tenants/acme/run/1"
    assert str(paths.data(ACME, 1)) == "/var/lib/cachepilot/tenants/acme/data/1"
    assert str(paths.public_ca) == "/var/lib/cachepilot/public/ca.pem"
    assert str(paths.tenant_status(ACME)) == "/run/cachepilot/status/acme.json"
    assert str(paths.host_status) == "/run/cachepilot/status/host.json"
    assert str(paths.events) == "/var/log/cachepilot/events.jsonl"


def test_another_root_moves_all_of_it():
    paths = RootPaths(Path("/srv/try"))

    for path in (paths.etc, paths.state, paths.runtime, paths.log, paths.lock, paths.ledger):
        assert path.is_relative_to("/srv/try")


def test_a_tenant_called_host_does_not_overwrite_the_status_of_the_host():
    paths = RootPaths(Path("/"))

    assert paths.tenant_status(TenantName("host")) != paths.host_status
