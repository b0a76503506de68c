import json

import pytest

from tests.cli.hosts import NOON

STATUS = {
    "phase": "canary",
    "target": "t",
    "underWay": [{"name": "acme", "since": "2026-03-01T11:59:00Z", "readySince": None}],
    "failed": [],
    "halted": None,
    "passed": 0,
    "waiting": 7,
    "waitingForWindow": 2,
    "unready": 1,
    "resting": 3,
    "waitsFor": [],
    "cannotBeSeen": [],
}
HALTED = {
    **STATUS,
    "phase": "halted",
    "underWay": [],
    "failed": ["acme"],
    "halted": {"tenant": "acme", "message": "there is no such image", "at": NOON.isoformat()},
}


def say(host, rollout):
    host.beat()
    content = json.loads(host.paths.host_status.read_text())
    host.paths.host_status.write_text(json.dumps({**content, "rollout": rollout}))


@pytest.mark.parametrize("group", ["rollout", "config"])
def test_a_group_without_a_verb_is_told_where_its_verbs_are(host, group):
    ended = host.run(group)
    assert (ended.code, ended.out) == (2, "")
    error, hint = ended.err.splitlines()
    assert error == "error: missing command"
    assert hint.endswith(f" {group} --help`")


def test_it_tells_who_goes_and_who_waits(host):
    say(host, STATUS)
    ended = host.run("rollout", "status")
    assert ended.code == 0
    for part in ("canaries take", "acme (restarts, for 60s)", "turn:       7", "window:     2"):
        assert part in ended.out, ended.out


def test_it_says_at_once_who_under_way_is_held_up_and_why(host):
    turn = {**STATUS["underWay"][0], "message": "cannot pull image redis:9: no route"}
    say(host, {**STATUS, "underWay": [turn]})
    ended = host.run("rollout", "status")
    assert ended.code == 0
    for part in ("acme (held up, for 60s)", "Held up:\n  acme: cannot pull image redis:9: no rou"):
        assert part in ended.out, ended.out


def test_a_halt_is_degraded_and_says_the_way_out(host):
    say(host, HALTED)
    ended = host.run("rollout", "status")
    assert ended.code == 6
    assert "acme: there is no such image" in ended.out
    assert "rollout.resumedAt" in ended.out
    shown = host.run("rollout", "status", "-o", "json")
    assert shown.code == 6
    assert shown.items[0]["status"] == HALTED


def test_it_names_for_whom_it_waits_and_whom_it_passes_over(host):
    late = [
        {"name": f"t{number:02}", "reason": "NotSeenYet", "message": "nobody has looked"}
        for number in range(12)
    ]
    unseen = [{"name": "broken", "message": "cannot read record.json"}]
    say(host, {**STATUS, "phase": "looking", "waitsFor": late, "cannotBeSeen": unseen})
    ended = host.run("rollout", "status")
    for part in (
        "everybody is looked at first",
        "Waits for:\n  t00: nobody has looked\n",
        "  t09: nobody has looked\n  and 2 more",
        "cannot be looked at:\n  broken: cannot read record.json\n",
    ):
        assert part in ended.out, ended.out
    shown = host.run("rollout", "status", "-o", "json").items[0]["status"]
    assert len(shown["waitsFor"]) == 12
    assert shown["cannotBeSeen"] == unseen


def test_what_an_older_daemon_says_is_shown(host):
    older = {key: said for key, said in STATUS.items() if key not in ("waitsFor", "cannotBeSeen")}
    say(host, older)
    ended = host.run("rollout", "status")
    assert ended.code == 0
    assert "Waits for:" not in ended.out


def test_watching_ends_with_the_rollout(host):
    say(host, STATUS)
    idle = {**STATUS, "phase": "idle", "underWay": [], "waiting": 0}
    host.meanwhile = [lambda: None, lambda: say(host, idle)]
    ended = host.run("rollout", "status", "-w", "-o", "json")
    assert ended.code == 0
    phases = [json.loads(line)["status"]["phase"] for line in ended.out.splitlines()]
    assert phases == ["canary", "idle"]


def test_a_daemon_that_never_spoke_of_it_is_no_rollout(host):
    host.beat()
    assert host.run("rollout", "status").code == 5
