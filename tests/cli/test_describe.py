import json
from datetime import timedelta

from tests.cli.hosts import NOON


def event(host, **parts):
    with host.paths.events.open("a") as file:
        base = {"time": NOON.isoformat(), "tenant": None, "type": "Normal", "reason": "R"}
        file.write(json.dumps({**base, "message": "m", **parts}) + "\n")


def test_one_page_tells_everything(host):
    host.publish(
        "acme",
        "Stalled",
        conditions=[
            {
                "type": "Ready",
                "status": "False",
                "reason": "ImageUnavailable",
                "message": "there is no image redis:99",
                "lastTransitionTime": (NOON - timedelta(minutes=5)).isoformat(),
            }
        ],
        problems=["acme.yaml:3:1: oh"],
        plan=["EnsureImage acme: it is missing"],
    )
    event(host, tenant="acme", type="Warning", reason="PullFailed", message="no such image")
    event(host, tenant="beta", reason="NotForUs")

    out = host.run("describe", "tenant", "acme").out

    for part in (
        "Stalled for 5m",
        "memory.max:         64MiB",
        "127.0.0.1:7300",
        "ImageUnavailable   there is no image redis:99",
        "acme.yaml:3:1: oh",
        "EnsureImage acme: it is missing",
        "PullFailed   no such image",
        "check spec.engine.image",
    ):
        assert part in out, part
    assert "NotForUs" not in out


def test_a_healthy_tenant_needs_no_advice(host):
    host.publish("acme")
    assert "What to do next" not in host.run("describe", "tenant/acme").out


def test_a_tenant_that_was_never_valid_can_be_described(host):
    host.publish("acme", "Invalid", status={"conditions": []})
    content = json.loads(host.paths.tenant_status("acme").read_text())
    host.paths.tenant_status("acme").write_text(json.dumps({**content, "spec": None}))
    ended = host.run("describe", "tenant", "acme")
    assert (ended.code, "cachepilotctl edit tenant acme" in ended.out) == (0, True)
    assert host.run("get", "tenants").code == 0


def test_events_are_filtered_and_the_newest_come_last(host):
    for number in range(5):
        event(host, tenant="acme", message=f"number {number}")
    event(host, tenant="beta", type="Warning", message="beware")
    with host.paths.events.open("a") as file:
        file.write('{"torn')

    def messages(*args):
        return [
            line.split("   ")[-1]
            for line in host.run("events", "--no-headers", *args).out.splitlines()
        ]

    assert messages("--for", "acme", "--limit", "2") == ["number 3", "number 4"]
    assert messages("--types", "warning") == ["beware"]
    assert len(messages()) == 6
    assert host.run("events", "--for", "tenant/beta", "-o", "json").items[0]["message"] == "beware"


def test_events_are_followed_through_a_rotation(host):
    event(host, message="old")

    def rotate():
        host.paths.events.rename(host.paths.events.with_suffix(".1"))
        event(host, message="after rotation")

    def interrupt():
        raise KeyboardInterrupt

    host.meanwhile = [lambda: event(host, message="new"), rotate, interrupt]
    ended = host.run("events", "-w", "-o", "json")
    assert [json.loads(line)["message"] for line in ended.out.splitlines()] == [
        "old",
        "new",
        "after rotation",
    ]


def test_no_events_are_no_error(host):
    assert host.run("events").code == 0


def test_what_waits_is_told_with_its_time(host):
    message = "image changed: waits for the maintenance window that opens 2026-03-08 03:00Z"
    waiting = {
        "reason": "WaitingForWindow",
        "message": message,
        "until": "2026-03-08T03:00:00Z",
        "plan": ["StopContainer acme: image changed [restart]"],
    }
    host.publish("acme", waiting=waiting)
    assert f"Waiting:\n  {message}\n    StopContainer acme" in host.run("describe", "tenant").out
    assert message in host.run("get", "tenants", "-o", "wide").out
    assert host.run("get", "tenants", "--no-headers").out.split()[-1] == "WaitingForWindow"
    assert host.run("get", "tenants", "--fail-on", "degraded").code == 0


def test_users_are_told_by_name_revision_and_rules(host):
    app = {"name": "app", "keys": ["a:*", "%R~b"], "channels": ["news"], "commands": ["+@read"]}
    host.publish(
        "acme",
        spec={"auth": {"users": [app, {**app, "name": "new"}]}},
        users=[
            {"name": "default", "revision": 3, "since": "2026-03-01T11:00:00Z"},
            {"name": "app", "revision": 1, "since": None, "may": "~a:* +@read -@admin"},
        ],
    )

    lines = [line.split() for line in host.run("describe", "tenant", "acme").out.splitlines()]

    assert ["default", "3", "60m", "-"] in lines
    # What the server has, and not what the document asks for.
    assert ["app", "1", "-", "~a:*", "+@read", "-@admin"] in lines
    assert ["new", "-", "-", "-"] in lines
