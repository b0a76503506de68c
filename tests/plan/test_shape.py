from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachepilot.observe.memory import Reservation
from cachepilot.observe.snapshot import ContainerShape, Engine, Published
from cachepilot.plan.drift import SHAPE_CHECKS, shape_drift
from cachepilot.plan.shape import (
    digest_of,
    engine_of,
    stop_timeout,
    wanted_listeners,
    wanted_resources,
    wanted_workload,
)
from cachepilot.spec.document import AccessMode
from cachepilot.spec.upgrade import UpgradeStrategy
from tests.builders import tenant

HELD = Reservation(tls_port=7301, plain_port=7601, uid=101, bridge=3)
SHAPE = wanted_workload(tenant(), HELD, instance=1).shape
OTHERS = {
    "image": "redis:9",
    "published": (Published(container_port=1, address="127.0.0.1", host_port=2),),
    "command": ("sh",),
    "user": "0:0",
    "bridge": "cachepilot-9",
    "mounts": (),
    "security": ("privileged",),
    "pids": 1,
    "files": 1,
}

shapes = st.builds(
    lambda changes: replace(SHAPE, **{name: OTHERS[name] for name in changes}),
    st.sets(st.sampled_from(sorted(OTHERS))),
)


def test_a_server_that_moves_keeps_its_ports_and_only_says_that_it_moves():
    boxed = wanted_workload(tenant(strategy=UpgradeStrategy.HANDOVER), HELD, instance=1).shape

    assert shape_drift(boxed, SHAPE) == "it moves into a sandbox"
    assert shape_drift(SHAPE, boxed) == "it leaves its sandbox"
    assert shape_drift(boxed, replace(SHAPE, image="redis:9")) == "image changed"


def test_every_part_of_a_shape_is_varied_below():
    assert {field.name for field in dataclasses.fields(ContainerShape)} == set(OTHERS)


@given(shapes, shapes)
def test_the_digest_changes_exactly_when_the_shape_does(one, other):
    assert (digest_of(one) == digest_of(other)) is (one == other)


@given(shapes, shapes)
def test_shapes_have_drifted_exactly_when_they_differ(one, other):
    assert (shape_drift(one, other) is None) is (one == other)


@pytest.mark.parametrize(("name", "value"), OTHERS.items())
def test_each_part_has_a_cause_of_its_own(name, value):
    cause = shape_drift(SHAPE, replace(SHAPE, **{name: value}))

    assert cause is not None
    assert [
        text for text, differs in SHAPE_CHECKS if differs(SHAPE, replace(SHAPE, **{name: value}))
    ] == [cause]


def test_the_first_cause_of_the_table_counts():
    found = shape_drift(SHAPE, replace(SHAPE, image="redis:9", user="0:0", pids=1))

    assert found == "image changed"


def test_a_digest_carries_its_version_and_stays_what_it_was():
    """Whoever changes how it is made raises its version; nobody is replaced for either."""
    shape = ContainerShape(
        image="redis:8.0",
        command=("redis-server",),
        user="1:1",
        published=(),
        bridge="b",
        mounts=(),
        security=(),
        pids=1,
        files=2,
    )

    assert digest_of(shape) == "v1-3f5f5ede9f386ede464c"


@pytest.mark.parametrize(
    ("image", "engine"),
    [
        ("redis:8.0", Engine.REDIS),
        ("valkey/valkey:8.1", Engine.VALKEY),
        ("registry.example.net/Valkey-bundle@sha256:" + "0" * 64, Engine.VALKEY),
    ],
)
def test_an_image_tells_which_program_to_run(image, engine):
    assert engine_of(image) is engine
    assert wanted_workload(tenant(image=image), HELD, instance=1).shape.command[0] == (
        f"{engine}-server"
    )


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        (AccessMode.TLS_ONLY, {(6380, 7301)}),
        (AccessMode.PLAIN_ONLY, {(6379, 7601)}),
        (AccessMode.DUAL_MODE, {(6380, 7301), (6379, 7601)}),
    ],
)
def test_each_open_port_is_published_on_each_address(access, expected):
    spec = tenant(access=access, bind=("127.0.0.2", "127.0.0.1"))

    found = wanted_listeners(spec, HELD)

    assert found == tuple(sorted(found))
    assert {(at.address, at.container_port, at.host_port) for at in found} == {
        (address, *ports) for address in spec.bind for ports in expected
    }


def test_nothing_is_published_without_a_reservation_for_it():
    held = replace(HELD, tls_port=None, plain_port=None)

    assert wanted_listeners(tenant(access=AccessMode.DUAL_MODE), held) == ()


@pytest.mark.parametrize(
    ("cpus", "quota"), [(None, -1), (0.5, 50_000), (0.05, 5_000), (2, 200_000)]
)
def test_processor_time_is_a_quota_and_swap_is_never_on_top(cpus, quota):
    found = wanted_resources(tenant(cpus=cpus))

    assert found.cpu_quota == quota
    assert found.swap == found.memory == tenant().memory_limit


def test_every_folder_is_that_of_the_instance_and_only_two_can_be_written():
    shape = wanted_workload(tenant(), HELD, instance=7).shape

    assert shape.mounts == (
        ("/data", "data/7", False),
        ("/etc/cachepilot", "conf/7", True),
        ("/run/redis", "run/7", False),
        ("/tls", "tls", True),
    )
    assert shape.mounts == tuple(sorted(shape.mounts))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (0, timedelta(seconds=10)),
        (64 * 2**20, timedelta(seconds=16)),
        (2**30, timedelta(seconds=112)),
        (2**40, timedelta(minutes=30)),
    ],
)
def test_a_server_has_a_second_for_ten_mebibytes_and_half_an_hour_at_most(data, expected):
    assert stop_timeout(data) == expected


def test_a_container_is_given_the_time_for_all_the_data_that_it_may_hold():
    spec = tenant(memory_max=2**30, memory_limit=2**31)

    assert wanted_workload(spec, HELD, instance=1).stop_timeout == timedelta(seconds=112)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_more_data_never_has_less_time_to_be_saved(one, other):
    small, large = sorted((one, other))

    assert timedelta(seconds=10) <= stop_timeout(small) <= stop_timeout(large)
