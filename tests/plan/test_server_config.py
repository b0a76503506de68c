from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cachepilot.observe.snapshot import SeenServer
from cachepilot.plan.server_config import (
    LIVE_ONLY,
    differences,
    managed_directives,
    needs_restart,
    render,
    wanted_directives,
)
from cachepilot.spec.directives import EngineConfig
from cachepilot.spec.document import AccessMode, PersistenceMode
from tests.builders import tenant
from tests.fakes.scenes import look, settled
from tests.fakes.texts import parse_configuration

EVENTS = "notify-keyspace-events"
BUFFERS = "client-output-buffer-limit"
ANSWERS = look(settled(), tenant()).server
assert isinstance(ANSWERS, SeenServer)


def answers(**directives):
    pairs = ((name.replace("_", "-"), value) for name, value in directives.items())
    return replace(ANSWERS, directives=tuple(pairs))


def wanted(spec, *, persistence=None, certificate=1):
    mode = persistence or spec.persistence
    return wanted_directives(spec, certificate=certificate, persistence=mode)


@given(st.permutations("Kg$lshzxetd"))
def test_events_in_another_order_are_the_same_events(order):
    assert (
        differences({EVENTS: "Kg$lshzxetd"}, answers(notify_keyspace_events="".join(order))) == ()
    )


@given(st.permutations("AKE"), st.permutations("KEg$lshzxetd"))
def test_the_shorthand_for_all_events_is_what_it_stands_for(short, long):
    seen = answers(notify_keyspace_events="".join(long))

    assert differences({EVENTS: "".join(short)}, seen) == ()


@example(one=set("KEg$lshzxetdn"), other=set("KEg$lshzxetd"))
@given(st.sets(st.sampled_from("KEg$lshzxetdmn")), st.sets(st.sampled_from("KEg$lshzxetdmn")))
def test_other_events_are_another_configuration(one, other):
    found = differences({EVENTS: "".join(one)}, answers(notify_keyspace_events="".join(other)))

    # Beside all the others, servers forget to mention new keys.
    meant = [events - {"n"} if events >= set("g$lshzxetd") else events for events in (one, other)]
    assert bool(found) is (meant[0] != meant[1])


@given(st.permutations([("normal", "1 2 3"), ("pubsub", "4 5 6"), ("slave", "7 8 9")]))
def test_buffer_limits_may_come_in_any_order_and_with_classes_of_no_interest(classes):
    seen = answers(
        client_output_buffer_limit=" ".join(f"{kind} {limit}" for kind, limit in classes)
    )

    assert differences({BUFFERS: "pubsub 4 5 6 normal 1 2 3"}, seen) == ()
    assert differences({BUFFERS: "pubsub 4 5 6 normal 1 2 4"}, seen) != ()
    assert differences({BUFFERS: "replica 4 5 6"}, seen) != ()


@pytest.mark.parametrize(
    ("name", "want", "seen", "same"),
    [
        ("unixsocketperm", "700", "700", True),
        ("unixsocketperm", "700", "0700", True),
        ("unixsocketperm", "700", "777", False),
        ("tls-protocols", "TLSv1.2 TLSv1.3", "TLSv1.3 TLSv1.2", True),
        ("tls-protocols", "TLSv1.2 TLSv1.3", "TLSv1.3", False),
        ("save", "3600 1 300 100", "3600 1 300 100", True),
        ("save", "", "3600 1", False),
        ("maxmemory", "100", "100", True),
        ("maxmemory", "100", "1000", False),
        ("maxmemory", "100", None, False),
    ],
)
def test_values_are_compared_by_what_they_mean(name, want, seen, same):
    live = replace(ANSWERS, directives=((name, seen),) if seen is not None else ())

    assert differences({name: want}, live) == (() if same else ((name, want, seen),))


@pytest.mark.parametrize("access", AccessMode)
@pytest.mark.parametrize("persistence", PersistenceMode)
def test_the_file_says_every_wanted_directive_but_those_that_may_keep_a_server_down(
    access, persistence
):
    found = wanted(tenant(access=access), persistence=persistence)

    read = parse_configuration(render(found))

    assert {name: value for name, value in found.items() if name not in LIVE_ONLY} == {
        name: value for name, value in read.items() if name not in {"daemonize", "logfile"}
    }
    assert (read["daemonize"], read["logfile"]) == ("no", "")


def test_the_same_directives_give_the_same_bytes():
    found = wanted(tenant())

    assert render(found) == render(dict(reversed(found.items())))


@pytest.mark.parametrize(
    ("access", "tls", "plain"),
    [
        (AccessMode.TLS_ONLY, "6380", "0"),
        (AccessMode.DUAL_MODE, "6380", "6379"),
        (AccessMode.PLAIN_ONLY, "0", "6379"),
    ],
)
def test_listeners_follow_the_mode_of_access(access, tls, plain):
    found = wanted(tenant(access=access))

    assert (found["tls-port"], found["port"]) == (tls, plain)
    assert ("tls-cert-file" in found) is access.has_tls


def test_the_mode_in_force_counts_and_not_the_one_wished_for():
    spec = tenant(persistence=PersistenceMode.AOF)

    assert wanted(spec)["appendonly"] == "yes"
    assert wanted(spec, persistence=PersistenceMode.NONE)["appendonly"] == "no"
    assert wanted(spec, persistence=PersistenceMode.RDB)["save"]
    assert not wanted(spec, persistence=PersistenceMode.NONE)["save"]


def test_the_leaf_to_serve_is_named_by_its_revision():
    assert wanted(tenant(), certificate=7)["tls-key-file"] == "/tls/7/key.pem"


@pytest.mark.parametrize("image", ["redis:8.0", "valkey/valkey:8.1"])
def test_every_directive_that_an_author_may_write_is_answered_for_even_if_nobody_wrote_it(image):
    """Otherwise one that was taken out of a document would stay in force."""
    allowed = {field.alias for field in EngineConfig.model_fields.values()}

    assert allowed <= set(managed_directives(tenant(image=image)))


def test_an_author_overrides_what_servers_do_by_themselves():
    spec = tenant(config=((BUFFERS, "pubsub 1 2 3"), ("maxclients", "42")))

    found = wanted(spec)

    assert found["maxclients"] == "42"
    assert found[BUFFERS] == "normal 0 0 0 pubsub 1 2 3"


@pytest.mark.parametrize(
    ("name", "expected"), [("databases", True), ("maxmemory", False), ("unixsocket", True)]
)
def test_some_directives_need_a_restart(name, expected):
    assert needs_restart(name) is expected
