"""What every engine must do for containers, held against the fake and against real Docker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.snapshot import Liveness, Resources, Role, SeenServer
from cachepilot.plan.actions import Workload
from cachepilot.plan.containers import container_name
from cachepilot.plan.drift import shape_drift
from cachepilot.plan.shape import digest_of
from cachepilot.spec.document import AccessMode
from tests.contract.bench import ABSENT_IMAGE, BRIDGE, ENGINES, eventually

AT_ONCE = timedelta(seconds=5)
MIB = 2**20


def with_shape(workload: Workload, **changes) -> Workload:
    shape = replace(workload.shape, **changes)
    return replace(workload, shape=shape, digest=digest_of(shape))


def restart(bench, made):
    seen = bench.seen(made)
    bench.writers.containers.restart(
        made.name, container_id=seen.container_id, timeout=AT_ONCE, instance=1
    )


def remove(bench, made, **changes):
    seen = bench.seen(made)
    about = {"container_id": seen.container_id, "digest": seen.digest, **changes}
    bench.writers.containers.remove(made.name, **about)


def stop(bench, made, *, kills=True):
    seen = bench.seen(made)
    bench.writers.containers.stop(
        made.name, container_id=seen.container_id, timeout=AT_ONCE, kills=kills
    )


# Birth ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("access", AccessMode)
def test_a_created_container_is_seen_exactly_as_it_was_wanted(bench, access):
    made = bench.prepare(access=access, cpus=0.5, bind=("127.0.0.1", "127.0.0.2"))

    seen = bench.create(made)

    assert seen.shape == made.workload.shape
    assert seen.resources == made.workload.resources
    assert seen.digest == made.workload.digest
    assert (seen.name, seen.role) == (container_name(made.name, Role.SERVER), Role.SERVER)
    assert (seen.liveness, seen.started_at) == (Liveness.CREATED, None)


def test_nothing_is_found_of_a_tenant_without_container(bench):
    made = bench.prepare()

    assert bench.readers.containers.find(made.name) == ()


def test_creating_again_after_a_lost_reply_is_fine(bench):
    made = bench.prepare()
    first = bench.create(made)

    again = bench.create(made)

    assert again == first


def test_creating_another_shape_under_the_same_name_asks_to_look_again(bench):
    made = bench.prepare()
    first = bench.create(made)

    with pytest.raises(WaitingError):
        bench.create(made, with_shape(made.workload, pids=77))
    assert bench.seen(made) == first


def test_a_foreign_container_with_our_name_is_neither_seen_nor_touched(bench):
    made = bench.prepare()

    with bench.stranger(container_name(made.name, Role.SERVER)):
        with pytest.raises(StalledError) as refusal:
            bench.create(made)
        assert refusal.value.reason == "NameTaken"
        assert bench.readers.containers.find(made.name) == ()


def test_an_image_that_is_not_there_is_said_so(bench):
    made = bench.prepare(image=ABSENT_IMAGE)

    assert bench.readers.containers.image_id(ABSENT_IMAGE) == ""
    with pytest.raises(StalledError) as refusal:
        bench.create(made)
    assert refusal.value.reason == "ImageUnavailable"
    assert bench.seen(made) is None


@pytest.mark.parametrize("image", ENGINES.values())
def test_an_image_that_is_there_is_seen(bench, image):
    assert bench.readers.containers.image_id(image)


@pytest.mark.parametrize("image", ENGINES.values())
def test_an_image_that_is_there_is_not_fetched_again(bench, image):
    """No registry has these; a host without a way out must still be able to replace containers."""
    bench.writers.containers.ensure_image(image)

    assert bench.readers.containers.image_id(image)


def test_a_network_is_made_once(bench):
    for _ in range(2):
        bench.writers.containers.ensure_network(bridge=BRIDGE, subnet=bench.subnet)

    if bench.is_real:
        (made,) = [one for one in bench.networks() if one["Name"] == bench.network()]
        # Neighbours stay apart, and nobody is reached in the name of the host.
        bridge = "com.docker.network.bridge"
        assert made["Options"][f"{bridge}.enable_icc"] == "false"
        assert made["Options"][f"{bridge}.enable_ip_masquerade"] == "false"


def test_a_container_is_not_created_where_a_mounted_folder_is_missing(bench):
    made = bench.prepare()
    bench.lose_certificates(made)

    with pytest.raises(StalledError) as refusal:
        bench.create(made)
    assert refusal.value.reason == "FolderMissing"
    assert not bench.has_certificates(made)


def test_a_container_is_not_created_on_lost_data(bench):
    made = bench.prepare()
    bench.lose_data(made)

    with pytest.raises(StalledError) as refusal:
        bench.create(made)
    assert refusal.value.reason == "DataMissing"
    assert not bench.has_data(made)


# Start ------------------------------------------------------------------------------------------


def test_a_started_container_runs_and_starting_again_changes_nothing(bench):
    made = bench.prepare()
    bench.create(made)

    first, again = bench.start(made), bench.start(made)

    assert first.liveness is Liveness.RUNNING
    assert first.started_at is not None
    assert (again.container_id, again.started_at) == (first.container_id, first.started_at)


def test_starting_what_was_never_created_asks_to_look_again(bench):
    made = bench.prepare()

    with pytest.raises(WaitingError):
        bench.start(made)


def test_a_taken_port_is_reported_and_the_same_container_starts_once_it_is_free(bench):
    made = bench.prepare()
    bench.create(made)

    with bench.occupied(made.reservation.plain_port):
        with pytest.raises(StalledError) as refusal:
            bench.start(made)
        assert refusal.value.reason == "PortInUse"
        assert bench.seen(made).liveness is Liveness.CREATED
        assert bench.seen(made).error

    assert bench.start(made).liveness is Liveness.RUNNING
    assert bench.seen(made).error == ""


def test_an_address_of_another_host_is_reported(bench):
    made = bench.prepare(bind=(bench.foreign_address(),))
    bench.create(made)

    with pytest.raises(StalledError) as refusal:
        bench.start(made)

    assert refusal.value.reason == "AddressNotLocal"


def test_nothing_starts_on_lost_data_and_its_folder_is_not_made_anew(bench):
    made = bench.serve()
    stop(bench, made)
    bench.lose_data(made)

    with pytest.raises(StalledError) as start_refusal:
        bench.start(made)
    with pytest.raises(StalledError) as restart_refusal:
        restart(bench, made)

    assert {start_refusal.value.reason, restart_refusal.value.reason} == {"DataMissing"}
    assert not bench.has_data(made)


def test_nothing_starts_beside_a_server_that_the_engine_lost_track_of(bench):
    made = bench.prepare()
    bench.create(made)

    with bench.lost_server(made):
        with pytest.raises(StalledError) as refusal:
            bench.start(made)
        assert refusal.value.reason == "ServerLost"
        assert bench.seen(made).liveness is Liveness.CREATED

    assert bench.start(made).liveness is Liveness.RUNNING


def test_nothing_starts_where_a_mounted_folder_vanished_and_it_is_not_made_anew(bench):
    made = bench.serve()
    stop(bench, made)
    bench.lose_certificates(made)

    with pytest.raises(StalledError) as refusal:
        bench.start(made)

    assert refusal.value.reason == "FolderMissing"
    assert not bench.has_certificates(made)


# Life -------------------------------------------------------------------------------------------


def test_a_stopped_container_is_seen_as_exited_and_stopping_again_is_fine(bench):
    made = bench.serve()

    stop(bench, made)
    stop(bench, made)

    seen = bench.seen(made)
    assert (seen.liveness, seen.exit_code) == (Liveness.EXITED, 0)


@pytest.mark.parametrize("how", [("save", "3600 1"), ("shutdown-on-sigterm", "save")])
def test_a_server_that_saves_ends_by_itself_and_ending_again_is_fine(hall, how):
    bench, image = hall
    made = saving(bench, how, image=image)
    bench.write(made, 5)

    stop(bench, made, kills=False)
    stop(bench, made, kills=False)

    seen = bench.seen(made)
    assert (seen.liveness, seen.exit_code) == (Liveness.EXITED, 0)
    assert bench.has_dump(made)
    assert bench.start(made).liveness is Liveness.RUNNING
    bench.await_server(made)
    assert bench.read(made) == 5


@pytest.mark.parametrize("how", [("save", "3600 1"), ("shutdown-on-sigterm", "save")])
def test_a_server_that_cannot_save_serves_on_instead_of_ending(hall, how):
    bench, image = hall
    made = saving(bench, how, image=image)
    with bench.unwritable_data(made):
        bench.write(made, 5)
        with pytest.raises(StalledError, match="serves on") as refusal:
            stop(bench, made, kills=False)
        assert refusal.value.reason == "SaveFailed"
        assert bench.seen(made).liveness is Liveness.RUNNING
        assert bench.read(made) == 5

    stop(bench, made, kills=False)
    assert bench.has_dump(made)


def test_a_server_that_was_killed_has_not_ended_by_itself(bench):
    made = saving(bench)
    bench.kill(made)

    with pytest.raises(WaitingError):
        stop(bench, made, kills=False)


def saving(bench, how=("save", "3600 1"), **fields):
    """Serve a tenant that saves when it ends, as a snapshot's mode makes it."""
    made = bench.serve(**fields)
    bench.set_directive(made, *how)
    return made


def test_a_killed_container_stays_down_and_starts_again(bench):
    made = bench.serve()

    bench.kill(made)

    assert bench.seen(made).liveness is Liveness.EXITED
    assert bench.seen(made).exit_code == 137
    assert bench.start(made).liveness is Liveness.RUNNING


def test_a_restart_keeps_the_container_and_begins_anew(bench):
    made = bench.serve()
    before = bench.seen(made)

    restart(bench, made)

    after = bench.seen(made)
    assert after.container_id == before.container_id
    assert after.liveness is Liveness.RUNNING
    assert after.started_at > before.started_at


def test_a_restart_starts_what_was_stopped(bench):
    made = bench.serve()
    stop(bench, made)

    restart(bench, made)

    assert bench.seen(made).liveness is Liveness.RUNNING


def test_a_frozen_container_is_seen_and_thawed_and_thawing_again_is_fine(bench):
    made = bench.serve()
    bench.freeze(made)
    frozen = bench.seen(made)

    for _ in range(2):
        bench.writers.containers.unpause(container_id=frozen.container_id)

    assert frozen.liveness is Liveness.PAUSED
    assert bench.seen(made).liveness is Liveness.RUNNING
    assert isinstance(bench.ask(made), SeenServer)


def test_a_crash_loop_is_not_mistaken_for_running_and_a_restart_ends_it(bench):
    made = bench.serve()
    bench.crash_again_and_again(made)
    seen = bench.seen(made)

    assert seen.liveness is Liveness.RESTARTING
    assert seen.exit_code
    bench.configure(made)
    restart(bench, made)
    bench.await_server(made)
    assert bench.seen(made).liveness is Liveness.RUNNING


def test_a_container_that_somebody_detached_from_its_bridge_has_drifted(bench):
    made = bench.serve()

    bench.disconnect(made)

    assert bench.seen(made).shape.bridge == ""
    assert shape_drift(made.workload.shape, bench.seen(made).shape) == "network changed"


def test_a_running_container_off_its_bridge_is_put_back_by_a_start_and_runs_on(bench):
    made = bench.serve()
    before = bench.seen(made)
    bench.disconnect(made)

    for _ in range(2):
        bench.start(made)

    assert bench.seen(made) == before


def test_a_resting_container_off_its_bridge_is_put_there_by_a_start(bench):
    made = bench.prepare()
    bench.create(made)
    bench.disconnect(made)

    assert bench.seen(made).shape == made.workload.shape
    bench.start(made)

    assert bench.seen(made).shape == made.workload.shape


def test_a_started_container_is_put_on_its_network_once_it_runs(bench):
    """Its ports open then, and a client that dials before is refused instead of left waiting."""
    made = bench.prepare()
    bench.create(made)

    assert bench.start(made).shape == made.workload.shape

    if bench.is_real:
        assert bench.starts(made) == ["start", "connect"]


def test_a_renamed_container_is_found_and_renamed_back_as_often_as_asked(bench):
    made = bench.serve()
    own = bench.seen(made).name
    bench.rename(made, f"{own}.elsewhere")
    assert bench.seen(made).name == f"{own}.elsewhere"

    for _ in range(2):
        bench.writers.containers.rename(
            made.name, container_id=bench.seen(made).container_id, role=Role.SERVER
        )

    assert bench.seen(made).name == own


@pytest.mark.parametrize(
    "resources",
    [
        Resources(memory=256 * MIB, swap=256 * MIB, cpu_quota=50_000, restart="unless-stopped"),
        Resources(memory=96 * MIB, swap=96 * MIB, cpu_quota=-1, restart="unless-stopped"),
        Resources(memory=128 * MIB, swap=128 * MIB, cpu_quota=150_000, restart="no"),
    ],
    ids=["more", "less", "other"],
)
def test_resources_are_read_back_exactly_as_they_were_written(bench, resources):
    made = bench.serve(cpus=1.0)
    seen = bench.seen(made)

    for _ in range(2):
        bench.writers.containers.update(container_id=seen.container_id, resources=resources)

    assert bench.seen(made).resources == resources
    assert bench.seen(made).started_at == seen.started_at


def test_resources_can_be_bounded_and_unbounded_again_and_survive_a_restart(bench):
    made = bench.serve()
    wanted = bench.seen(made).resources
    container_id = bench.seen(made).container_id

    bounded = replace(wanted, cpu_quota=20_000)
    bench.writers.containers.update(container_id=container_id, resources=bounded)
    assert bench.seen(made).resources == bounded
    bench.writers.containers.update(container_id=container_id, resources=wanted)
    restart(bench, made)

    assert bench.seen(made).resources == wanted


def test_a_name_that_somebody_took_meanwhile_is_said_so(bench):
    made = bench.serve()
    own = bench.seen(made).name
    bench.rename(made, f"{own}.elsewhere")

    with bench.stranger(own), pytest.raises(StalledError) as refusal:
        bench.writers.containers.rename(
            made.name, container_id=bench.seen(made).container_id, role=Role.SERVER
        )

    assert refusal.value.reason == "NameTaken"


def test_changing_a_container_that_vanished_asks_to_look_again(bench):
    made = bench.prepare()
    seen = bench.create(made)
    remove(bench, made)
    about, containers = {"container_id": seen.container_id}, bench.writers.containers

    for change in (
        lambda: containers.unpause(**about),
        lambda: containers.rename(made.name, role=Role.SERVER, **about),
        lambda: containers.update(resources=seen.resources, **about),
    ):
        with pytest.raises(WaitingError):
            change()


# Death ------------------------------------------------------------------------------------------


def test_a_stopped_container_is_removed_and_removing_again_is_fine(bench):
    made = bench.serve()
    stop(bench, made)
    seen = bench.seen(made)

    for _ in range(2):
        bench.writers.containers.remove(
            made.name, container_id=seen.container_id, digest=seen.digest
        )

    assert bench.seen(made) is None
    assert bench.has_data(made)


def test_a_running_container_is_not_removed(bench):
    made = bench.serve()

    with pytest.raises(WaitingError):
        remove(bench, made)

    assert bench.seen(made).liveness is Liveness.RUNNING


def test_a_frozen_container_is_not_removed(bench):
    made = bench.serve()
    bench.freeze(made)

    with pytest.raises(WaitingError):
        remove(bench, made)

    bench.writers.containers.unpause(container_id=bench.seen(made).container_id)


def test_a_container_with_another_digest_than_the_plan_saw_is_not_removed(bench):
    made = bench.prepare()
    bench.create(made)

    with pytest.raises(WaitingError):
        remove(bench, made, digest="v1-another")

    assert bench.seen(made) is not None


def test_a_container_that_was_replaced_meanwhile_is_neither_removed_nor_stopped(bench):
    made = bench.prepare()
    bench.create(made)
    old = bench.seen(made)
    remove(bench, made)
    bench.create(made)
    bench.start(made)

    bench.writers.containers.remove(made.name, container_id=old.container_id, digest=old.digest)
    with pytest.raises(WaitingError):
        bench.writers.containers.stop(made.name, container_id=old.container_id, timeout=AT_ONCE)
    with pytest.raises(WaitingError):
        bench.writers.containers.restart(
            made.name, container_id=old.container_id, timeout=AT_ONCE, instance=1
        )

    assert bench.seen(made).liveness is Liveness.RUNNING
    assert bench.seen(made).container_id != old.container_id


# Many -------------------------------------------------------------------------------------------


def test_the_listing_has_one_row_for_each_container_whatever_its_state(bench):
    created, running, frozen, ended = (bench.prepare() for _ in range(4))
    for made in (created, running, frozen, ended):
        bench.create(made)
    for made in (running, frozen, ended):
        bench.start(made)
    bench.freeze(frozen)
    bench.kill(ended)

    rows = {row.tenant_name: row for row in bench.readers.containers.glance()}

    states = {
        created.name: "created",
        running.name: "running",
        frozen.name: "paused",
        ended.name: "exited",
    }
    assert {name: rows[name].state for name in states} == states
    for made in (created, running, frozen, ended):
        seen, row = bench.seen(made), rows[made.name]
        assert (row.container_id, row.name, row.role, row.digest) == (
            seen.container_id,
            seen.name,
            "server",
            seen.digest,
        )
    bench.writers.containers.unpause(container_id=bench.seen(frozen).container_id)


def test_two_roots_on_one_engine_never_see_each_other(bench):
    made = bench.serve()
    sibling = bench.sibling()
    try:
        twin = sibling.prepare(name=made.name)

        with pytest.raises(StalledError) as refusal:
            sibling.create(twin)

        assert refusal.value.reason == "NameTaken"
        assert sibling.readers.containers.find(made.name) == ()
        assert sibling.readers.containers.glance() == ()
        other = sibling.serve()
        rows = bench.readers.containers.glance()
        assert other.name not in {row.tenant_name for row in rows}
        for verb, more in (("stop", {}), ("restart", {"instance": 1})):
            with pytest.raises(WaitingError):
                getattr(sibling.writers.containers, verb)(
                    twin.name,
                    container_id=bench.seen(made).container_id,
                    timeout=AT_ONCE,
                    **more,
                )
        assert bench.seen(made).liveness is Liveness.RUNNING
    finally:
        if sibling.is_real:
            sibling.close()


def test_an_engine_that_is_silent_is_unknown_and_never_empty(bench):
    made = bench.serve()
    with bench.silence() as silent:
        for answer in (silent.find(made.name), silent.glance()):
            assert type(answer).__name__ == "Unknown"
            assert answer.why
        assert silent.image_id(ENGINES["redis8"]) is None

    assert eventually(lambda: bench.seen(made)) is not None
