"""Links lead somewhere, commands exist, examples are valid, and the words are ours."""

import re
import shlex
from pathlib import Path

import click
import pytest

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.cli.main import main
from cachepilot.settings import Settings
from cachepilot.spec.parse import Parsed, parse, validate
from cachepilot.spec.rules import Rules

PAGES = sorted(
    {
        Path("README.md"),
        Path("CHANGELOG.md"),
        Path("tenants.d/README.md"),
        *Path("docs").rglob("*.md"),
    }
)
# Written by hand elsewhere, from measurements.
LATER = {Path("docs/benchmarks.md")}
GENERATED = {Path("docs/reference/cli.md")}

_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(page, *languages):
    return [text for language, text in _BLOCK.findall(page.read_text()) if language in languages]


def without_blocks(page):
    return _BLOCK.sub("", page.read_text())


def anchors(page):
    """Return what links may point at, as they are made from headings everywhere."""
    titles = _HEADING.findall(without_blocks(page))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for target in _LINK.findall(without_blocks(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve().relative_to(Path.cwd()) if name else page
        if path in LATER:
            continue
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_every_page_can_be_reached_from_the_readme():
    reached, todo = set(), [Path("README.md")]
    while todo:
        page = todo.pop()
        reached.add(page)
        for target in _LINK.findall(page.read_text()):
            path = (page.parent / target.partition("#")[0]).resolve()
            path = path / "README.md" if path.is_dir() else path
            if path.suffix == ".md" and path.exists():
                found = path.relative_to(Path.cwd())
                todo += [found] if found not in reached else []

    assert set(PAGES) - LATER <= reached | {Path("docs/benchmarks.md")}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_exist_with_their_options(page):
    for text in blocks(page, "bash", "console", "yaml"):
        for line in text.replace("\\\n", " ").splitlines():
            for command in re.findall(r"\bcachepilotctl ([a-z-][^|>#\n]*)", line):
                check_command(command.replace("&&", ";").split(";")[0])


def check_command(text):
    try:
        words = shlex.split(text.rstrip(")'\" "))
    except ValueError:
        words = text.split()
    words = words[2:] if words[0] == "--root" else words
    context = click.Context(main, info_name="cachepilotctl")
    verb = main.get_command(context, words[0])
    assert verb, text
    if isinstance(verb, click.Group):
        verb = verb.get_command(context, words[1])
    known = {
        name
        for each in (*verb.params, *main.params)
        for name in (*each.opts, *each.secondary_opts)
    }
    for word in words[1:]:
        option = word.partition("=")[0]
        if option.startswith("-") and len(option) > 1 and "{" not in option:
            assert option in known, text


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_documents_on_a_page_are_valid(page):
    for text in blocks(page, "yaml"):
        if "kind: Tenant" in text:
            (tree,) = read_documents(text.encode(), str(page)).trees
            assert isinstance(parse(tree, Rules()), Parsed), text
        elif "kind: Settings" in text:
            (tree,) = read_documents(text.encode(), str(page)).trees
            settings, faults = validate(tree, Settings)
            assert settings is not None, faults
            assert not faults


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_headings_are_in_sentence_case(page):
    names = {
        "Ansible",
        "Debian",
        "Docker",
        "Prometheus",
        "Keep",
        "Changelog",
        "ACL",
        "TLS",
        "Engine",
        "Python",
    }
    for title in _HEADING.findall(without_blocks(page)):
        # A heading may begin with a number, and names of conditions and programs stay as they are.
        for word in re.sub(r"^[\d.]+ ", "", title).split()[1:]:
            plain = word.strip("`,.…")
            assert plain[:1].islower() or not plain.isalpha() or plain in names, title


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_nothing_is_called_simple(page):
    """Whoever is stuck at this very point does not want to read it."""
    text = without_blocks(page).lower()

    for word in ("simply", "just", "easy", "easily", "obviously", "of course"):
        assert not re.search(rf"\b{word}\b", text), word


@pytest.mark.parametrize("page", sorted(set(PAGES) - GENERATED), ids=str)
def test_a_line_holds_one_sentence_at_most(page):
    for line in without_blocks(page).splitlines():
        if line.startswith("|") or "`" in line:
            continue
        assert not re.search(r"[a-z)]\. [A-Z][a-z]+ [a-z]", line), line
