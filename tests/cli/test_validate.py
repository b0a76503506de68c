import pytest

from tests.cli.hosts import document

PINNED = "spec: {access: {mode: dual-mode, ports: {tls: 7301, plain: 7601}}}\n"


@pytest.fixture
def work(tmp_path, host):
    def write(**files):
        for name, text in files.items():
            (tmp_path / f"work/{name}.yaml").write_text(text)
        return tmp_path / "work"

    return write


def test_valid_files_are_named_with_their_tenants(host, work):
    folder = work(a=document("acme") + "---\n" + document("beta"))
    ended = host.run("validate", folder)
    assert (ended.code, ended.out) == (0, f"{folder}/a.yaml: valid (acme, beta)\n")


def test_the_file_s_name_does_not_matter(host, work):
    folder = work(**{"ansible-tmp-1234": document("acme")})
    assert host.run("validate", folder / "ansible-tmp-1234.yaml").code == 0


def test_every_problem_of_every_file_is_told_at_once(host, work):
    folder = work(
        a=document("acme", "spec: {cpu: 1, memory: {max: 1}}\n"),
        b=document("beta"),
        c="a: [\n",
        d="",
    )
    ended = host.run("validate", folder)
    assert ended.code == 3
    lines = ended.out.splitlines()
    assert [line.removeprefix(f"{folder}/").split(" ")[0] for line in lines] == [
        "a.yaml:5:8:",
        "a.yaml:5:30:",
        "b.yaml:",
        "c.yaml:2:1:",
        "d.yaml:",
    ]
    assert ended.err == "3 of 4 files invalid\n"


def test_needs_neither_daemon_nor_folders(host, work, tmp_path):
    folder = work(a=document())
    ended = host.run("--root", tmp_path / "nowhere", "validate", folder / "a.yaml")
    assert (ended.code, ended.err) == (0, "")


def test_the_host_s_limits_count(host, work):
    folder = work(a=document(body="spec: {memory: {max: 2GiB}}\n"))
    assert host.run("validate", folder).code == 0
    host.paths.settings_file.write_text("limits: {memory: 1GiB}\n")
    assert host.run("validate", folder).code == 3


def test_two_files_that_clash_are_told(host, work):
    folder = work(a=document("acme", PINNED), b=document("acme"), c=document("gamma", PINNED))
    out = host.run("validate", folder).out
    assert f'b.yaml:4:9: metadata.name: the name "acme" is taken by {folder}/a.yaml:4' in out
    assert (
        f"c.yaml:5:{PINNED.index('7301') + 1}: spec.access.ports.tls: port 7301 is taken by" in out
    )
    assert "port 7601 is taken" in out


def test_clashes_with_a_folder_are_told(host, work):
    folder = work(a=document("acme", PINNED), b=document("beta", PINNED))
    host.write("acme.yaml", document("acme", "spec: {cpus: 1}\n"))
    host.write("other.yaml", document("other", PINNED))
    against = ["--against", host.paths.tenants_d]
    assert host.run("validate", folder / "b.yaml").code == 0
    assert "port 7301 is taken by" in host.run("validate", folder / "b.yaml", *against).out


def test_a_new_version_of_a_document_does_not_clash_with_the_old_one(host, work):
    folder = work(a=document("acme", PINNED))
    host.write("acme.yaml", document("acme", PINNED))
    against = ["--against", host.paths.tenants_d]
    assert host.run("validate", folder / "a.yaml", *against).code == 0
    assert host.run("validate", host.paths.tenants_d / "acme.yaml", *against).code == 0


def test_programs_get_every_part_of_a_problem(host, work):
    folder = work(a=document("acme", "spec: {cpu: 1}\n"))
    (item,) = host.run("validate", folder, "-o", "json").items
    assert not item["valid"]
    assert item["problems"] == [
        {
            "file": f"{folder}/a.yaml",
            "line": 5,
            "column": 8,
            "where": "spec.cpu",
            "message": 'unknown key "cpu"',
            "hint": 'did you mean "cpus"?',
        }
    ]


def test_dangerous_input_is_survived(host, work):
    folder = work(bomb="a: &a [x]\nb: [*a, *a]\n", deep="[" * 60_000, nul="a: \0\n")
    ended = host.run("validate", folder)
    assert (ended.code, len(ended.out.splitlines()) >= 3) == (3, True)


def test_settings_are_checked(host, tmp_path):
    assert host.run("config", "check").code == 0
    host.paths.settings_file.write_text("limits: {memory: 1}\ndaemon: {worker: 2}\n")
    ended = host.run("config", "check")
    assert ended.code == 3
    assert "cachepilot.yaml:1:18" in ended.out
    assert 'did you mean "workers"?' in ended.out
    assert not host.run("config", "check", "-o", "json").items[0]["valid"]
    other = tmp_path / "work/other.yaml"
    other.write_text("removalGrace: 1h\n")
    assert host.run("config", "check", other).code == 0
    assert host.run("config", "check", tmp_path / "nowhere.yaml").code == 4
