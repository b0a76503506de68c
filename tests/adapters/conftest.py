import os
from datetime import UTC, datetime

import pytest

from cachepilot.adapters.ledger import Ledger
from cachepilot.adapters.password_file import PasswordFiles
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.record_writer import RecordWriter
from cachepilot.adapters.records import Records

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNERS = os.geteuid() == 0


@pytest.fixture
def paths(tmp_path):
    return RootPaths(tmp_path)


@pytest.fixture
def records(paths):
    return Records(paths, owners=OWNERS)


@pytest.fixture
def ledger(paths, records):
    return Ledger(paths, records, owners=OWNERS)


@pytest.fixture
def writer(records, ledger):
    return RecordWriter(records, ledger, PasswordFiles(["/"]), utc_now=lambda: NOON)
