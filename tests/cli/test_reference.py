from pathlib import Path

import click

import cachepilot.cli
from cachepilot.cli.main import main
from cachepilot.cli.reference import reference
from cachepilot.cli.verbs import SECTIONS, VERBS

PAGE = Path(cachepilot.cli.__file__).parents[2] / "docs/reference/cli.md"


def test_the_page_is_what_the_verbs_say():
    assert PAGE.read_text() == reference(), "run: python -m cachepilot.cli.reference > " + str(
        PAGE
    )


def test_every_verb_exists_and_explains_itself():
    context = click.Context(main)
    for name, listed in VERBS.items():
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help
        assert listed.section in SECTIONS


def test_every_option_is_explained():
    context = click.Context(main)
    for name in VERBS:
        for param in main.get_command(context, name).params:
            assert not isinstance(param, click.Option) or param.help, (name, param)
