"""What every server must answer and obey, held against the fake and against three real engines."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cachepilot.adapters.paths import SOCKET
from cachepilot.errors import StalledError, UnavailableError
from cachepilot.observe.snapshot import Engine, SeenServer, Unreachable
from cachepilot.plan.server_config import differences, wanted_directives
from cachepilot.plan.users import (
    BACKUP,
    CUSTOMER,
    DAEMON,
    MARKER,
    OWN_USERS,
    strangers,
    twin_of,
    user_differences,
    wanted_users,
)
from cachepilot.spec.directives import EngineConfig
from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.resolve import resolve
from tests.builders import document, rules
from tests.contract.bench import ENGINES, eventually
from tests.fakes.world import NOON

AT_ONCE, LONG = timedelta(seconds=5), timedelta(minutes=1)
EVERYTHING = {
    "active-expire-effort": 2,
    "client-output-buffer-limit": {"normal": {"hard": "32MiB", "soft": "8MiB", "seconds": 10}},
    "databases": 4,
    "hz": 5,
    "latency-monitor-threshold": 100,
    "lazyfree-lazy-eviction": True,
    "lazyfree-lazy-user-del": False,
    "maxclients": 500,
    "maxmemory-samples": 7,
    "notify-keyspace-events": "KEA",
    "slowlog-log-slower-than": -1,
    "stop-writes-on-bgsave-error": False,
    "tcp-keepalive": 60,
    "timeout": 900,
}


@pytest.fixture
def bench(hall):
    return hall[0]


@pytest.fixture
def image(hall):
    return hall[1]


@pytest.fixture
def made(bench, image):
    return bench.serve(image=image)


def tell(bench, made, verb, **words):
    return getattr(bench.writers.server, verb)(made.name, instance=1, **words)


def wanted(bench, made):
    return wanted_users(made.spec, bench.readers.memory.recall(made.name), NOON)


# Answers ----------------------------------------------------------------------------------------


def test_a_server_says_what_it_is(bench, made, image):
    seen = bench.ask(made)

    assert isinstance(seen, SeenServer)
    assert seen.engine is (Engine.VALKEY if "valkey" in image else Engine.REDIS)
    if bench.is_real:
        assert re.match(image.split(":")[1].replace(".", r"\."), seen.version)
    assert (seen.loading, seen.keys) == (False, 0)
    assert seen.used_memory > 0
    assert seen.resident_memory > 0
    assert seen.clients >= 1
    assert seen.run_id


def test_keys_are_counted(bench, made):
    bench.write(made, 5)

    assert bench.ask(made).keys == 1


def test_a_directive_that_the_server_does_not_know_is_absent(bench, made):
    seen = bench.ask(made, directives=("maxmemory", "no-such-directive"))

    assert [name for name, _ in seen.directives] == ["maxmemory"]
    assert seen.directive("no-such-directive") is None


@pytest.mark.parametrize("persistence", PersistenceMode)
def test_a_server_that_just_started_means_what_its_file_says(bench, image, persistence):
    """No directive of ours may be read back in words that look like drift."""
    asked = document("acme", engine={"image": image, "config": EVERYTHING})
    config = resolve(asked, rules()).config
    if persistence is PersistenceMode.AOF:
        config = (*config, ("appendfsync", "always"))
    made = bench.serve(image=image, persistence=persistence, config=config)

    found = differences(
        wanted_directives(made.spec, certificate=0, persistence=persistence), bench.ask(made)
    )

    assert found == ()


# Directives -------------------------------------------------------------------------------------


def test_directives_are_set_and_read_back(bench, made):
    given = (("maxclients", "321"), ("maxmemory", "20971520"), ("maxmemory-policy", "noeviction"))

    tell(bench, made, "set_directives", directives=given)
    tell(bench, made, "set_directives", directives=given)

    seen = bench.ask(made, directives=tuple(name for name, _ in given))
    assert seen.directives == given


@pytest.mark.parametrize(
    "refused", [("activedefrag", "yes"), ("no-such-directive", "1"), ("databases", "3")]
)
def test_one_refused_directive_keeps_all_others_from_being_set(bench, made, refused):
    before = bench.ask(made).directive("maxmemory")

    with pytest.raises(StalledError) as refusal:
        tell(bench, made, "set_directives", directives=(("maxmemory", "20971520"), refused))

    assert refusal.value.reason == "DirectiveRefused"
    assert refused[0] in str(refusal.value) or not bench.is_real
    assert bench.ask(made).directive("maxmemory") == before


# Users ------------------------------------------------------------------------------------------


def test_users_that_were_loaded_from_the_file_are_exactly_those_wanted(bench, made):
    seen = bench.ask(made)

    assert list(user_differences(wanted(bench, made), seen)) == []
    assert strangers(wanted(bench, made), seen) == ()


def test_users_that_were_set_again_are_exactly_those_wanted(bench, made):
    for user in wanted(bench, made):
        tell(bench, made, "set_user", user=user)

    assert list(user_differences(wanted(bench, made), bench.ask(made))) == []


@pytest.mark.parametrize("user", OWN_USERS)
def test_a_user_set_anew_still_equals_a_twin_that_came_from_the_file(bench, made, user):
    """Engines word the same rules differently in both cases; only real ones can tell."""
    fresh = next(one for one in wanted(bench, made) if one.name == user)

    tell(bench, made, "set_user", user=fresh)

    assert bench.user(made, user).commands == bench.user(made, twin_of(user)).commands


def test_scripts_are_forbidden_where_the_host_says_so(bench, image):
    made = bench.serve(image=image, scripting=False)

    assert list(user_differences(wanted(bench, made), bench.ask(made))) == []
    open_made = replace(made.spec, scripting=True)
    memory = bench.readers.memory.recall(made.name)
    changed = [
        user.name
        for user, _ in user_differences(wanted_users(open_made, memory, NOON), bench.ask(made))
    ]
    # User and twin agree on what held before, so the marker says that all are to be told again.
    assert changed == [CUSTOMER, twin_of(CUSTOMER), MARKER]


def test_passwords_are_named_by_revision(bench, made):
    assert bench.user(made, CUSTOMER).passwords == ("1",)
    assert bench.user(made, twin_of(CUSTOMER)).passwords == ()

    bench.writers.memory.generate_credential(
        made.name, user=CUSTOMER, pending=False, wish=None, now=NOON
    )
    for now, accepted in ((NOON, ("1", "2")), (NOON + timedelta(days=2), ("2",))):
        users = wanted_users(made.spec, bench.readers.memory.recall(made.name), now)
        tell(bench, made, "set_user", user=users[0])
        assert bench.user(made, CUSTOMER).passwords == accepted


def test_a_login_is_proven_with_each_password_that_was_told(bench, made):
    bench.writers.memory.generate_credential(
        made.name, user=CUSTOMER, pending=True, wish=None, now=NOON
    )
    with pytest.raises(StalledError) as refusal:
        tell(bench, made, "prove_login", user=CUSTOMER, passwords=(1, 2))
    assert refusal.value.reason == "LoginRefused"

    tell(bench, made, "set_user", user=wanted(bench, made)[0])

    tell(bench, made, "prove_login", user=CUSTOMER, passwords=(1, 2))


@pytest.mark.parametrize(
    ("rules_by_hand", "what"),
    [
        (("on", ">somebody's", "~*", "&*", "+@all"), "password"),
        (("off", "~*", "&*", "+@all"), "flags"),
        (("on", "~own:*", "&*", "+@all"), "keys"),
        (("on", "~*", "+@all"), "channels"),
        (("on", "~*", "&*", "+@all"), "commands"),
    ],
)
def test_a_user_that_somebody_edited_is_found_and_mended(bench, made, rules_by_hand, what):
    bench.set_user(made, CUSTOMER, *rules_by_hand)

    found = {
        user.name: why for user, why in user_differences(wanted(bench, made), bench.ask(made))
    }

    # Each of these has other commands, too; which of the two was edited cannot be known.
    assert found.keys() == {CUSTOMER, twin_of(CUSTOMER)}
    assert what in found[CUSTOMER]
    for user, _ in user_differences(wanted(bench, made), bench.ask(made)):
        tell(bench, made, "set_user", user=user)
    assert list(user_differences(wanted(bench, made), bench.ask(made))) == []


def test_a_password_that_we_never_set_is_called_unknown(bench, made):
    bench.set_user(made, CUSTOMER, "on", ">somebody's", "~*", "+@all")

    assert bench.user(made, CUSTOMER).passwords == ("unknown",)


def test_a_stranger_is_found_and_deleted_and_deleting_again_is_fine(bench, made):
    bench.set_user(made, "mallory", "on", ">secret", "~*", "+@all")
    assert strangers(wanted(bench, made), bench.ask(made)) == ("mallory",)

    for _ in range(2):
        tell(bench, made, "delete_user", user="mallory")

    assert strangers(wanted(bench, made), bench.ask(made)) == ()


# Saving -----------------------------------------------------------------------------------------


def test_a_save_holds_writes_until_the_server_stops_and_the_dump_is_loaded(bench, made):
    bench.write(made, 7)

    tell(bench, made, "save", pause=LONG)

    assert bench.has_dump(made)
    assert not bench.write(made, 8)
    seen = bench.seen(made)
    bench.writers.containers.restart(
        made.name, container_id=seen.container_id, timeout=AT_ONCE, instance=1
    )
    bench.await_server(made)
    assert bench.read(made) == 7


def test_writes_go_on_when_they_are_resumed(bench, made):
    tell(bench, made, "save", pause=LONG)

    for _ in range(2):
        tell(bench, made, "resume_writes")

    assert bench.write(made, 9)
    assert bench.read(made) == 9


@pytest.mark.docker
def test_writes_go_on_by_themselves_when_nobody_ends_their_pause(real_bench):
    """Whoever paused them may have died."""
    made = real_bench.serve()

    tell(real_bench, made, "save", pause=timedelta(milliseconds=1500))

    assert not real_bench.write(made, 8)
    assert eventually(lambda: real_bench.write(made, 9))


@pytest.mark.parametrize(
    ("verb", "words"), [("save", {"pause": LONG}), ("save_in_background", {})]
)
def test_a_save_that_fails_is_said_so_and_writes_go_on(bench, image, verb, words):
    made = bench.serve(image=image, config=(("stop-writes-on-bgsave-error", "no"),))
    with bench.unwritable_data(made):
        with pytest.raises(StalledError) as refusal:
            tell(bench, made, verb, **words)
        assert refusal.value.reason == "SaveFailed"
        assert not bench.has_dump(made)
        assert bench.write(made, 3)


def test_a_background_save_is_on_disk_and_holds_nothing_up(bench, made):
    bench.write(made, 4)

    tell(bench, made, "save_in_background")

    assert bench.has_dump(made)
    assert bench.write(made, 5)


def test_an_append_only_file_switched_on_holds_everything_once_it_was_waited_for(bench, made):
    bench.write(made, 6)
    tell(bench, made, "set_directives", directives=(("appendonly", "yes"),))
    tell(bench, made, "wait_for_rewrite")
    assert bench.has_append_only(made)

    bench.configure(made, appendonly="yes")
    bench.kill(made)
    bench.start(made)
    bench.await_server(made)

    assert bench.read(made) == 6


def test_an_append_only_file_that_cannot_be_completed_is_said_so_and_can_be_given_up(bench, made):
    switch = {"directives": (("appendonly", "yes"),)}
    tell(bench, made, "set_directives", **switch)
    tell(bench, made, "wait_for_rewrite")
    tell(bench, made, "set_directives", directives=(("appendonly", "no"),))
    with bench.unwritable_log(made):
        tell(bench, made, "set_directives", **switch)
        for verb in ("wait_for_rewrite", "rewrite_append_only"):
            with pytest.raises(StalledError) as refusal:
                tell(bench, made, verb)
            assert refusal.value.reason == "RewriteFailed"
        tell(bench, made, "set_directives", directives=(("appendonly", "no"),))
        assert bench.write(made, 3)

    tell(bench, made, "set_directives", **switch)
    tell(bench, made, "wait_for_rewrite")


def test_waiting_for_an_append_only_file_that_nobody_writes_is_refused(bench, made):
    with pytest.raises(StalledError) as refusal:
        tell(bench, made, "wait_for_rewrite")

    assert refusal.value.reason == "RewriteFailed"


def test_memory_can_be_purged_at_any_time(bench, made):
    tell(bench, made, "purge_memory")

    assert isinstance(bench.ask(made), SeenServer)


# Connections ------------------------------------------------------------------------------------


def test_a_full_server_answers_on_the_kept_connection_and_is_saturated_for_a_new_one(bench, made):
    bench.ask(made)
    with bench.crowd(made):
        assert isinstance(bench.ask(made), SeenServer)

        bench.drop_kept_connection(made)

        seen = bench.ask(made)
        assert isinstance(seen, Unreachable)
        assert seen.saturated


def test_a_restart_is_survived_by_connecting_again(bench, made):
    before = bench.ask(made)
    seen = bench.seen(made)

    bench.writers.containers.restart(
        made.name, container_id=seen.container_id, timeout=AT_ONCE, instance=1
    )
    bench.await_server(made)

    after = bench.ask(made)
    assert isinstance(after, SeenServer)
    assert after.run_id != before.run_id


def test_a_lost_socket_matters_only_to_new_connections(bench, made):
    bench.ask(made)
    bench.remove_socket(made)
    assert isinstance(bench.ask(made), SeenServer)

    bench.drop_kept_connection(made)

    assert bench.ask(made) == Unreachable("its management socket is missing")
    with pytest.raises(UnavailableError):
        tell(bench, made, "purge_memory")


def test_a_dead_server_is_unreachable_and_not_saturated(bench, made):
    bench.kill(made)

    seen = bench.ask(made)

    assert isinstance(seen, Unreachable)
    assert not seen.saturated
    with pytest.raises(UnavailableError):
        bench.writers.server.wait(made.name, instance=1, patience=timedelta())


def test_a_server_that_no_longer_takes_our_password_is_unreachable(bench, made):
    bench.set_user(made, DAEMON, "on", ">somebody's", "-@all", "+ping")
    bench.drop_kept_connection(made)

    assert bench.ask(made) == Unreachable("it refuses the daemon's password")


# Only a real one --------------------------------------------------------------------------------


@pytest.mark.docker
def test_a_link_planted_for_the_socket_is_not_followed(real_bench, tmp_path):
    made = real_bench.serve()
    victim = tmp_path / "victim.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(victim))
        listener.listen()
        path = real_bench.paths.run(made.name, 1) / SOCKET
        path.unlink()
        path.symlink_to(victim)
        real_bench.drop_kept_connection(made)

        assert real_bench.ask(made) == Unreachable("its management socket is missing")


@pytest.mark.docker
def test_a_link_planted_for_the_folder_is_not_followed(real_bench, tmp_path):
    made, other = real_bench.serve(), real_bench.serve()
    real_bench.drop_kept_connection(made)
    run = real_bench.paths.run(made.name, 1)
    run.rename(run.with_name("aside"))
    run.symlink_to(real_bench.paths.run(other.name, 1))

    assert isinstance(real_bench.ask(made), Unreachable)


@pytest.mark.docker
def test_a_tenant_with_the_longest_name_is_reached(real_bench):
    """A path of more than 107 bytes does not fit into an address of a socket."""
    name = f"ct{os.getpid():x}-".ljust(63, "x")

    made = real_bench.serve(name=name)

    assert len(os.fsencode(real_bench.paths.run(name, 1) / SOCKET)) > 107
    assert isinstance(real_bench.ask(made), SeenServer)


@pytest.mark.docker
def test_asking_leaves_no_descriptor_behind(real_bench):
    made = real_bench.serve()
    for _ in range(3):
        real_bench.drop_kept_connection(made)
        real_bench.ask(made)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(5):
        real_bench.drop_kept_connection(made)
        real_bench.ask(made)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.docker
@pytest.mark.parametrize("image", ENGINES.values())
def test_whoever_fetches_a_copy_is_sent_all_data(real_bench, image):
    """A whole dump begins with its own mark; what the customer wrote is part of it."""
    made = real_bench.serve(image=image)
    real_bench.write(made, 314159)
    password = real_bench.parts.records.secret(made.name, BACKUP).reveal()
    address = ("127.0.0.1", made.reservation.plain_port)
    with socket.create_connection(address, 10) as replica, replica.makefile("rb") as answers:
        for order in (f"AUTH {BACKUP} {password}", "REPLCONF capa psync2", "PSYNC ? -1"):
            replica.sendall(f"{order}\r\n".encode())
            answer = answers.readline()
        assert answer.startswith(b"+FULLRESYNC")
        while not (size := answers.readline()).startswith(b"$"):
            assert size.strip() == b""  # it says that it is still there
        assert answers.read(int(size[1:])).startswith((b"REDIS", b"VALKEY"))


@pytest.mark.docker
@pytest.mark.parametrize("image", ENGINES.values())
def test_every_supported_directive_is_known_to_every_engine(real_bench, image):
    made = real_bench.serve(image=image)
    names = tuple(str(field.alias) for field in EngineConfig.model_fields.values())

    seen = eventually(lambda: real_bench.ask(made, directives=names))

    assert {name for name, _ in seen.directives} == set(names)
