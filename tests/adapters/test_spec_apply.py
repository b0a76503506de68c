import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachepilot.adapters.spec_apply import plan_changes, read_incoming
from cachepilot.adapters.spec_changes import check_hash, content_hash, write_changes
from cachepilot.adapters.spec_folder import SpecFolder
from cachepilot.adapters.spec_refusals import EditConflictError, InvalidSpecError
from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.spec.parse import find_name
from cachepilot.spec.rules import Rules


def document(name, body="spec: {}\n"):
    return f"apiVersion: cachepilot/v1\nkind: Tenant\nmetadata: {{name: {name}}}\n{body}"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tenants.d").mkdir()
    return SpecFolder(tmp_path / "tenants.d")


def apply(folder, *texts, prefer=lambda _: ""):
    sources = [(f"in{number}.yaml", text.encode()) for number, text in enumerate(texts)]
    fresh = SpecFolder(folder.folder)
    change_set = plan_changes(fresh, read_incoming(sources, Rules()), prefer=prefer)
    write_changes(fresh, change_set)
    return {change.name: change.result.value for change in change_set.changes}


def put(folder, **files):
    for name, text in files.items():
        (folder.folder / f"{name}.yaml").write_bytes(text.encode())


def files(folder):
    return {path.stem: path.read_bytes().decode() for path in folder.folder.iterdir()}


def test_a_new_tenant_gets_a_file_with_the_author_s_own_bytes(folder):
    text = "\ufeff# mine\r\n" + document("acme", "spec:   {}   # as is").replace("\n", "\r\n")

    assert apply(folder, text) == {"acme": "created"}
    assert files(folder) == {"acme": text}
    assert apply(folder, text) == {"acme": "unchanged"}


def test_a_file_of_several_documents_is_split_by_document(folder):
    text = "# fleet\n---\n" + document("acme") + "---\n# of beta\n" + document("beta")

    assert apply(folder, text) == {"acme": "created", "beta": "created"}
    assert files(folder) == {"acme": document("acme"), "beta": "# of beta\n" + document("beta")}


def test_each_document_lands_where_its_name_lives(folder):
    """Two documents at once, into two files that hold others besides."""
    put(
        folder,
        fleet="# fleet\n---\n" + document("a") + "---\n" + document("acme") + "# end\n",
        more=document("beta", "spec: {cpus: 1}\n") + "...\n---\n" + document("b"),
    )
    text = document("acme", "spec: {cpus: 2}") + "\n---\n" + document("beta", "spec: {cpus: 3}\n")

    assert apply(folder, text) == {"acme": "configured", "beta": "configured"}
    assert files(folder) == {
        "fleet": "# fleet\n---\n"
        + document("a")
        + "---\n"
        + document("acme", "spec: {cpus: 2}\n"),
        "more": document("beta", "spec: {cpus: 3}\n") + "...\n---\n" + document("b"),
    }
    assert apply(folder, text) == {"acme": "unchanged", "beta": "unchanged"}


def test_a_marker_and_comments_above_it_do_not_cut_a_larger_file(folder):
    put(folder, fleet=document("a") + "---\n" + document("acme"))
    text = "# note\n---\n" + document("acme", "spec: {cpus: 2}\n") + "...\n"

    assert apply(folder, text) == {"acme": "configured"}
    assert files(folder)["fleet"] == document("a") + "---\n# note\n" + document(
        "acme", "spec: {cpus: 2}\n"
    )
    assert apply(folder, text) == {"acme": "unchanged"}


def test_applying_the_folder_to_itself_changes_nothing(folder):
    put(folder, fleet="# x\n---\n" + document("a") + "---\n" + document("b"), c=document("c"))
    before = files(folder)

    assert set(apply(folder, *before.values()).values()) == {"unchanged"}
    assert files(folder) == before


def test_a_broken_document_is_replaced_by_its_mended_text(folder):
    put(folder, fleet=document("a") + "---\n" + document("acme", "spec: [\n"), x="{ name: beta ]")

    assert apply(folder, document("acme"), document("beta")) == {
        "acme": "configured",
        "beta": "configured",
    }
    assert files(folder) == {
        "fleet": document("a") + "---\n" + document("acme"),
        "x": document("beta"),
    }


def test_nothing_is_written_if_anything_is_invalid_and_everything_is_told(folder):
    put(folder, acme=document("acme"))
    before = files(folder)
    bad = document("beta", "spec: {cpu: 2}\n") + "---\n" + document("acme", "spec: {cpus: no}\n")

    with pytest.raises(InvalidSpecError) as refused:
        apply(folder, document("acme", "spec: {cpus: 2}\n"), bad, "", "a: [")

    told = [(each.file, each.line) for each in refused.value.problems]
    assert told == [("in1.yaml", 4), ("in1.yaml", 9), ("in2.yaml", 0), ("in3.yaml", 2)]
    assert files(folder) == before


def test_one_name_twice_in_the_input_is_refused(folder):
    with pytest.raises(InvalidSpecError) as refused:
        apply(folder, document("acme"), document("acme"))
    assert str(refused.value.problems[0]).startswith("in1.yaml:3:18: metadata.name: a second")


def test_a_file_that_holds_somebody_else_is_not_overwritten(folder):
    put(folder, acme=document("beta"))
    with pytest.raises(EditConflictError, match="holds something else"):
        apply(folder, document("acme"))


def test_an_empty_file_of_that_name_is_filled(folder):
    put(folder, acme="# to be written\n")
    assert apply(folder, document("acme")) == {"acme": "created"}


def test_the_incumbent_is_replaced_and_its_rival_left_alone(folder):
    put(folder, a=document("acme"), b=document("acme"))
    apply(
        folder,
        document("acme", "spec: {cpus: 2}\n"),
        prefer=lambda _: str(folder.folder / "b.yaml"),
    )
    assert files(folder)["a"] == document("acme")
    assert "cpus" in files(folder)["b"]


def test_a_hash_names_the_one_file_that_may_be_written(folder):
    def planned(text):
        incoming = read_incoming([("in.yaml", text.encode())], Rules())
        return plan_changes(folder, incoming, prefer=lambda _: "")

    new = planned(document("acme"))
    check_hash(new, folder, "none")
    write_changes(folder, new)
    again = planned(document("acme", "spec: {cpus: 2}\n"))
    check_hash(again, folder, content_hash(document("acme").encode()))
    for wrong in ("none", content_hash(b"else")):
        with pytest.raises(EditConflictError, match="--if-hash"):
            check_hash(again, folder, wrong)


_BODIES = st.sampled_from(["spec: {}\n", "spec:\n  cpus: 2 # two\n", "# c\nspec: {cpus: 1}"])


def _documents(names, min_size=0):
    pairs = st.tuples(st.sampled_from(names), _BODIES)
    return st.lists(pairs, unique_by=lambda pair: pair[0], min_size=min_size)


@given(
    _documents("abcdef"),
    _documents("abcdefg", min_size=1),
    st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_after_an_apply_everybody_has_the_new_document_and_the_others_their_old_one(
    tmp_path_factory, there, given_, line_break
):
    folder = SpecFolder(tmp_path_factory.mktemp("any"))
    old = {name: document(name, body).replace("\n", line_break) for name, body in there}
    new = {name: document(name, body) for name, body in given_}
    if old:
        put(folder, fleet=f"{line_break}---{line_break}".join(old.values()))

    apply(folder, "\n---\n".join(new.values()))

    found = {}
    for text in files(folder).values():
        for tree in read_documents(text.encode(), "x").trees:
            assert find_name(tree) not in found
            found[find_name(tree)] = tree.value["spec"]
    wanted = {**old, **new}
    assert found == {
        name: read_documents(text.encode(), "x").trees[0].value["spec"]
        for name, text in wanted.items()
    }
