"""What Docker says of a container, in our words."""

import pytest

from cachepilot.adapters.docker_inspect import is_ours, liveness_of, seen_container
from cachepilot.adapters.labels import ROLE, ROOT, TENANT
from cachepilot.observe.snapshot import Liveness
from cachepilot.spec.document import TenantName

ACME = TenantName("acme")
LABELS = {TENANT: "acme", ROLE: "server", ROOT: "/"}


def inspected(*, labels=LABELS, **host):
    return {
        "Id": "c1",
        "Name": "/cachepilot-acme",
        "Image": "sha256:1",
        "Config": {"Image": "redis:8.0", "Labels": labels},
        "State": {"Status": "running", "Running": True, "Pid": 7},
        "HostConfig": host,
    }


@pytest.mark.parametrize(
    ("quota", "period", "share"),
    [
        (50_000, 100_000, 50_000),
        (50_000, 0, 50_000),
        (50_000, 50_000, 100_000),
        (50_000, 200_000, 25_000),
        (25_000, 50_000, 50_000),
        (-1, 50_000, -1),
        (0, 100_000, -1),
    ],
)
def test_processor_time_is_a_share_whatever_the_period(quota, period, share):
    seen = seen_container(inspected(CpuQuota=quota, CpuPeriod=period), root="/", folder="/nowhere")

    assert seen.resources.cpu_quota == share


@pytest.mark.parametrize(
    ("change", "ours"),
    [({}, True), ({ROLE: "guest"}, False), ({TENANT: "other"}, False), ({ROOT: "/else"}, False)],
)
def test_ours_is_what_carries_our_labels_with_a_role_that_we_know(change, ours):
    assert is_ours(inspected(labels=LABELS | change), ACME, root="/") is ours


def test_a_container_without_labels_is_not_ours():
    assert not is_ours(inspected(labels=None), ACME, root="/")


def test_a_container_that_can_never_start_counts_as_dead():
    """A killed engine may come back with half a start, which blocks every other one."""
    state = {"Status": "created", "Running": False, "Error": ""}

    assert liveness_of(state) is Liveness.CREATED
    assert liveness_of(state | {"Error": "task d355: already exists"}) is Liveness.DEAD
    assert liveness_of(state | {"Error": "id already in use"}) is Liveness.DEAD
    assert liveness_of(state | {"Error": "Bind for 127.0.0.1:1: in use"}) is Liveness.CREATED
