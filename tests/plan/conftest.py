"""Printed plans are files; ``pytest tests/plan --update-golden`` writes them anew."""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write the printed plans of this run"
    )


@pytest.fixture
def golden(request):
    """Compare a text with golden/NAME.txt."""

    def compare(name, text):
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{path} says otherwise"

    return compare
