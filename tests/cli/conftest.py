from pathlib import Path

import pytest

from cachepilot.adapters.paths import RootPaths
from tests.cli.hosts import Host


@pytest.fixture
def host(tmp_path):
    paths = RootPaths(tmp_path)
    for folder in (paths.tenants_d, paths.status, paths.log, Path(tmp_path, "work")):
        folder.mkdir(parents=True)
    found = Host(paths)
    found.beat()
    return found
