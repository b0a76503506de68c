import json

from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters import event_reader
from cachepilot.adapters.event_reader import EventReader


def line(number, size=0):
    return json.dumps({"n": number, "pad": "é" * size}).encode() + b"\n"


@given(st.lists(st.integers(0, 60), max_size=20), st.integers(1, 50))
def test_events_are_read_backwards_whatever_the_blocks_cut(tmp_path_factory, sizes, block):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    path.write_bytes(b"".join(line(number, size) for number, size in enumerate(sizes)))
    before, event_reader._BLOCK = event_reader._BLOCK, block
    try:
        found = [event["n"] for event in EventReader(path).newest_first()]
    finally:
        event_reader._BLOCK = before
    assert found == list(range(len(sizes)))[::-1]


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.fresh() == ()
    whole = line(1)
    path.write_bytes(whole[:5])
    assert reader.fresh() == ()
    path.write_bytes(whole + line(2)[:4])
    assert [event["n"] for event in reader.fresh()] == [1]
    path.write_bytes(whole + line(2))
    assert [event["n"] for event in reader.fresh()] == [2]


def test_what_was_there_before_can_be_skipped(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1))
    reader = EventReader(path)
    reader.skip_to_end()
    assert reader.fresh() == ()
    path.write_bytes(line(1) + line(2))
    assert [event["n"] for event in reader.fresh()] == [2]
