import os

import docker
import pytest

from tests.contract.bench import ENGINES, FakeBench, RealBench

DOCKER = pytest.param("docker", marks=pytest.mark.docker)


@pytest.fixture(scope="session")
def real_root(tmp_path_factory):
    socket_url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    client = docker.APIClient(base_url=socket_url, version="auto")
    # Servers run under their own user ids and must be able to enter every folder above theirs.
    root = tmp_path_factory.mktemp("contract") / "root"
    for folder in (root.parent, root.parent.parent, root.parent.parent.parent):
        folder.chmod(0o755)
    bench = RealBench(root, client, socket_url)
    yield bench
    bench.close()
    client.close()


@pytest.fixture
def real_bench(real_root):
    """A root folder on a real engine, without tenants."""
    yield real_root
    real_root.tidy()


@pytest.fixture(params=["memory", DOCKER])
def bench(request):
    """Either world, ready for tenants."""
    return FakeBench() if request.param == "memory" else request.getfixturevalue("real_bench")


@pytest.fixture(
    params=[
        "memory",
        *(pytest.param(name, marks=pytest.mark.docker) for name in ENGINES),
    ]
)
def hall(request):
    """Either world and an image: the one in memory, and each supported engine."""
    if request.param == "memory":
        return FakeBench(), ENGINES["redis8"]
    return request.getfixturevalue("real_bench"), ENGINES[request.param]
