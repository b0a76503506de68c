"""What the how-to pages tell people to type: programs from a wheel, the rescue of a text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cachepilot import __version__
from cachepilot.adapters.ledger import Ledger
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.record_writer import RecordWriter
from cachepilot.adapters.records import Records
from cachepilot.spec.schema import tenant_schema
from tests.builders import text
from tests.fakes.world import NOON

CHECKOUT = Path(__file__).parents[2]
RECOVER = CHECKOUT / "docs/how-to/recover-from-a-broken-file.md"


def run(*command, cwd):
    ended = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder of the programs of a wheel in an environment of its own, without any network.

    What the wheel needs is borrowed from the environment of the tests; the checkout is not,
    because a path that stands in a .pth file brings no further .pth files along.
    """
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=CHECKOUT)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-index", "--no-deps", wheel, cwd=folder)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    where = run(python, "-c", "import cachepilot; print(cachepilot.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(packages)
    return folder / "venv/bin"


def test_an_installed_wheel_says_its_version(programs, tmp_path):
    assert __version__ in run(programs / "cachepilotctl", "version", cwd=tmp_path)
    assert (
        run(programs / "cachepilotd", "--version", cwd=tmp_path) == f"cachepilotd {__version__}\n"
    )


def test_an_installed_wheel_knows_its_schema_and_completion(programs, tmp_path):
    schema = run(programs / "cachepilotctl", "schema", cwd=tmp_path)

    assert json.loads(schema) == tenant_schema()
    assert "cachepilotctl" in run(programs / "cachepilotctl", "completion", "bash", cwd=tmp_path)


def test_an_installed_wheel_checks_the_settings(programs, tmp_path):
    told = run(programs / "cachepilotd", "--root", tmp_path, "--check-config", cwd=tmp_path)

    assert told.endswith("is valid (there is none: defaults hold)\n")


def test_the_last_good_document_is_found_as_the_page_says(programs, tmp_path):
    paths = RootPaths(tmp_path / "root")
    records = Records(paths, owners=False)
    writer = RecordWriter(
        records,
        Ledger(paths, records, owners=False),
        PasswordFiles([]),
        utc_now=lambda: NOON,
    )
    document = text("shop", memory={"max": "64MiB"})
    writer.remember_document(
        "shop", generation=1, digest="d", source="shop.yaml", document=document
    )
    (block,) = re.findall(r"```bash\n(python3 -c .*?)```", RECOVER.read_text(), re.DOTALL)
    # The environment has a python3 of its own.
    script = block.replace("/var/lib", f"{paths.root}/var/lib")

    told = run("bash", "-euc", f"PATH={programs}:$PATH\n{script}", cwd=tmp_path)

    assert json.loads((tmp_path / "shop.yaml").read_text()) == json.loads(document)
    assert "shop" in told
