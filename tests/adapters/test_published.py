import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.published import PublishedStatus, StatusUnreadableError
from cachepilot.adapters.status_files import StatusFiles
from cachepilot.spec.document import TenantName
from cachepilot.status.conditions import TenantStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path):
    return RootPaths(tmp_path)


def status(name):
    return TenantStatus(
        tenant_name=TenantName(name),
        word="Ready",
        generation=1,
        observed_generation=1,
        observed_digest="d",
        settings_digest="s",
        observed_at=NOON,
        source="",
        labels=(("tier", "gold"),),
        annotations=(),
        spec=None,
        conditions=(),
        endpoints=(),
        problems=(),
        plan=(),
        snapshot=None,
    )


def test_what_the_daemon_s_store_writes_is_read(paths):
    """Both names that share the word "host" included."""
    for name in ("acme", "host"):
        StatusFiles(paths, owner=None).publish(status(name))
    paths.host_status.write_text("{}")
    published = PublishedStatus(paths)

    assert published.names() == ("acme", "host")
    assert published.tenant("host").name == "host"
    acme = published.tenant("acme")
    assert (acme.word, acme.labels, acme.conditions) == ("Ready", {"tier": "gold"}, ())
    assert published.tenant("nobody") is None


def test_the_store_writes_the_snapshot_last(paths):
    """Readers cut the text there, so whatever came behind it would be lost."""
    StatusFiles(paths, owner=None).publish(status("acme"))
    assert list(json.loads(paths.tenant_status("acme").read_bytes()))[-1] == "snapshot"


tricky = st.sampled_from(["snapshot", ',"snapshot":', '"snapshot":', "}", '\\"', "a", "{"])
values = st.recursive(
    tricky | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tricky, inner, max_size=3),
    max_leaves=8,
)


@given(head=st.dictionaries(tricky.filter(lambda key: key != "snapshot"), values), last=values)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_snapshot_is_left_out_whatever_else_has_that_name(
    tmp_path_factory, separators, head, last
):
    paths = RootPaths(tmp_path_factory.getbasetemp() / "snapshots")
    paths.status.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**head, "snapshot": last}, separators=separators)
    paths.tenant_status("acme").write_text(text)
    assert PublishedStatus(paths).tenant("acme").content == head


def test_a_replaced_file_has_another_stamp(paths):
    store, published = StatusFiles(paths, owner=None), PublishedStatus(paths)
    store.publish(status("acme"))
    before = published.stamps()
    paths.tenant_status("acme").unlink()
    store.publish(status("acme"))
    assert published.stamps() != before


@pytest.mark.parametrize(("age", "alive"), [(0, True), (30, True), (31, False), (-5, True)])
def test_a_daemon_is_alive_for_half_a_minute_after_its_last_beat(paths, age, alive):
    paths.status.mkdir(parents=True)
    beat = (NOON - timedelta(seconds=age)).isoformat()
    paths.host_status.write_text(json.dumps({"daemon": {"heartbeatAt": beat}}))
    assert PublishedStatus(paths).host().is_alive(NOON) is alive


@pytest.mark.parametrize("content", ["", "[]", "{", '{"daemon": 1}', '{"daemon": {}}'])
def test_a_host_that_makes_no_sense_is_not_alive(paths, content):
    paths.status.mkdir(parents=True)
    paths.host_status.write_text(content)
    host = PublishedStatus(paths).host()
    assert host is None or not host.is_alive(NOON)


def test_a_host_that_is_closed_to_us_is_not_taken_for_dead(paths, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(StatusUnreadableError, match="permission denied"):
        PublishedStatus(paths).host()


def test_no_folder_and_no_json_are_told_apart(paths):
    with pytest.raises(StatusUnreadableError, match="there is no folder"):
        PublishedStatus(paths).names()
    paths.status.mkdir(parents=True)
    paths.tenant_status("acme").write_text("{")
    with pytest.raises(StatusUnreadableError, match="is not JSON"):
        PublishedStatus(paths).tenant("acme")
