"""Whatever an author may write for a directive is read back as what was meant, on every engine.

Servers clamp, reorder, rename and expand; a value that comes back in other words must not look
like drift, or it would be set again for ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Le

from cachepilot.plan.server_config import (
    LIVE_ONLY,
    differences,
    needs_restart,
    wanted_directives,
)
from cachepilot.spec.directives import EngineConfig
from cachepilot.spec.document import AccessMode, MemoryPolicy, PersistenceMode
from cachepilot.spec.resolve import resolve
from tests.builders import document, rules
from tests.contract.bench import eventually

# Where a range of numbers says too little.
ODD = {
    "notify-keyspace-events": [
        "",
        *(f"{kind}{of}" for kind in ("K", "E", "KE", "EK") for of in "g$lshzxetdmnA"),
        *("AKE", "g$lshzxetdKE", "dtexzhsl$gEK", "KEAmn", "nmAE", "KEgxe$", "xgK", "$gl$K"),
    ],
    "client-output-buffer-limit": [
        {"normal": {"hard": "1MiB"}},
        {"pubsub": {"hard": "1MiB", "soft": "512KiB", "seconds": 5}},
        {"pubsub": {"hard": 0, "soft": 0, "seconds": 0}},
        {"normal": {"soft": "3GiB", "seconds": 86_400}, "pubsub": {"hard": "5000MiB"}},
        {"pubsub": {"seconds": 7}},
    ],
}
FIELDS = {str(field.alias): field for field in EngineConfig.model_fields.values()}
SETTABLE = sorted(name for name in FIELDS if not needs_restart(name) and name not in LIVE_ONLY)


def values_of(name):
    """Return what to try: both ends of a range and its neighbours, or every word there is."""
    if name in ODD:
        return ODD[name]
    field = FIELDS[name]
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    if bool in kinds:
        return [True, False]
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if words:
        return words
    (low,) = (limit.ge for limit in field.metadata if isinstance(limit, Ge))
    (high,) = (limit.le for limit in field.metadata if isinstance(limit, Le))
    return sorted({low, low + 1, (low + high) // 2, high - 1, high})


@pytest.fixture
def bench(hall):
    return hall[0]


def configured(made, directives):
    """Return the wanted configuration of *made* with *directives* in its document."""
    image, mode = made.spec.image, made.spec.persistence
    engine, persistence = {"image": image, "config": directives}, {"mode": mode}
    asked = resolve(document("acme", engine=engine, persistence=persistence), rules())
    spec = replace(made.spec, config=asked.config)
    return wanted_directives(spec, certificate=0, persistence=mode)


def set_live(bench, made, wanted):
    """Set what differs, as a plan does; return the names of what did."""
    different = differences(wanted, bench.ask(made))
    if different:
        told = tuple((name, value) for name, value, _ in different)
        bench.writers.server.set_directives(made.name, instance=1, directives=told)
    return {name for name, _, _ in different}


def test_every_value_that_an_author_may_write_is_read_back_as_it_was_meant(bench, hall):
    made = bench.serve(image=hall[1], persistence=PersistenceMode.AOF)
    for name in SETTABLE:
        for value in values_of(name):
            wanted = configured(made, {name: value})

            told = set_live(bench, made, wanted)

            assert differences(wanted, bench.ask(made)) == (), (name, value)
            assert told <= {name}, value
        set_live(bench, made, configured(made, {}))


def test_what_is_not_settable_is_read_back_as_the_file_says(bench, hall):
    """Some builds cannot move values about, so that alone is left as it is."""
    restarting = sorted(name for name in FIELDS if needs_restart(name))
    for name in restarting:
        for value in (values_of(name)[0], values_of(name)[-1]):
            asked = document("acme", engine={"image": hall[1], "config": {name: value}})
            made = bench.serve(image=hall[1], config=resolve(asked, rules()).config)

            assert differences(configured(made, {name: value}), bench.ask(made)) == (), value
    assert set(FIELDS) == {*SETTABLE, *restarting, *LIVE_ONLY}


@pytest.mark.parametrize("policy", MemoryPolicy)
def test_every_policy_and_size_of_memory_is_read_back(bench, hall, policy):
    made = bench.serve(image=hall[1])
    for size in (3 * 2**20, 3 * 2**20 + 1, 100_000_000, 2**40):
        spec = replace(made.spec, memory_policy=policy, memory_max=size)
        wanted = wanted_directives(spec, certificate=0, persistence=spec.persistence)

        set_live(bench, made, wanted)

        assert differences(wanted, bench.ask(made)) == (), size


def test_every_directive_that_is_ours_is_read_back_where_everything_is_switched_on(bench, hall):
    """Both listeners, certificates, and each mode of persistence."""
    for mode in PersistenceMode:
        made = bench.serve(
            image=hall[1], access=AccessMode.DUAL_MODE, persistence=mode, certified=True
        )
        certificate = bench.readers.memory.recall(made.name).certificate
        wanted = wanted_directives(made.spec, certificate=certificate, persistence=mode)

        assert eventually(lambda: bench.ask(made).directive("dir"))  # noqa: B023 - asked at once
        assert differences(wanted, bench.ask(made)) == (), mode
