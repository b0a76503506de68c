"""The expected length of a restart."""

from datetime import timedelta

import pytest

from cachepilot.plan.restart_length import restart_length
from cachepilot.spec.document import PersistenceMode

MB = 1_000_000


@pytest.mark.parametrize("mode", PersistenceMode)
def test_an_empty_server_is_back_after_a_second(mode):
    assert restart_length(MB, mode) == timedelta(seconds=1)


def test_what_has_to_be_saved_first_takes_longer():
    lengths = [restart_length(300 * MB, mode) for mode in PersistenceMode]

    assert min(lengths) == restart_length(300 * MB, PersistenceMode.AOF) == timedelta(seconds=7)
    assert max(lengths) == timedelta(seconds=12)
