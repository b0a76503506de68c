"""New defaults reach a real fleet canary first, so many at a time, and halt at the first harm."""

import json
from contextlib import ExitStack

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8
from tests.scenarios.load import Load
from tests.scenarios.registry import empty_registry
from tests.scenarios.waiting import eventually

# A connection that is cut off in its handshake leaves its socket to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
FEW = 6
ROLLOUT = {"canary": 1, "maxUnavailable": 2, "settle": "1s", "deadline": "20s"}
# Nobody listens there; it is tried again until the deadline, which nobody else needs then.
NO_SUCH = "127.0.0.1:1/redis:never"
HASTY = {**ROLLOUT, "deadline": "5s"}


@pytest.fixture
def six(host):
    host.write_settings(rollout=ROLLOUT, daemon={"resync": "5s", "workers": 4})
    host.start()
    tenants = [host.tenant(f"roll{number}").write() for number in range(FEW)]
    for each in tenants:
        each.settle().put(kept="yes")
    return tenants


@pytest.fixture
def tagged(host):
    """Return a maker of further names for Redis 7.0."""
    names = []

    def tag(kind):
        names.append(f"cachepilot-lab/{kind}:rollout-{host.slot.number}")
        host.engine.images.get(REDIS_7).tag(names[-1])
        return names[-1]

    yield tag
    for name in names:
        host.engine.images.remove(name, force=True)


def default_image(host, image, **more):
    defaults = {**host.settings["defaults"], "engine": {"image": image}}
    host.write_settings(defaults=defaults, **more)
    host.hang_up()


def image_of(tenant):
    return tenant.inspect()["Config"]["Image"]


def rollout(host):
    return host.facts()["rollout"]


def turns(host):
    return [event["tenant"] for event in host.events() if event["reason"] == "RolloutTurn"]


def all_have(tenants, image):
    def check():
        for each in tenants:
            assert each.status()["spec"]["engine"]["image"] == image, each.summary()
            assert each.word == "Ready", each.summary()
            assert image_of(each) == image, each.summary()
        return True

    eventually(check, timeout=150)


def test_a_new_image_goes_to_a_canary_and_then_to_so_many_at_a_time(host, six):
    volunteer = six[5]
    text = volunteer.document().replace(
        '"name"', '"labels": {"cachepilot/canary": "true"}, "name"'
    )
    host.put(volunteer.path, text)
    volunteer.settle()
    live = six[0]
    with ExitStack() as stack:
        loads = [stack.enter_context(Load(each, None)) for each in six[:3]]
        default_image(host, REDIS_8)
        eventually(lambda: turns(host))
        # The canary is alone, and what is live does not wait for anybody's turn.
        with host.unbroken(live):
            live.edit({"memory": {"max": "24MiB"}})
            eventually(lambda: live.config("maxmemory") == str(24 * 2**20))
            assert turns(host) == [volunteer.name]
        most = 0

        def is_over():
            nonlocal most
            most = max(most, len(rollout(host)["underWay"]))
            return rollout(host)["phase"] == "idle" and len(turns(host)) == FEW

        eventually(is_over, timeout=150)
        all_have(six, REDIS_8)
        for load in loads:
            load.go_on()
    assert most <= 2
    assert [load.lost() for load in loads] == [[], [], []]
    assert sorted(turns(host)) == sorted(each.name for each in six)
    assert all(each.get("kept") == "yes" for each in six)
    (shown,) = json.loads(host.ctl("rollout", "status", "-o", "json"))["items"]
    assert shown["status"]["passed"] == FEW
    newborn = host.tenant("newborn").write().settle()
    assert image_of(newborn) == REDIS_8


@pytest.mark.parametrize("harm", ["there is none", "it lacks the server"])
def test_an_image_that_harms_the_canary_reaches_nobody_else(host, six, tagged, harm):
    image = NO_SUCH if harm == "there is none" else tagged("valkey")
    first, *others = sorted(six, key=lambda each: each.name)
    paused, stopped = others[0], others[1]
    paused.edit({"paused": True}).settle("Paused")
    stopped.edit({"state": "stopped"}).settle("Stopped")
    serving = [each for each in others if each is not stopped]
    with host.undisturbed(*serving):
        default_image(host, image, rollout=HASTY if image == NO_SUCH else ROLLOUT)
        eventually(lambda: rollout(host)["phase"] == "halted", timeout=60)
        eventually(lambda: host.facts()["conditions"])
        assert host.facts()["conditions"][0]["reason"] == "RolloutHalted"
        assert "cachepilot_rollout_halted 1.0" in host.page("metrics")[1]
        found = rollout(host)
        assert "halted by a failure" in host.ctl("rollout", "status", expect=6)
        assert (found["halted"]["tenant"], found["failed"]) == (first.name, [first.name])
        assert found["resting"] == 2
        waiting = others[-1]
        eventually(lambda: "is halted" in host.ctl("describe", "tenant", waiting.name))
        assert waiting.word == "Ready"
        host.kill()
        host.start()
        eventually(lambda: rollout(host)["phase"] == "halted")
    # A server that crashes behind the halt comes back as it was.
    victim = others[-1]
    victim.container().kill()
    eventually(lambda: victim.is_running() and victim.word == "Ready")
    assert image_of(victim) == REDIS_7

    # Its own edit is not held up, even one that needs a restart.
    run_id = victim.run_id()
    victim.edit({"restartedAt": "2026-03-01T12:00:00Z"})
    eventually(lambda: victim.run_id() != run_id)
    victim.settle()
    assert image_of(victim) == REDIS_7

    default_image(host, REDIS_7)
    all_have([first, *[each for each in serving if each is not paused]], REDIS_7)
    eventually(lambda: rollout(host)["phase"] == "idle")
    # A memory-only server that was killed by hand has lost what it held.
    assert all(each.get("kept") == "yes" for each in (first, *serving) if each is not victim)


def test_an_image_that_its_registry_does_not_have_halts_it_at_once(host, six):
    """And not only behind a deadline that a slow but honest image may need."""
    first, *others = sorted(six, key=lambda each: each.name)
    patient = {**ROLLOUT, "deadline": "1h"}
    with host.undisturbed(*others), empty_registry(host.slot.free_port(4)) as registry:
        default_image(host, f"{registry}/redis:never", rollout=patient)
        eventually(lambda: rollout(host)["phase"] == "halted", timeout=60)
        said = host.ctl("rollout", "status", expect=6)
        assert f"{first.name}: cannot pull image {registry}/redis:never: manifest unknown" in said
    # Its clients are served all the same, by what was there.
    assert image_of(first) == REDIS_7
    assert first.get("kept") == "yes"
    default_image(host, REDIS_7)
    eventually(lambda: first.word == "Ready", timeout=60)


def test_a_default_that_cannot_be_fetched_for_a_moment_is_told_and_waited_for(host, six):
    first = min(six, key=lambda each: each.name)
    patient = {**ROLLOUT, "deadline": "1h"}
    default_image(host, NO_SUCH, rollout=patient)
    eventually(lambda: "connection refused" in host.ctl("rollout", "status"), timeout=60)
    assert f"{first.name} (held up, for" in host.ctl("rollout", "status")
    assert rollout(host)["phase"] == "canary"
    host.engine.images.get(REDIS_8).tag(NO_SUCH)
    try:
        all_have(six, NO_SUCH)
        default_image(host, REDIS_8)
        all_have(six, REDIS_8)
    finally:
        host.engine.images.remove(NO_SUCH, force=True)
    assert all(each.get("kept") == "yes" for each in six)


def test_a_daemon_that_is_killed_in_the_middle_goes_on_where_it_was(host, six):
    # Nobody can look at one of them: it holds up nobody, and has its turn once it is mended.
    broken, *others = six
    record = broken.folder / "record.json"
    kept, served = record.read_bytes(), broken.inspect()["Id"]
    record.write_text("{torn")
    default_image(host, REDIS_8)
    for count in (1, 3):
        eventually(lambda count=count: len(turns(host)) >= count, timeout=60)
        host.kill()
        host.start()
    all_have(others, REDIS_8)
    eventually(lambda: rollout(host)["phase"] == "idle", timeout=60)
    assert sorted(turns(host)) == sorted(each.name for each in others)
    (unseen,) = rollout(host)["cannotBeSeen"]
    assert unseen["name"] == broken.name
    assert f"{broken.name}: cannot read {record}" in host.ctl("rollout", "status")
    assert (broken.inspect()["Id"], image_of(broken)) == (served, REDIS_7)
    record.write_bytes(kept)
    host.hang_up()
    all_have(six, REDIS_8)
    eventually(lambda: not rollout(host)["cannotBeSeen"] and rollout(host)["complete"])
    assert len(turns(host)) == len(set(turns(host))) == FEW
    assert all(each.get("kept") == "yes" for each in six)


def test_defaults_that_are_taken_back_in_the_middle_leave_everybody_as_before(host, six, tagged):
    default_image(host, tagged("redis"))
    eventually(lambda: len(turns(host)) >= 3, timeout=60)
    default_image(host, REDIS_7)
    all_have(six, REDIS_7)
    eventually(lambda: rollout(host)["phase"] == "idle", timeout=60)
    assert all(each.get("kept") == "yes" for each in six)


def test_a_person_can_let_a_halted_rollout_go_on(host, six):
    default_image(host, NO_SUCH, rollout=HASTY)
    eventually(lambda: rollout(host)["phase"] == "halted")
    more = {**HASTY, "resumedAt": "2026-03-01T12:00:00Z"}
    default_image(host, NO_SUCH, rollout=more)
    eventually(lambda: len(turns(host)) >= 2, timeout=60)
