"""The imagined fleet of the benchmarks keeps up with the product between two runs."""

from contextlib import closing
from urllib.request import urlopen

from tests.benchmarks.ground import Ground
from tests.benchmarks.simulated import populate
from tests.benchmarks.simulated_fleet import serving


def test_fleets_side_by_side_listen_on_ports_of_their_own():
    with closing(Ground("")) as one, closing(Ground("")) as another:
        assert one.metrics_port != another.metrics_port
        populate(one, 1)
        populate(another, 1)
        with serving(one), serving(another):
            ports = [one.metrics_port, another.metrics_port]
            answers = [urlopen(f"http://127.0.0.1:{port}/livez", timeout=10) for port in ports]
            assert [answer.status for answer in answers] == [200, 200]


def test_an_imagined_fleet_is_born_and_served_again_by_another_daemon():
    with closing(Ground("")) as ground:
        populate(ground, 3)
        with serving(ground) as (service, _):
            words = [status.word for status in service._fleet.statuses()]
            assert words == ["Ready"] * 3
            assert sum(service._loop.counters.effects.values()) == 0
