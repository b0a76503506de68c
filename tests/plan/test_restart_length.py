"""The expected length of a restart."""

from datetime import timedelta

from cachepilot.plan.restart_length import preparation_length, restart_length

MB = 1_000_000


def test_an_empty_server_is_back_after_a_second():
    assert restart_length(MB) == timedelta(seconds=1)
    assert preparation_length(MB) == timedelta()


def test_what_has_to_be_loaded_takes_longer():
    assert restart_length(300 * MB) == timedelta(seconds=7)


def test_what_gets_to_disk_beside_the_traffic_takes_its_time_too():
    assert preparation_length(300 * MB) == timedelta(seconds=5)
