"""What a server holds is noted before it stops and compared behind it, on every real engine."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cachepilot.adapters.redis_sample import READER
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.replacement import Kept, Replacement
from cachepilot.observe.snapshot import Engine, Liveness, SeenServer
from cachepilot.plan.data_format import data_format_of
from cachepilot.plan.shape import engine_of
from tests.contract.bench import ENGINES
from tests.fakes.world import NOON

PAUSE = timedelta(minutes=1)


@pytest.fixture
def bench(hall):
    return hall[0]


@pytest.fixture
def image(hall):
    return hall[1]


@pytest.fixture
def made(bench, image):
    made = bench.serve(image=image)
    begin(bench, made)
    return made


def begin(bench, made):
    spec = made.spec
    kept = Kept(
        image=spec.image,
        image_id="",
        access=spec.access,
        bind=spec.bind,
        tls_port=None,
        plain_port=made.reservation.plain_port,
        memory=spec.memory_limit,
    )
    begun = Replacement(
        cause="a test", target="t", wish=None, former=1, instance=2, kept=kept, begun=NOON
    )
    bench.writers.memory.begin_replacement(made.name, begun)


def tell(bench, made, verb, **words):
    return getattr(bench.writers.server, verb)(made.name, instance=1, **words)


def note(bench, made, *, pause=PAUSE):
    tell(bench, made, "note_data", pause=pause)
    return bench.readers.memory.recall(made.name).replacement.note


def test_what_was_noted_is_found_again(bench, made):
    bench.write(made, 5)

    found = note(bench, made)
    tell(bench, made, "compare_data")

    assert sum(each.keys for each in found.databases)
    assert bench.readers.memory.recall(made.name).replacement.failure is None


def test_nobody_writes_behind_a_note(bench, made):
    bench.write(made, 5)
    note(bench, made)

    assert not bench.write(made, 6)
    tell(bench, made, "resume_writes")
    assert bench.write(made, 6)


def test_nobody_is_stopped_whose_clients_may_write_before_it_has_ended(bench, made):
    bench.write(made, 5)
    note(bench, made, pause=timedelta(seconds=2))
    seen = bench.seen(made)
    about = {"container_id": seen.container_id, "kills": False}

    with pytest.raises(WaitingError, match="before it has ended"):
        bench.writers.containers.stop(made.name, timeout=timedelta(seconds=5), **about)
    assert bench.seen(made).liveness is Liveness.RUNNING

    note(bench, made)
    bench.writers.containers.stop(made.name, timeout=timedelta(seconds=5), **about)
    assert bench.seen(made).liveness is Liveness.EXITED


def test_other_data_is_a_difference_that_is_remembered(bench, made):
    bench.write(made, 5)
    note(bench, made)
    tell(bench, made, "resume_writes")
    bench.write(made, 6)

    with pytest.raises(StalledError) as caught:
        tell(bench, made, "compare_data")

    assert caught.value.reason == "DataDiffers"
    assert bench.readers.memory.recall(made.name).replacement.failure[0] == "DataDiffers"


def test_the_reader_is_gone_behind_every_question(bench, made):
    bench.write(made, 5)
    note(bench, made)
    tell(bench, made, "compare_data")

    seen = bench.ask(made)
    assert isinstance(seen, SeenServer)
    assert READER not in {user.name for user in seen.users}


def test_an_image_says_which_server_it_holds(bench, image):
    made = bench.prepare(image=image)

    bench.writers.containers.examine_image(
        made.name, image=image, engine=engine_of(image), data_format=None
    )

    learned = bench.readers.memory.recall(made.name).learned
    assert learned.engine == engine_of(image)
    assert learned.version.startswith(image.split(":")[1])
    assert learned.image_id == bench.readers.containers.image_id(image)
    assert learned.problem == ""


def test_an_image_that_cannot_load_the_data_is_refused(bench, image):
    made = bench.prepare(image=image)

    with pytest.raises(StalledError) as caught:
        bench.writers.containers.examine_image(
            made.name, image=image, engine=engine_of(image), data_format=99
        )

    assert caught.value.reason == "DataTooNew"


def test_an_image_of_the_other_engine_is_refused(bench, image):
    made = bench.prepare(image=image)
    other = Engine.REDIS if engine_of(image) is Engine.VALKEY else Engine.VALKEY

    with pytest.raises(StalledError) as caught:
        bench.writers.containers.examine_image(
            made.name, image=image, engine=other, data_format=None
        )

    assert caught.value.reason == "EngineMismatch"


@pytest.mark.docker
@pytest.mark.parametrize("name", ENGINES)
def test_a_server_writes_the_format_that_is_known_of_it(real_bench, name):
    made = real_bench.serve(image=ENGINES[name])
    real_bench.write(made, 5)
    tell(real_bench, made, "save_in_background")

    memory = real_bench.readers.memory.recall(made.name)
    seen = real_bench.ask(made)
    files = real_bench.readers.files.look(made.name, memory, password_files=())

    assert files.data_format == data_format_of(seen.engine, seen.version)


@pytest.mark.docker
@pytest.mark.parametrize("name", ENGINES)
def test_a_sample_says_the_same_of_the_same_data_and_notices_one_changed_byte(real_bench, name):
    made = real_bench.serve(image=ENGINES[name])
    begin(real_bench, made)
    with real_bench.customer(made) as client:
        client.set(b"\xff\x00 name", b"\xfe")
        client.rpush("list", *range(30))
        client.sadd("set", *range(30))
        client.zadd("zset", {"a": 3.14, "b": 1e300, "c": -0.5})
        client.hset("hash", mapping={str(n): n for n in range(30)})
        client.xadd("stream", {"field": "value"})
        client.set("large", "x" * 100_000)
        client.set("soon", 1, px=1)
        client.set("later", 1, ex=1000)
    found = note(real_bench, made)
    assert {each.whole for each in found.sample} == {True, False}
    assert all(each.digest for each in found.sample)
    tell(real_bench, made, "compare_data")
    tell(real_bench, made, "resume_writes")

    with real_bench.customer(made) as client:
        client.hset("hash", "7", "eight")
    with pytest.raises(StalledError, match="1 are not the same"):
        tell(real_bench, made, "compare_data")
