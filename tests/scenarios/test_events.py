"""Docker's events alone bring repairs: the next resync is an hour away."""

import pytest

from tests.fakes.tunnel import Tunnel
from tests.scenarios.conftest import SHARED_ENGINE
from tests.scenarios.test_drift import rename
from tests.scenarios.waiting import eventually

# Not a guess about this machine: what is broken through Docker is whole again within so many
# seconds, says the product.
PROMISED = 5.0


@pytest.fixture(scope="module")
def tunnel(tmp_path_factory):
    return Tunnel(tmp_path_factory.mktemp("t") / "docker.sock", SHARED_ENGINE).open()


@pytest.fixture(scope="module")
def hourly(make_host, tunnel):
    """A host whose daemon reaches the engine through the tunnel; the scenarios do not need it."""
    daemon = {"resync": "1h", "workers": 2}
    host = make_host({"daemon": daemon, "docker": {"socket": tunnel.address}})
    try:
        yield host.start()
    finally:
        host.close()


@pytest.fixture
def tenant(hourly):
    """A tenant to break, with something to lose, that nobody is about to visit anyway."""
    made = hourly.tenant(f"hint{len(hourly.tenants)}")
    made.write({"persistence": {"mode": "aof"}}).settle().put(kept="yes")
    limit = made.inspect()["HostConfig"]["Memory"]

    def serves():
        assert made.container().name == f"cachepilot-{made.name}"
        host = made.inspect()["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (limit, limit)
        return made.is_running() and made.get("kept") == "yes"

    made.serves = serves
    yield made
    made.edit({"state": "deleted"}).settle("Deleted")


HANDS = {
    "removed": lambda container: container.remove(force=True),
    "killed": lambda container: container.kill(),
    "stopped": lambda container: container.stop(),
    "paused": lambda container: container.pause(),
    "renamed": rename,
    "updated": lambda container: container.update(mem_limit=2**28, memswap_limit=2**29),
}


@pytest.mark.parametrize("harm", HANDS)
def test_what_somebody_does_through_docker_is_repaired_within_what_is_promised(tenant, harm):
    container = tenant.container()

    HANDS[harm](container)

    eventually(tenant.serves, timeout=PROMISED)


@pytest.mark.parametrize("harm", ["removed", "updated"])
def test_what_happened_while_the_stream_was_broken_is_found_when_it_is_back(tunnel, tenant, harm):
    container = tenant.container()

    # The engine answers all the time, so there is nothing to notice but the gap.
    tunnel.hang_up()
    HANDS[harm](container)

    eventually(tenant.serves, timeout=PROMISED)


def test_what_happened_while_the_engine_was_away_is_found_when_it_is_back(hourly, tunnel, tenant):
    container = tenant.container()
    tunnel.cut()
    eventually(lambda: not hourly.facts()["docker"]["up"])

    HANDS["removed"](container)
    tunnel.open()

    eventually(tenant.serves, timeout=PROMISED)
    eventually(lambda: hourly.facts()["docker"]["up"])
