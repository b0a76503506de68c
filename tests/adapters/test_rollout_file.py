from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.rollout_file import RolloutFile
from cachepilot.errors import StalledError
from cachepilot.plan.rollout import Halt, Rollout, UnderWay

MOMENTS = st.datetimes(timezones=st.just(UTC))
ROLLOUTS = st.builds(
    Rollout,
    under_way=st.lists(
        st.builds(UnderWay, since=MOMENTS, ready_since=st.none() | MOMENTS), max_size=3
    ).map(tuple),
    passed=st.lists(st.text(), max_size=3).map(tuple),
    failed=st.lists(st.text(), max_size=3).map(tuple),
    halted=st.none() | st.builds(Halt, at=MOMENTS),
)


@pytest.fixture
def file(tmp_path):
    paths = RootPaths(tmp_path)
    paths.state.mkdir(parents=True)
    return RolloutFile(paths, owner=None)


def test_without_a_file_nothing_was_decided(file):
    assert file.load() == Rollout()


def test_what_was_decided_is_found_again(file, tmp_path):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    kept = Rollout(
        target="t",
        under_way=(UnderWay(name="acme", since=now, ready_since=now + timedelta(seconds=1)),),
        halted=Halt(name="beta", message="it is stalled", at=now),
    )
    file.save(kept)
    assert file.load() == kept
    path = RootPaths(tmp_path).rollout
    assert path.stat().st_mode & 0o777 == 0o600


@settings(max_examples=50, deadline=None)
@given(ROLLOUTS)
def test_every_decision_reads_back_the_same(tmp_path_factory, rollout):
    paths = RootPaths(tmp_path_factory.mktemp("r"))
    paths.state.mkdir(parents=True)
    file = RolloutFile(paths, owner=None)
    file.save(rollout)
    assert file.load() == rollout


@pytest.mark.parametrize("content", ["", "{", "[]", '{"target": 3}', '{"under_way": [1]}'])
def test_a_torn_file_is_told_and_not_forgotten(file, tmp_path, content):
    RootPaths(tmp_path).rollout.write_text(content)
    with pytest.raises(StalledError) as caught:
        file.load()
    assert caught.value.reason == "RolloutUnreadable"
    assert "remove it" in str(caught.value)
