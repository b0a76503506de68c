import json
import subprocess
import sys
from datetime import timedelta

import pytest
from ruamel.yaml import YAML

from tests.cli.hosts import NOON


def names(ended):
    return [line.split()[0] for line in ended.out.splitlines()]


def test_the_broken_ones_come_first(host):
    for name, word in [("a", "Ready"), ("b", "Paused"), ("c", "Invalid"), ("d", "Stalled")]:
        host.publish(name, word)
    assert names(host.run("get", "tenants", "--no-headers")) == ["c", "d", "b", "a"]


def test_a_row_says_what_an_operator_must_know(host):
    host.publish("acme", "Stalled")
    header, row = host.run("get", "tenants").out.splitlines()
    assert header.split() == ["NAME", "STATUS", "SINCE", "MEMORY", "ENDPOINTS", "REASON"]
    assert row.split() == ["acme", "Stalled", "3h", "64MiB", "127.0.0.1:7300", "Elsewhere"]


def test_a_pause_of_a_healthy_tenant_has_no_reason_to_tell(host):
    host.publish("acme", "Ready")
    host.publish("acme", "Paused", conditions=[{"type": "Ready", "status": "True", "reason": "S"}])
    assert host.run("get", "tenants", "--no-headers").out.split()[-1] == "127.0.0.1:7300"


@pytest.mark.parametrize("words", [["tenants", "b"], ["tenant", "b"], ["tenant/b"], ["tenants/b"]])
def test_every_form_of_the_noun_will_do(host, words):
    host.publish("a")
    host.publish("b")
    assert host.run("get", *words, "-o", "name").out == "tenant/b\n"


def test_names_come_in_the_order_of_need_and_only_once(host):
    for name in ("a", "b", "c"):
        host.publish(name)
    assert host.run("get", "tenants", "c", "a", "c", "-o", "name").out == "tenant/a\ntenant/c\n"


def test_labels_select(host):
    host.publish("a", metadata={"labels": {"tier": "gold", "zone": "1"}})
    host.publish("b", metadata={"labels": {"tier": "free"}})
    host.publish("c")

    def selected(*selectors):
        args = [word for selector in selectors for word in ("-l", selector)]
        return names(host.run("get", "tenants", "--no-headers", *args))

    assert selected("tier=gold") == ["a"]
    assert selected("tier") == ["a", "b"]
    assert selected("!tier") == ["c"]
    assert selected("tier!=gold") == ["b", "c"]
    assert selected("tier,zone=1") == ["a"]
    assert host.run("get", "tenants", "-l", "=x").code == 2


def test_rows_are_sorted_as_asked(host):
    for name, size in [("a", 300), ("b", 20), ("c", 100)]:
        host.publish(name, spec={"memory": {"max": size}})
    for field in ("memory", ".spec.memory.max", "{.spec.memory.max}"):
        assert names(host.run("get", "tenants", "--sort-by", field, "--no-headers")) == [
            "b",
            "c",
            "a",
        ]
    for field in ("name", "status", "since", "limit", "persistence", "image", "file"):
        assert host.run("get", "tenants", "--sort-by", field).code == 0
    wrong = host.run("get", "tenants", "--sort-by", "memori")
    assert (wrong.code, "memory" in wrong.err) == (2, True)


def test_json_and_yaml_hold_the_same_object_without_the_snapshot(host):
    host.publish("acme", snapshot={"huge": 1}, metadata={"annotations": {"n": "yes: [no]\n"}})
    shown = host.run("get", "tenants", "-o", "json").json
    (item,) = shown["items"]
    assert (shown["apiVersion"], shown["kind"]) == ("cachepilot/v1", "List")
    assert set(item) == {"apiVersion", "kind", "metadata", "spec", "status"}
    assert item["status"]["word"] == "Ready"

    assert YAML(typ="safe").load(host.run("get", "tenants", "-o", "yaml").out) == shown


def test_a_stale_status_is_shown_with_its_age(host):
    host.publish("acme")
    host.now = NOON + timedelta(minutes=3)
    shown = host.run("get", "tenants")
    assert (shown.code, shown.err) == (0, "daemon not running, status as of 3m ago\n")
    assert host.run("get", "tenants", "-q").err == ""

    host.paths.host_status.unlink()
    assert host.run("get", "tenants").err == "daemon not running, status as of 3m ago\n"


def test_a_living_daemon_needs_no_banner(host):
    host.publish("acme")
    host.now = NOON + timedelta(seconds=29)
    assert host.run("get", "tenants").err == ""


def test_one_unreadable_status_hides_nobody(host):
    host.publish("a")
    host.paths.tenant_status("b").write_text("{")
    shown = host.run("get", "tenants", "--no-headers")
    assert (shown.code, names(shown)) == (0, ["b", "a"])
    assert "cannot read the status of b" in shown.err


def test_a_tenant_may_be_called_host(host):
    host.publish("host")
    assert host.run("get", "tenants", "-o", "name").out == "tenant/host\n"


def test_watching_streams_what_changes(host):
    host.publish("a")
    host.publish("b")

    def interrupt():
        raise KeyboardInterrupt

    host.meanwhile = [
        lambda: host.publish("a", "Stalled"),
        lambda: host.publish("b"),  # confirmed, not changed
        lambda: host.publish("c"),
        lambda: host.paths.tenant_status("a").unlink(),
        lambda: None,
        interrupt,
    ]
    shown = host.run("get", "tenants", "-w", "-o", "json")
    seen = [json.loads(line) for line in shown.out.splitlines()]
    assert [(each["metadata"]["name"], each["status"]["word"]) for each in seen] == [
        ("a", "Ready"),
        ("b", "Ready"),
        ("a", "Stalled"),
        ("c", "Ready"),
    ]
    assert shown.code == 130
    assert "tenant/a is no longer known" in shown.err


def test_a_table_is_never_cut_when_piped(host, tmp_path):
    long = "x" * 300
    ready = {"type": "Ready", "status": "False", "reason": "R", "message": long}
    host.publish("acme", "Stalled", conditions=[ready])
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "cachepilot.cli",
            "--root",
            tmp_path,
            "get",
            "tenants",
            "-o",
            "wide",
        ],
        capture_output=True,
        text=True,
        env={"COLUMNS": "40"},
        check=True,
    )
    assert long in run.stdout


def test_no_tenants_is_not_an_error(host):
    shown = host.run("get", "tenants")
    assert (shown.code, shown.out, shown.err) == (0, "", "no tenants yet\n")


def test_degradation_can_be_an_exit_code(host):
    host.publish("a")
    assert host.run("get", "tenants", "--fail-on", "degraded").code == 0
    host.publish("b", "NotReady")
    assert host.run("get", "tenants", "--fail-on", "degraded").code == 6
    assert host.run("get", "tenants", "a", "--fail-on", "degraded").code == 0


def problem(file, line, message):
    return {"file": file, "line": line, "column": 1, "where": "", "message": message, "hint": ""}


def test_files_of_nobody_and_a_host_that_holds_back_are_told_beside_the_list(host):
    """A file without a readable name has no line of its own."""
    host.publish("acme", "Invalid", problems=["/d/acme.yaml:3:1: spec: what is this"])
    lost = [problem(f"/d/{number}.yaml", number, "no name") for number in range(5)]
    host.beat(
        problems=[problem("/d/acme.yaml", 3, "what is this"), *lost],
        conditions=[{"type": "Stalled", "message": "9 of 12 tenants lost their file at once"}],
    )

    ended = host.run("get", "tenants")

    assert ended.err.splitlines() == [
        "warning: 9 of 12 tenants lost their file at once",
        "warning: /d/0.yaml:0:1: no name",
        "warning: /d/1.yaml:1:1: no name",
        "warning: 3 more problems; see `cachepilotctl validate`",
    ]
    assert "warning" not in ended.out
    assert host.run("get", "tenants", "acme").err == ""
    assert host.run("get", "tenants", "-o", "name").err == ""
