"""The reference says what the code says."""

import re
from pathlib import Path

import pytest

from cachepilot.adapters import labels
from cachepilot.adapters.paths import RootPaths
from cachepilot.cli.reference import reference
from cachepilot.daemon.tenant_metrics import WORDS
from cachepilot.status.conditions import ConditionType
from tests.docs import reasons
from tests.docs.generate import PARTS, REFERENCE, filled_in

PAGES = sorted(REFERENCE.glob("*.md"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_is_up_to_date(path):
    """To mend it: python -m tests.docs.generate"""
    page = path.read_text()

    assert filled_in(page) == page


def test_the_page_of_commands_is_up_to_date():
    """To mend it: python -m cachepilot.cli.reference > docs/reference/cli.md"""
    assert (REFERENCE / "cli.md").read_text() == reference()


def test_every_generated_part_stands_on_a_page():
    pages = "".join(path.read_text() for path in PAGES)

    assert set(re.findall("<!-- generated: ([a-z-]+) -->", pages)) == set(PARTS)


def test_every_reason_to_stall_has_a_way_out_and_none_is_invented():
    assert reasons.stalled_reasons() == set(reasons.WAYS_OUT)


def test_every_condition_is_described():
    described = reasons.by_condition().keys() | {ConditionType.STALLED}

    assert described == set(ConditionType)
    assert set(reasons.MEANINGS) == described - {ConditionType.STALLED}


def test_every_word_of_a_status_is_explained():
    page = (REFERENCE / "conditions.md").read_text()
    table = page[page.index("| word |") : page.index("## Types")]

    assert set(re.findall("`([A-Z][A-Za-z]+)`", table.split("`Ready` is computed")[0])) >= set(
        WORDS
    )


def test_every_label_and_every_path_of_the_contract_is_listed():
    page = (REFERENCE / "files-and-labels.md").read_text()
    paths = RootPaths(Path("/"))
    listed = (
        paths.settings_file,
        paths.lock,
        paths.ledger,
        paths.public_ca,
        paths.host_status,
        paths.events,
    )

    texts = {text for name, text in vars(labels).items() if name.isupper()}
    assert len(texts) == 9
    for text in texts:
        assert f"`{text}`" in page
    for path in (*listed, paths.ca, paths.backups):
        assert str(path) in page
