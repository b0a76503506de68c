"""Hosts for scenarios: the real daemon, the real engine, real servers."""

import os

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, Host
from tests.scenarios.private_engine import PrivateEngine

SHARED_ENGINE = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/scenarios" in str(item.path):
            item.add_marker(pytest.mark.docker)
            if os.geteuid() != 0:
                item.add_marker(
                    pytest.mark.skip(reason="servers get user ids of their own: needs root")
                )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for host in {value for value in item.funcargs.values() if isinstance(value, Host)}:
            report.sections.append((f"host {host.root}", host.artefacts()))
    return report


@pytest.fixture(scope="session")
def make_host(tmp_path_factory):
    """Return a maker of hosts; it is theirs to close them."""

    def make(settings=None, *, socket=SHARED_ENGINE):
        return Host(tmp_path_factory.mktemp("h"), socket, settings)

    return make


@pytest.fixture(scope="session")
def shared_host(make_host):
    """A host whose daemon runs for the whole session."""
    host = make_host()
    try:
        yield host.start()
    finally:
        host.close()


@pytest.fixture
def fleet(shared_host):
    """The shared host; the tenants that a scenario makes there end with it."""
    before, files = len(shared_host.tenants), set(shared_host.tenants_d.iterdir())
    yield shared_host
    for file in set(shared_host.tenants_d.iterdir()) - files:
        file.unlink()
    for tenant in shared_host.tenants[before:]:
        tenant.write({"state": "deleted"})


@pytest.fixture
def host(make_host):
    """A host of the scenario's own; its daemon is not started yet."""
    host = make_host()
    try:
        yield host
    finally:
        host.close()


@pytest.fixture(scope="module")
def booting_engine(tmp_path_factory):
    """An engine that runs and has images, and may be stopped and started again."""
    engine = PrivateEngine(tmp_path_factory.mktemp("e"))
    try:
        engine.start()
        for image in (REDIS_7, REDIS_8):
            engine.copy_image(image, SHARED_ENGINE)
        yield engine
    finally:
        engine.remove()


def pytest_terminal_summary(terminalreporter):
    """Print what scenarios measured; nothing is judged by it."""
    for report in terminalreporter.stats.get("passed", ()):
        for what, figure in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {what} {figure}")
