import fcntl
import os
import stat
from pathlib import Path

import pytest

from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.adapters.spec_refusals import (
    EditConflictError,
    NoSuchDocumentError,
    SpecEditError,
)


def document(name, body="spec: {}\n"):
    return f"apiVersion: cachepilot/v1\nkind: Tenant\nmetadata: {{name: {name}}}\n{body}"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tenants.d").mkdir()
    return SpecFolder(tmp_path / "tenants.d")


def write(folder, **files):
    for name, text in files.items():
        (folder.folder / f"{name}.yaml").write_text(text)


def test_a_document_is_found_in_whatever_file_it_lives(folder):
    write(folder, fleet=document("acme") + "---\n" + document("beta"), other=document("gamma"))

    found = folder.get("beta")
    assert (found.path.name, found.index, found.text.decode()) == (
        "fleet.yaml",
        1,
        document("beta"),
    )
    assert folder.names() == ("acme", "beta", "gamma")
    assert folder.find("acm") is None


def test_a_name_spelled_in_escapes_is_found(folder):
    write(folder, odd=document('"\\x61cme"'))
    assert folder.get("acme").path.name == "odd.yaml"


def test_many_names_are_found_as_a_few_are(folder):
    names = [f"t{number}" for number in range(30)]
    write(folder, fleet="---\n".join(map(document, names)), broken="name: lost\n: [")

    one_by_one = {name: SpecFolder(folder.folder).get(name).index for name in names}
    assert {name: folder.get(name).index for name in names} == one_by_one
    assert folder.find("nobody") is None
    assert folder.get("lost").tree is None


def test_two_documents_of_one_name_need_an_incumbent(folder):
    write(folder, a=document("acme"), b=document("acme"))
    with pytest.raises(EditConflictError, match=r"a\.yaml and .*b\.yaml"):
        folder.get("acme")
    assert folder.get("acme", prefer=str(folder.folder / "b.yaml")).path.name == "b.yaml"


def test_a_missing_tenant_comes_with_those_that_are_there(folder):
    write(folder, a=document("acme"))
    with pytest.raises(NoSuchDocumentError) as refused:
        folder.get("acne")
    assert refused.value.known == ("acme",)


def test_a_broken_document_is_still_found_so_that_it_can_be_mended(folder):
    write(folder, fleet=document("acme") + "---\n" + document("beta", "spec: [\n"))
    assert folder.get("beta").index == 1
    assert folder.find("bet") is None


def test_droppings_pipes_and_huge_files_hide_nobody(folder):
    write(folder, good=document("acme"))
    (folder.folder / ".acme.yaml.swp").write_text(document("acme"))
    (folder.folder / "acme.yaml~").write_text(document("acme"))
    os.mkfifo(folder.folder / "pipe.yaml")
    (folder.folder / "huge.yaml").write_text("# acme\n" * 200_000)
    assert folder.get("acme").path.name == "good.yaml"


def test_replacing_keeps_mode_and_link(folder, tmp_path):
    target = tmp_path / "elsewhere.yaml"
    target.write_text("old")
    target.chmod(0o604)
    link = folder.folder / "acme.yaml"
    link.symlink_to(target)

    folder.replace(link, b"old", b"new")

    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o604
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere.yaml", "tenants.d"]


def test_a_new_file_is_closed_to_strangers(folder):
    folder.replace(folder.folder / "new.yaml", None, b"text")
    assert stat.S_IMODE((folder.folder / "new.yaml").stat().st_mode) == 0o640


def test_a_file_that_changed_is_not_replaced(folder):
    write(folder, acme="newer")
    with pytest.raises(EditConflictError, match="changed in the meantime"):
        folder.replace(folder.folder / "acme.yaml", b"older", b"mine")
    assert (folder.folder / "acme.yaml").read_text() == "newer"


def test_only_one_edit_at_a_time(folder):
    waits = []
    other = SpecFolder(folder.folder)
    with (
        folder.locked(waits.append),
        pytest.raises(EditConflictError, match="another edit"),
        other.locked(waits.append),
    ):
        pass
    assert len(waits) == 100
    with folder.locked(waits.append):
        pass
    assert list(folder.folder.iterdir()) == []


def test_an_edit_goes_on_as_soon_as_the_other_is_done(folder):
    held = os.open(folder.folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with folder.locked(lambda _: fcntl.flock(held, fcntl.LOCK_UN)):
        pass
    os.close(held)


def test_a_missing_folder_says_how_to_make_it():
    with pytest.raises(SpecEditError, match="no such file") as refused:
        SpecFolder(Path("/nowhere/tenants.d")).files()
    assert "install -d" in refused.value.hint
