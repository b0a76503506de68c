"""A host that is in the way: said in the right place, nobody else disturbed, ended by itself."""

import os
import shutil
import signal
import socket
import subprocess

import pytest

from tests.scenarios.tenant import document
from tests.scenarios.waiting import eventually, throughout


@pytest.fixture
def neighbour(fleet):
    """Somebody whom nothing of this concerns."""
    tenant = fleet.tenant(f"calm{len(fleet.tenants)}").write().settle()
    with fleet.undisturbed(tenant):
        yield tenant


# What one tenant wants and cannot have --------------------------------------------------------


def test_a_port_that_another_program_holds_is_waited_for(fleet, neighbour):
    port = fleet.slot.free_port(0)
    tenant = fleet.tenant("port-held")
    with socket.create_server(("127.0.0.1", port)):
        tenant.write({"access": {"ports": {"tls": port}}})
        assert str(port) in tenant.stalled("PortInUse")["message"]
        assert "PortInUse" in fleet.ctl("describe", "tenant", tenant.name)

    tenant.settle()
    assert tenant.port() == port


def test_of_two_tenants_that_pin_one_port_the_second_is_told(fleet, neighbour):
    port = fleet.slot.free_port(1)
    first = fleet.tenant("pin-first").write({"access": {"ports": {"tls": port}}}).settle()
    second = fleet.tenant("pin-second").write().settle()
    second.put(kept="yes")

    with fleet.undisturbed(first), fleet.unbroken(second):
        second.edit({"access": {"ports": {"tls": port}}})
        was = second.port()
        assert first.name in second.stalled("PortConflict")["message"]
        # It serves on where it was, is told so, and nobody is told that its wish came true.
        assert (second.port(), second.get("kept")) == (was, "yes")
        assert second.condition("EndpointsReachable")["reason"] == "OtherPort"
        assert second.condition("Ready")["status"] == "False"
        fleet.ctl("wait", "--for=condition=Ready", second.name, "--timeout", "1s", expect=7)

    second.edit({"access": {"ports": {"tls": port + 1}}}).settle()
    assert second.get("kept") == "yes"


def test_an_image_that_does_not_exist_leaves_the_running_server_alone(fleet, neighbour):
    tenant = fleet.tenant("no-image").write().settle()
    tenant.put(kept="yes")

    with fleet.unbroken(tenant):
        tenant.edit({"engine": {"image": "cachepilot-lab/redis:0.0"}})
        complaint = eventually(lambda: complaint_of(tenant))
        assert "cachepilot-lab/redis:0.0" in complaint

    tenant.edit({"engine": None}).settle()
    assert tenant.get("kept") == "yes"


def complaint_of(tenant):
    """Return why a tenant does not get on, whether a person or only time can help."""
    found = (tenant.condition(kind) for kind in ("Stalled", "Reconciling"))
    return next((each["message"] for each in found if each["status"] == "True"), "")


def test_an_image_that_holds_no_such_server_is_reported(fleet, neighbour):
    fleet.engine.images.get("cachepilot-lab/redis:7.0").tag("cachepilot-lab/valkey", "not-really")
    tenant = fleet.tenant("wrong-image")

    tenant.write({"engine": {"image": "cachepilot-lab/valkey:not-really"}})

    tenant.stalled("EngineMismatch")
    tenant.edit({"engine": None}).settle()
    fleet.engine.images.remove("cachepilot-lab/valkey:not-really")


def test_a_new_address_on_which_the_port_is_taken_stops_nobody(fleet, neighbour):
    made = fleet.tenant("taken").write().settle()
    made.put(kept="yes")
    run_id, wide = made.run_id(), {"access": {"bind": ["127.0.0.1", "127.0.0.2"]}}
    with socket.create_server(("127.0.0.2", made.port())), fleet.undisturbed(neighbour):
        made.edit(wide)
        told = made.stalled("PortInUse")
        assert "of 127.0.0.2 is in use" in told["message"]
        assert made.run_id() == run_id

    made.settle()
    with made.client(host="127.0.0.2") as client:
        assert client.get("kept") == "yes"


def test_an_address_of_another_host_is_refused_and_the_old_one_goes_on(fleet, neighbour):
    tenant = fleet.tenant("foreign").write().settle()
    tenant.put(kept="yes")
    run_id = tenant.run_id()

    tenant.edit({"access": {"bind": ["127.0.0.1", "192.0.2.77"]}})

    assert "192.0.2.77" in tenant.stalled("AddressNotLocal")["message"]
    with tenant.client() as client:
        assert client.info("server")["run_id"] == run_id
    tenant.edit({"access": None}).settle()
    assert tenant.get("kept") == "yes"


def test_memory_below_what_the_server_needs_is_refused_with_the_reason(fleet, neighbour):
    tenant = fleet.tenant("tight").write().settle()

    with fleet.undisturbed(tenant):
        tenant.edit({"memory": {"limit": "17MiB"}})
        eventually(lambda: tenant.word == "Invalid")
        assert "memory.limit" in tenant.status()["status"]["problems"][0]
    tenant.edit({"memory": None}).settle()


def test_a_container_of_somebody_else_with_our_name_is_not_touched(fleet, neighbour):
    tenant = fleet.tenant("name-taken")
    stranger = fleet.engine.containers.create(
        "cachepilot-lab/redis:7.0", ["redis-server"], name=f"cachepilot-{tenant.name}"
    )

    tenant.write()
    tenant.stalled("NameTaken")
    assert fleet.engine.containers.get(stranger.id).name == f"cachepilot-{tenant.name}"

    stranger.remove()
    tenant.settle()


@pytest.mark.parametrize("mode", ["aof", "rdb", "none"])
def test_a_server_is_never_started_on_data_that_vanished(fleet, neighbour, mode):
    tenant = fleet.tenant(f"vanish-{mode}").write({"persistence": {"mode": mode}}).settle()
    tenant.put(kept="yes")
    tenant.edit({"state": "stopped"}).settle("Stopped")
    aside = tenant.data.with_name("aside")
    tenant.data.rename(aside)

    tenant.edit({"state": "running"})
    tenant.stalled("DataMissing")
    assert not tenant.is_running()
    assert not aside.with_name("1").exists()

    aside.rename(aside.with_name("1"))
    tenant.settle()
    assert tenant.get("kept") == "yes"


def test_a_running_server_whose_data_vanished_is_reported_and_left_alone(fleet, neighbour):
    tenant = fleet.tenant("vanish-live").write({"persistence": {"mode": "aof"}}).settle()
    tenant.put(kept="yes")
    aside = tenant.data.with_name("aside")

    with fleet.undisturbed(tenant):
        tenant.data.rename(aside)
        tenant.stalled("DataMissing")
        assert tenant.get("kept") == "yes"
        aside.rename(tenant.data)
        tenant.settle()


def test_an_empty_folder_in_place_of_the_data_is_not_taken_for_it(fleet, neighbour):
    tenant = fleet.tenant("lost-mount").write({"persistence": {"mode": "aof"}}).settle()
    tenant.put(kept="yes")
    aside = tenant.data.with_name("aside")
    tenant.data.rename(aside)
    tenant.data.mkdir(mode=0o700)
    tenant.container().kill()

    tenant.stalled("DataMissing")
    throughout(lambda: not tenant.is_running(), seconds=6)

    tenant.data.rmdir()
    aside.rename(tenant.data)
    tenant.settle()
    assert tenant.get("kept") == "yes"


# What happens to the folder of tenants -------------------------------------------------------


@pytest.fixture
def five(host):
    """Five tenants of a host of their own, which must all go on serving."""
    host.write_settings(removalGrace="2s")
    host.start()
    tenants = [host.tenant(f"five{n}").write() for n in range(5)]
    for each in tenants:
        each.settle()
    with host.undisturbed(*tenants):
        yield tenants


def swap(folder):
    fresh = folder.with_name("fresh")
    shutil.copytree(folder, fresh)
    folder.rename(folder.with_name("old"))
    fresh.rename(folder)


def empty(folder):
    for file in folder.iterdir():
        file.unlink()


UNLISTED = "tenants.d:0: : cannot list the folder of tenants: "
EMPTY = "MassRemoval: tenants.d holds no tenant, but 5 are served"
# What is done to the folder, and what the host says about it.
HARM_TO_FOLDER = {
    "removed": (shutil.rmtree, f"{UNLISTED}no such file or directory"),
    "emptied": (empty, EMPTY),
    "replaced by an empty one": (
        lambda folder: (folder.rename(folder.with_name("old")), folder.mkdir()),
        EMPTY,
    ),
    "replaced by a file": (
        lambda folder: (folder.rename(folder.with_name("old")), folder.touch()),
        f"{UNLISTED}not a directory",
    ),
    "a loop of links": (
        lambda folder: (folder.rename(folder.with_name("old")), folder.symlink_to(folder)),
        f"{UNLISTED}too many levels of symbolic links",
    ),
}


def complaints_of(host):
    """Return everything that the host says is wrong with it, as lines."""
    found = [f"{each['reason']}: {each['message']}" for each in host.facts()["conditions"]]
    return "\n".join(host.problems() + found)


def test_nobody_is_stopped_whatever_becomes_of_the_folder(host, five):
    texts = {each.path: each.path.read_text() for each in five}
    for harm, (act, message) in HARM_TO_FOLDER.items():
        act(host.tenants_d)
        # Longer than the grace for a vanished file.
        throughout(lambda: all(each.is_running() for each in five), seconds=4)
        said = eventually(lambda: complaints_of(host))
        assert message in said, harm

        if host.tenants_d.is_symlink() or host.tenants_d.is_file():
            host.tenants_d.unlink()
        shutil.rmtree(host.tenants_d, ignore_errors=True)
        shutil.rmtree(host.tenants_d.with_name("old"), ignore_errors=True)
        host.tenants_d.mkdir()
        for path, text in texts.items():
            host.put(path, text)
        eventually(lambda: host.problems() == [] and not host.facts()["conditions"])


def test_edits_are_seen_after_the_folder_was_swapped_for_a_copy(host, five):
    swap(host.tenants_d)
    late = host.tenant("late").write().settle()

    late.edit({"memory": {"max": "20MiB"}}).settle()

    assert late.config("maxmemory") == str(20 * 2**20)


def test_a_folder_that_is_a_link_may_be_pointed_elsewhere(host, five, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(host.tenants_d, tmp_path / name)
    shutil.rmtree(host.tenants_d)
    host.tenants_d.symlink_to(tmp_path / "one")
    late = host.tenant("pointed")

    (tmp_path / "two" / f"{late.name}.yaml").write_text(document(late.name, {}))
    beside = host.tenants_d.with_name("beside")
    beside.symlink_to(tmp_path / "two")
    beside.rename(host.tenants_d)

    late.settle()


def test_most_files_vanishing_at_once_stop_nobody_until_a_person_looked(host, five):
    sixth = host.tenant("sixth").write().settle()
    texts = {each.path: each.path.read_text() for each in five}
    for path in texts:
        path.unlink()

    condition = eventually(lambda: host.facts()["conditions"])[0]
    assert condition["reason"] == "MassRemoval"
    assert sixth.is_running()
    throughout(lambda: all(each.is_running() for each in five), seconds=4)

    for path, text in texts.items():
        host.put(path, text)
    eventually(lambda: not host.facts()["conditions"])


def test_one_vanished_file_ends_serving_but_not_the_data(host, five):
    tenant = host.tenant("vanishing").write({"persistence": {"mode": "aof"}}).settle()
    tenant.put(kept="yes")
    port = tenant.port()
    text = tenant.path.read_text()

    tenant.path.unlink()
    eventually(lambda: not tenant.containers())
    eventually(lambda: tenant.word == "Deleted")
    assert (tenant.data / ".cachepilot").exists()
    host.restart()
    throughout(lambda: not tenant.containers(), seconds=4)

    host.put(tenant.path, text)
    tenant.settle()
    assert tenant.get("kept") == "yes"
    assert tenant.port() == port


# What happens to the disk and the clock ------------------------------------------------------


@pytest.fixture
def small_disk(host):
    """A state folder on a disk of its own that can be filled or made read-only."""
    host.state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", host.state], check=True)
    try:
        yield host.state
    finally:
        for container in host.containers():
            container.remove(force=True)
        host.kill()
        subprocess.run(["umount", "--lazy", host.state], check=True)


def test_a_full_disk_is_told_harms_nobody_and_ends_by_itself(host, small_disk):
    old = host.start().tenant("before").write().settle()
    new = host.tenant("meanwhile")
    ballast = small_disk / "ballast"

    with host.undisturbed(old):
        with ballast.open("wb") as file, pytest.raises(OSError, match="space"):
            while True:
                file.write(b"0" * 65_536)
                file.flush()
        new.write()
        eventually(lambda: "no space left" in complaint_of(new).lower())
        assert not new.containers()
        ballast.unlink()
        new.settle()
    assert not list(small_disk.rglob(".cachepilot-new-*"))


def test_a_read_only_state_folder_is_told_harms_nobody_and_ends_by_itself(host, small_disk):
    old = host.start().tenant("before").write().settle()
    new = host.tenant("meanwhile")

    with host.undisturbed(old):
        # A read-only view on top: the disk itself is busy with our own lock.
        subprocess.run(["mount", "--bind", small_disk, small_disk], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", small_disk], check=True)
        new.write()
        eventually(lambda: "read-only" in complaint_of(new).lower())
        subprocess.run(["umount", small_disk], check=True)
        new.settle()


def test_a_stopped_and_continued_daemon_forgets_nobody(host, five):
    """A process that did not run for a while sees its clock jump ahead."""
    os.kill(host.daemon.pid, signal.SIGSTOP)
    five[0].path.touch()
    throughout(lambda: all(each.is_running() for each in five), seconds=3)
    os.kill(host.daemon.pid, signal.SIGCONT)

    late = host.tenant("late").write().settle()
    assert late.run_id()
