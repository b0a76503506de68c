"""Links lead somewhere, commands exist, examples are valid, and the words are ours."""

import re
import shlex
from pathlib import Path

import click
import pytest

from cachepilot.adapters.yaml_reader import read_documents
from cachepilot.cli.failures import CommandError
from cachepilot.cli.main import main
from cachepilot.cli.names import listed_names, tenant_names
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
METRICS = Path("docs/reference/metrics.md")
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

    assert set(PAGES) <= reached


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_are_understood(page):
    for text in blocks(page, "bash", "console", "yaml"):
        for command in commands(text):
            parse_command(command)


def commands(text):
    """Yield what is behind each ``cachepilotctl`` of a block, up to where the shell goes on."""
    for line in text.replace("\\\n", " ").splitlines():
        yield from (
            command.replace("&&", ";").split(";")[0]
            for command in re.findall(r"\bcachepilotctl ([a-z-][^|>#\n]*)", line)
        )


def parse_command(text):
    """Let click read a command as it would be run, options, arguments and all; nothing is done."""
    try:
        words = shlex.split(text.rstrip(")'\" "))
    except ValueError:
        words = text.split()
    context = main.make_context("cachepilotctl", words)
    while isinstance(context.command, click.Group):
        words = [*context._protected_args, *context.args]
        if not words:
            raise click.UsageError(f"a verb is missing: {text}")
        name, verb, rest = context.command.resolve_command(context, words)
        try:
            context = verb.make_context(name, rest, parent=context)
        except click.BadParameter as error:
            if "does not exist" in error.message:
                return  # a folder of the reader's machine
            raise
    names = [word for word in context.params.get("words") or () if "=" not in word]
    if names and context.info_name == "get":
        listed_names(names)
    elif names:
        tenant_names(names, needs_noun=context.info_name == "describe")


@pytest.mark.parametrize(
    "text",
    [
        "gat tenants",
        "get tenants --wider",
        "diff shop.yaml",
        "restart",
        "config",
        "config chek",
        "completion csh",
        "explain",
        "wait shop",
        "events shop",
        "describe shop",
        "get tenant Shop_1",
        "--root ci validate",
    ],
)
def test_commands_that_nobody_could_run_are_not_understood(text):
    with pytest.raises((click.ClickException, click.exceptions.Exit, CommandError)):
        parse_command(text)


def test_metrics_on_any_page_exist():
    listed = set(re.findall(r"^\| `(cachepilot_\w+)`", METRICS.read_text(), re.MULTILINE))

    for page in PAGES:
        assert set(re.findall(r"\bcachepilot_\w+", page.read_text())) <= listed, page


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
