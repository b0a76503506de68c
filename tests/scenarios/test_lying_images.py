"""Images that are not what their name or their program says; the server before serves on."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.scenarios.faults import ALL
from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.load import Load
from tests.scenarios.waiting import throughout

pytestmark = [
    # redis-py forgets the socket of a handshake that a stopping server cuts off.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.timeout(600),
]

HONEST = '[ "$1" = --version ] && exec /usr/bin/redis-server --version\n'
ELSEWHERE = "exec /usr/bin/redis-server --port 0 --unixsocket /dev/shm/elsewhere.sock\n"
BOASTS = '[ "$1" = --version ] && echo "Redis server v=8.0.9 sha=0" && exit\n'
# What an image is made of and does as redis-server; which words are told of it.
BEFORE_ANYTHING_STOPS = {
    "another engine": (
        VALKEY_8,
        'exec valkey-server "$@"\n',
        "runs valkey 8.1",
    ),
    "never says its version": (REDIS_8, ELSEWHERE, "does not say its version"),
}
ON_TRIAL = {
    "ends at once": (
        REDIS_8,
        f"{HONEST}echo no licence was found >&2; exit 3\n",
        "no licence was found",
    ),
    "answers nothing": (REDIS_8, HONEST + ELSEWHERE, ""),
    "older than it says": (
        REDIS_7,
        f'{BOASTS}exec /usr/bin/redis-server "$@"\n',
        "RDB format version",
    ),
}
LIVE = {"memory": {"max": "24MiB"}}


@pytest.fixture
def lying_image(fleet):
    """Make an image called redis:8.0 of another one and of a script in place of its server."""
    made = []

    def make(base, script):
        repository = f"cachepilot-lab/lie{len(made)}-{fleet.slot.mark}/redis"
        container = fleet.engine.containers.create(base, entrypoint=["any"])
        try:
            # Images of the lab have no shell.
            shell = Path(os.path.realpath("/bin/sh")).read_bytes()
            files = {"lie/sh": shell, "lie/redis-server": f"#!/lie/sh\n{script}".encode()}
            container.put_archive("/", archive(files))
            made.append(container.commit(repository, "8.0", changes="ENV PATH=/lie:/usr/bin"))
        finally:
            container.remove(v=True)
        return f"{repository}:8.0"

    yield make
    for each in made:
        fleet.engine.images.remove(each.id, force=True)


def archive(files):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return whole.getvalue()


def replacements(tenant):
    """Return how often somebody was to take the server's place, or its image was looked into."""
    begun = ("BeginReplacement", "BeginHandOver", "ExamineImage", "CreateContainer")
    return [deed for deed in tenant.host.deeds(tenant) if deed.startswith(begun)]


@pytest.mark.parametrize(
    ("lie", "mode"), [*zip(BEFORE_ANYTHING_STOPS, ("none", "aof"), strict=True)]
)
def test_a_lie_that_can_be_told_at_once_stops_nobody(fleet, lying_image, lie, mode):
    base, script, words = BEFORE_ANYTHING_STOPS[lie]
    tenant = fleet.tenant(f"told{len(fleet.tenants)}")
    tenant.write({"engine": {"image": REDIS_7}, "persistence": {"mode": mode}}).settle()

    with fleet.unbroken(tenant), Load(tenant, None) as load:
        tenant.edit({"engine": {"image": lying_image(base, script)}})
        assert words in tenant.stalled("EngineMismatch", timeout=60)["message"]
        is_not_tried_again(tenant, live=LIVE)
        load.go_on()
        tenant.edit({"engine": {"image": REDIS_7}}).settle()
    assert load.errors == load.lost() == []
    tenant.edit({"engine": {"image": REDIS_8}}).settle()
    assert load.lost() == []


@pytest.mark.parametrize(
    ("lie", "mode", "manner"),
    [
        ("ends at once", "aof", "restart"),
        ("ends at once", "none", "handover"),
        # A minute of silence in each of them.
        ("answers nothing", "none", "restart"),
        *([("answers nothing", "rdb", "handover")] if ALL else []),
        ("older than it says", "rdb", "restart"),
    ],
)
def test_a_lie_that_comes_out_on_trial_is_taken_back_once(
    fleet, lying_image, lie, mode, manner, record_property
):
    base, script, words = ON_TRIAL[lie]
    tenant = fleet.tenant(f"tried{len(fleet.tenants)}")
    tenant.write(
        {
            "engine": {"image": REDIS_8},
            "persistence": {"mode": mode},
            "upgrade": {"strategy": manner},
        }
    ).settle()
    was = tenant.run_id()

    with Load(tenant, None, None) as load:
        tenant.edit({"engine": {"image": lying_image(base, script)}})
        is_handed_over = manner == "handover"
        reason = "HandOverFailed" if is_handed_over else "UpgradeFailed"
        message = tenant.stalled(reason, timeout=120)["message"]
        assert words in message
        assert "the server before serves" in message
        load.go_on()
        if is_handed_over:
            assert tenant.run_id() == was
            assert load.errors == []
        # A hand-over is tried again whenever its document changes.
        is_not_tried_again(tenant, live=None if is_handed_over else LIVE)
        with fleet.unbroken(tenant):
            tenant.edit({"engine": {"image": REDIS_8}}).settle()
    assert load.lost() == []
    record_property("longest blink", f"{load.longest_blink:.2f} s")

    tenant.edit({"restartedAt": "2026-03-01T12:00:00Z"}).settle()
    assert load.lost() == []
    with tenant.client() as client:
        assert client.info("server")["redis_version"].startswith("8.")


def is_not_tried_again(tenant, live=None):
    """Fail if what failed is begun again; *live* is a change that needs no other server."""
    tenant.settle("Stalled")
    tried, run_id = replacements(tenant), tenant.run_id()
    if live:
        tenant.edit(live).settle("Stalled")
        assert tenant.config("maxmemory") == str(24 * 2**20)
    # A resync and more.
    throughout(lambda: replacements(tenant) == tried, seconds=7)
    assert tenant.run_id() == run_id
