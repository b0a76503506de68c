"""The imagined fleet of the benchmarks keeps up with the product between two runs."""

from contextlib import closing

from tests.benchmarks.ground import Ground
from tests.benchmarks.simulated import populate
from tests.benchmarks.simulated_fleet import serving


def test_an_imagined_fleet_is_born_and_served_again_by_another_daemon():
    with closing(Ground("")) as ground:
        populate(ground, 3)
        with serving(ground) as (service, _):
            words = [status.word for status in service._fleet.statuses()]
            assert words == ["Ready"] * 3
            assert sum(service._loop.counters.effects.values()) == 0
