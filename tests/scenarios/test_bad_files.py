"""Files that nobody can use: a message in the right place, and nobody else notices."""

import os

import pytest

from tests.scenarios.tenant import document
from tests.scenarios.waiting import eventually, throughout

HEAD = "apiVersion: cachepilot/v1\nkind: Tenant\nmetadata:\n  name: NAME\n"

# What is written, and what the complaint about it says.
UNUSABLE = {
    "binary": (bytes(range(256)) * 20, "is not valid UTF-8 text"),
    "brackets": (b"[" * 30_000, "is nested deeper than 20 levels"),
    "huge": (b"#" * 10_000_000, "is larger than 256 KiB (10000000 bytes or more)"),
    "bomb": (
        b"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n",
        ':1: a: the anchor "&a" is not supported',
    ),
    "tab": (
        b"apiVersion: cachepilot/v1\n\tkind: Tenant\n",
        "a tab stands where only spaces may indent",
    ),
    "half": (
        b'{"apiVersion": "cachepilot/v1", "kind": "Ten',
        "the quote that opens in line 1 is never closed",
    ),
    "duplicate key": (
        HEAD.encode() + b"spec:\n  paused: false\n  paused: true\n",
        ':7: spec.paused: duplicate key "paused", first written in line 6',
    ),
    "unknown key": (
        HEAD.encode() + b"spec:\n  memroy: {max: 16MiB}\n",
        ':6: spec.memroy: unknown key "memroy"; did you mean "memory"?',
    ),
    "wrong type": (
        HEAD.encode() + b"spec:\n  paused: maybe\n",
        ':6: spec.paused: expected true or false; got "maybe"',
    ),
    "path as name": (
        HEAD.replace("NAME", "../ca").encode(),
        ":4: metadata.name: expected lower-case letters, digits and hyphens",
    ),
    "yaml 1.1 boolean": (
        HEAD.encode() + b"spec:\n  paused: yes\n",
        ':6: spec.paused: "yes" is not a boolean in YAML 1.2',
    ),
    "other kind": (
        HEAD.replace("Tenant", "Customer").encode(),
        ':2: kind: expected Tenant; got "Customer"',
    ),
}


@pytest.fixture
def neighbour(fleet):
    """Somebody whom nothing of this concerns."""
    tenant = fleet.tenant(f"calm{len(fleet.tenants)}").write().settle()
    with fleet.undisturbed(tenant):
        yield tenant


def complaints_about(host, path):
    """Return the problems of one file, told once the folder has been read."""
    return [problem for problem in host.problems() if problem.startswith(f"{path}:")]


def test_unusable_files_are_each_reported_with_their_place(fleet, neighbour):
    files = {fleet.tenants_d / f"bad-{number}.yaml": kind for number, kind in enumerate(UNUSABLE)}
    for path, kind in files.items():
        name = f"{fleet.slot.mark}-{path.stem}".encode()
        fleet.put(path, UNUSABLE[kind][0].replace(b"NAME", name))

    for path, kind in files.items():
        found = eventually(lambda path=path: complaints_about(fleet, path))
        assert UNUSABLE[kind][1] in "\n".join(found), (kind, found)
    shown = fleet.ctl("validate", str(fleet.tenants_d), expect=3)
    assert all(str(path) in shown for path in files)

    for path in files:
        path.unlink()
    eventually(lambda: fleet.problems() == [])
    assert fleet.ctl("validate", str(fleet.tenants_d))


@pytest.mark.parametrize("kind", ["binary", "brackets", "bomb", "half", "unknown key"])
def test_a_tenant_whose_file_becomes_unusable_goes_on_as_before(fleet, neighbour, kind):
    tenant = fleet.tenant(f"turn-{kind.replace(' ', '-')}").write().settle()
    tenant.put(kept="yes")

    with fleet.undisturbed(tenant):
        fleet.put(tenant.path, UNUSABLE[kind][0].replace(b"NAME", tenant.name.encode()))
        eventually(lambda: tenant.word == "Invalid")
        assert tenant.condition("Stalled")["reason"] == "SpecInvalid"
        assert tenant.condition("Ready")["status"] == "True"
        assert str(tenant.path) in tenant.status()["status"]["problems"][0]
        assert "Invalid" in fleet.ctl("get", "tenants", tenant.name)
        assert str(tenant.path) in fleet.ctl("describe", "tenant", tenant.name)

    tenant.edit({"memory": {"max": "20MiB"}}).settle()
    assert tenant.get("kept") == "yes"


def test_line_endings_and_byte_order_marks_of_other_systems_are_accepted(fleet, neighbour):
    tenant = fleet.tenant("crlf")
    text = HEAD.replace("NAME", tenant.name).replace("\n", "\r\n")

    fleet.put(tenant.path, b"\xef\xbb\xbf" + text.encode())

    tenant.settle()


def test_an_empty_file_is_no_tenant_and_no_problem_for_others(fleet, neighbour):
    path = fleet.tenants_d / "empty.yaml"
    fleet.put(path, b"")
    other = fleet.tenant("beside-empty").write().settle()
    assert other.run_id()
    path.unlink()


def test_two_files_with_one_name_leave_the_incumbent_in_force(fleet, neighbour):
    tenant = fleet.tenant("twice").write().settle()
    usurper = fleet.tenants_d / "aaa-usurper.yaml"

    with fleet.undisturbed(tenant):
        fleet.put(usurper, document(tenant.name, {"memory": {"max": "99MiB"}}))
        assert eventually(lambda: complaints_about(fleet, usurper))
        throughout(lambda: tenant.config("maxmemory") == str(16 * 2**20), seconds=2)

    tenant.path.unlink()
    # The one that is left takes over: the tenant never stops serving.
    eventually(lambda: tenant.config("maxmemory") == str(99 * 2**20))
    usurper.unlink()


def test_droppings_of_editors_and_tools_are_no_tenants(fleet, neighbour):
    tenant = fleet.tenant("dropped")
    eventually(lambda: fleet.problems() == [])
    names = [
        f".{tenant.name}.yaml.swp",
        f"{tenant.name}.yaml~",
        f".#{tenant.name}.yaml",
        f"#{tenant.name}.yaml#",
        f"{tenant.name}.yaml.dpkg-new",
        f"{tenant.name}.yaml.dpkg-old",
        f".ansible_tmp{tenant.name}.yaml",
        f"{tenant.name}.yaml.bak",
        f"{tenant.name}.yaml.rej",
        "4913",
    ]
    for name in names:
        (fleet.tenants_d / name).write_text(document(tenant.name, {}))

    throughout(lambda: fleet.problems() == [] and not tenant.containers(), seconds=2)
    for name in names:
        (fleet.tenants_d / name).unlink()


def test_a_file_that_is_written_slowly_takes_effect_once_and_whole(fleet, neighbour):
    tenant = fleet.tenant("slow")
    text = tenant.write({"memory": {"max": "20MiB"}}).path.read_text()
    tenant.settle()
    before = fleet.deeds(tenant)

    text = text.replace("20MiB", "24MiB").replace('"scenario/write": "1"', '"scenario/write": "2"')
    with tenant.path.open("w") as file:
        for character in range(0, len(text), 20):
            file.write(text[character : character + 20])
            file.flush()
            os.fsync(file.fileno())

    eventually(lambda: tenant.config("maxmemory") == str(24 * 2**20))
    tenant.forget_writes()
    tenant.settle()
    documents = [deed for deed in fleet.deeds(tenant)[len(before) :] if "RememberDocument" in deed]
    assert len(documents) == 1


def test_a_loop_of_links_is_reported_and_harms_nobody(fleet, neighbour):
    loop, other = fleet.tenants_d / "loop-a.yaml", fleet.tenants_d / "loop-b.yaml"
    loop.symlink_to(other)
    other.symlink_to(loop)

    assert eventually(lambda: complaints_about(fleet, loop))
    late = fleet.tenant("beside-loop").write().settle()

    assert late.run_id()
    loop.unlink(), other.unlink()
    eventually(lambda: fleet.problems() == [])


def test_a_device_or_pipe_in_the_folder_does_not_hang_anybody(fleet, neighbour):
    pipe = fleet.tenants_d / "pipe.yaml"
    os.mkfifo(pipe)

    assert eventually(lambda: complaints_about(fleet, pipe))
    assert fleet.tenant("beside-pipe").write().settle().run_id()
    pipe.unlink()


def test_a_linked_file_is_followed_and_a_swapped_link_takes_effect(fleet, neighbour, tmp_path):
    tenant = fleet.tenant("linked")
    for size in ("18MiB", "22MiB"):
        (tmp_path / size).write_text(document(tenant.name, {"memory": {"max": size}}))
    tenant.path.symlink_to(tmp_path / "18MiB")
    tenant.settle()
    run_id = tenant.run_id()

    beside = tenant.path.with_name(".beside")
    beside.symlink_to(tmp_path / "22MiB")
    beside.rename(tenant.path)

    eventually(lambda: tenant.config("maxmemory") == str(22 * 2**20))
    assert tenant.run_id() == run_id
    tenant.path.unlink()


def test_a_file_behind_a_link_that_is_rewritten_in_place_is_taken_up(fleet, neighbour, tmp_path):
    """Nothing happens in the folder, so nobody is told: it is read anyway every ten seconds."""
    tenant, target = fleet.tenant("behind"), tmp_path / "target"
    target.write_text(document(tenant.name, {"memory": {"max": "18MiB"}}))
    tenant.path.symlink_to(target)
    tenant.settle()

    target.write_text(document(tenant.name, {"memory": {"max": "22MiB"}}))

    eventually(lambda: tenant.config("maxmemory") == str(22 * 2**20), timeout=15)
    tenant.path.unlink()
