"""What `diff` and `plan` print beforehand, from published status alone, is what is then done."""

import json
import re

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8

CLOSED = {"maintenance": {"window": {"cron": "0 3 1 1 *", "duration": "1m"}}}
AOF = {"persistence": {"mode": "aof"}}

# What a tenant is before, what changes, and what clients are told that they will notice.
EDITS = {
    "memory, up": ({}, {"memory": {"max": "24MiB"}}, "none"),
    "memory, down": ({}, {"memory": {"max": "8MiB"}}, "none"),
    "directives": ({}, {"engine": {"config": {"timeout": 60}}, "cpus": 0.5}, "none"),
    "mode on": ({}, AOF, "none"),
    "mode off": (AOF, {"persistence": {"mode": "none"}}, "none"),
    "certificate": ({}, {"tls": {"extraNames": ["cache.example.org"]}}, "none"),
    "password": ({}, {"auth": {"rotatedAt": "2026-03-01T12:00:00Z"}}, "none"),
    "databases": ({}, {"engine": {"config": {"databases": 4}}}, "restart"),
    "image": ({}, {"engine": {"image": REDIS_8}}, "restart"),
    "engine": (AOF, {"engine": {"image": VALKEY_8}}, "restart"),
    "listener": ({}, {"access": {"mode": "dual-mode"}}, "restart"),
    "port": ({}, {"access": {"ports": {"tls": 3}}}, "restart"),
    "wish": ({}, {"restartedAt": "2026-03-01T12:00:00Z"}, "restart"),
    "stop": ({}, {"state": "stopped"}, "restart"),
    "several": (
        AOF,
        {
            "memory": {"max": "24MiB"},
            "engine": {"image": REDIS_8},
            "access": {"mode": "dual-mode"},
        },
        "restart",
    ),
    "hand-over": (
        {"upgrade": {"strategy": "handover"}},
        {
            "engine": {"image": REDIS_8},
            "auth": {
                "rotatedAt": "2026-03-01T12:00:00Z",
                "users": [{"name": "reader", "keys": ["kept"], "commands": ["+get"]}],
            },
        },
        "reconnect",
    ),
    "window": (CLOSED, {"engine": {"image": REDIS_8}, "memory": {"max": "24MiB"}}, "none"),
}


def plain(line):
    """Return a line without what depends on the moment.

    That is for how long clients notice it, and the room that a server gets to be copied, which
    goes by what it holds just then.
    """
    line = re.sub(r"^(UpdateResources .*\(memory) \d+(?=.*: image changed)", r"\1", line)
    return re.sub(r" \[[a-z-]+( ≈ \d+ s)?\]$", "", line)


def planned(item):
    """Return the lines of a plan; an image is fetched only where the engine lacks it."""
    texts = [plain(each["text"]) for each in item["plan"]["actions"]]
    return [text for text in texts if not text.startswith("EnsureImage")]


def done(host, tenant):
    deeds = [plain(deed) for deed in host.deeds(tenant)]
    return [each for each in deeds if not each.startswith(("RememberDocument", "EnsureImage"))]


@pytest.mark.parametrize("case", EDITS)
def test_what_is_done_is_what_was_printed(fleet, tmp_path, case):
    before, change, notice = EDITS[case]
    if case == "port":
        change = {"access": {"ports": {"tls": fleet.slot.free_port(22)}}}
    base = {"engine": {"image": REDIS_7}, **before}
    tenant = fleet.tenant(f"plan{list(EDITS).index(case)}").write(base).settle()
    tenant.put(kept="yes")
    after = tmp_path / "after.yaml"
    server = tenant.container().id, tenant.run_id()
    text = tenant.edited(change)
    after.write_text(text)
    shown = json.loads(fleet.ctl("diff", "-f", str(after), "-o", "json", expect=1))
    (item,) = shown["items"]
    assert item["plan"]["disruption"] == notice
    assert (item["plan"]["seconds"] is not None) is (notice == "restart" and case != "stop")
    said = fleet.ctl("diff", "-f", str(after), expect=1)
    for each in item["fields"]:
        assert each["path"] in said
    known = len(done(fleet, tenant))

    fleet.put(tenant.path, text)
    tenant.settle("Stopped" if case == "stop" else "Ready")

    found, expected = done(fleet, tenant)[known:], planned(item)
    assert found[: len(expected)] == expected
    # What only a fresh look could tell disturbs nobody.
    later = fleet.deeds(tenant)[len(fleet.deeds(tenant)) - len(found[len(expected) :]) :]
    assert not [deed for deed in later if deed.endswith("]")]
    if notice == "none":
        assert (tenant.container().id, tenant.run_id()) == server
    assert (tenant.status()["status"]["waiting"] is not None) is (case == "window")
