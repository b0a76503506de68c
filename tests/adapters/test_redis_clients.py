"""What clients say of themselves is read, whatever it is."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters.redis_clients import read_connections, read_failed_logins

HOUR = timedelta(hours=1)
# Redis takes every printable character but the space into a client's name.
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


def line(name="", *, user="default", age=7200, addr="10.0.0.7:4711"):
    return f"id=7 addr={addr} laddr=10.0.0.1:6380 fd=8 name={name} age={age} idle=0 user={user}"


def refused(client, *, reason="auth", username="default", count=1, age="12.5"):
    return [
        *("count", count, "reason", reason, "context", "toplevel", "object", "AUTH"),
        *("username", username, "age-seconds", age, "client-info", client),
    ]


@given(names)
def test_a_client_may_call_itself_anything(name):
    ((connection,), count) = read_connections(line(name) + "\n", {"default": HOUR})
    (failed,) = read_failed_logins([refused(line(name))], {"default": HOUR})

    assert (connection.name, count) == (name, 1)
    assert failed.whence == ("default", "10.0.0.7", name)


@given(st.text(max_size=200), st.lists(st.lists(st.text(max_size=9) | st.integers(), max_size=14)))
def test_nonsense_is_nobody(text, log):
    read_connections(text, {"default": HOUR})
    read_failed_logins(log, {"default": HOUR})
    assert read_connections(None, {"default": HOUR}) == ((), 0)
    assert read_failed_logins(None, {"default": HOUR}) == ()


def test_only_older_connections_of_users_asked_for_count_the_oldest_first():
    lines = [
        line("young", age=3598),
        line("edge", age=3599),
        line("old", age=9000),
        line("ours", user="cachepilot"),
        line("", age=10**20),
    ]

    shown, count = read_connections("\n".join(lines), {"default": HOUR})

    assert ([each.name for each in shown], count) == (["old", "edge"], 2)


def test_of_a_crowd_the_oldest_are_shown_and_all_are_counted():
    shown, count = read_connections(
        "\n".join(line(age=4000 + n) for n in range(500)), {"default": HOUR}
    )

    assert (len(shown), count, shown[0].age_seconds) == (32, 500, 4499)


def test_failed_logins_are_added_up_by_origin_and_old_ones_left_out():
    log = [
        refused(line("app", addr="[fd00::7]:1"), count=2),
        refused(line("app", addr="[fd00::7]:2"), count=3),
        refused(line("app"), age="3601.0"),
        refused(line("app"), reason="command"),
        refused(line("app"), username="cachepilot"),
    ]

    (failed,) = read_failed_logins(log, {"default": HOUR})

    assert (failed.whence, failed.count) == (("default", "fd00::7", "app"), 5)
