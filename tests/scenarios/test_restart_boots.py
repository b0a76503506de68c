"""The host boots in the midst of a plain restart: one server is left, with what was promised.

A server that saves snapshots keeps what it saved last, and one with a log all but the last moment;
whoever shuts down orderly loses nothing of theirs. What is in memory only is gone or all there.
"""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scenarios.boots import Diary, go_down
from tests.scenarios.faults import ALL, die_behind, start
from tests.scenarios.host import REDIS_8
from tests.scenarios.tenant import ROLE
from tests.scenarios.waiting import eventually

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.timeout(7200),
]

MODES = ("none", "rdb", "aof")
EDITS = {
    "another port": lambda slot: {"access": {"ports": {"tls": slot.free_port(0)}}},
    "another image": lambda slot: {"engine": {"image": REDIS_8}},
}
# How the host goes down, what is edited, and behind which effects the daemon dies.
if ALL:
    BOOTS = [(how, kind, itertools.count(1)) for how in ("orderly", "abruptly") for kind in EDITS]
else:
    BOOTS = [("orderly", "another port", (9, 15)), ("abruptly", "another image", (11, 18))]


class Side:
    """A host with one tenant; hosts that share an engine go through its boots side by side."""

    def __init__(self, host, mode):
        self.host = host
        self.mode = mode
        self.tenant = host.tenant(mode)
        self.diary = Diary(self.tenant)

    def prepare(self):
        start(self.host)
        tenant = self.tenant.write({"persistence": {"mode": self.mode}}).settle(timeout=60)
        tenant.put(kept="yes", deleted="not yet")
        with tenant.client() as client:
            client.delete("deleted")
        if self.mode == "rdb":
            with tenant.admin() as admin:
                admin.save()
        self.diary.begin()

    def edit(self, number, kind):
        changes = EDITS[kind](self.host.slot)
        return die_behind(self.tenant, number, changes)

    def wait_for_the_disk(self):
        """Let what was written around the death of the daemon become what must be kept."""
        written = self.diary.acknowledged(1)
        eventually(lambda: self.diary.acknowledged(1, before=time.monotonic()) >= written)

    def recover(self):
        start(self.host)
        self.tenant.settle(timeout=90)

    def check(self, kind, lost_power):
        """Compare what is there with what was promised; *lost_power* tells when, if it was."""
        tenant, diary = self.tenant, self.diary
        held = diary.held(1)
        promised = diary.acknowledged(1, before=lost_power)
        if self.mode == "rdb" and lost_power:
            assert self.saved <= max(held, default=0)
        elif self.mode != "none" or held:
            assert promised <= held, sorted(promised - held)
        is_kept = "yes" if held or self.mode != "none" else None
        assert tenant.get("kept") == is_kept
        assert tenant.get("deleted") is None
        # Nothing that came behind the boot is gone.
        assert diary.acknowledged(2) <= diary.held(2)

        (container,) = tenant.containers()
        assert container.labels[ROLE] == "server"
        for folder in ("conf", "run", "data"):
            found = [each.name for each in (tenant.folder / folder).iterdir()]
            assert found == [str(tenant.record()["memory"]["instance"])]
        assert tenant.record()["memory"]["replacement"] is None
        if kind == "another port":
            assert tenant.port() == self.host.slot.free_port(0)
        with tenant.client() as client:
            version = client.info("server")["redis_version"]
        assert version.startswith("8." if kind == "another image" else "7.")

    def end(self):
        self.diary.end()
        self.host.close()


@pytest.mark.parametrize(
    ("how", "kind", "numbers"), BOOTS, ids=[f"{how}, {kind}" for how, kind, _ in BOOTS]
)
def test_a_boot_in_the_midst_of_a_restart_leaves_one_server_with_what_was_promised(
    booting_engine, make_host, how, kind, numbers
):
    for number in numbers:
        sides = [Side(make_host(socket=booting_engine.socket), mode) for mode in MODES]
        try:
            each(sides, Side.prepare)
            died = each(sides, Side.edit, number, kind)
            lost_power = None
            if how == "abruptly":
                each(sides, Side.wait_for_the_disk)
                lost_power = time.monotonic()
            go_down(booting_engine, abruptly=how == "abruptly")
            for side in sides:
                side.saved = side.diary.saved()
                side.diary.begin_volume()
            booting_engine.start()
            each(sides, Side.recover)
            each(sides, Side.check, kind, lost_power)
        except AssertionError as error:
            words = [side.host.artefacts() for side in sides]
            error.add_note("\n".join([f"behind effect {number}", *words]))
            raise
        finally:
            each(sides, Side.end)
        if not any(died):
            break


def each(sides, step, *words):
    """Take a step with all of them at the same time."""
    with ThreadPoolExecutor(len(sides)) as pool:
        return list(pool.map(lambda side: step(side, *words), sides))
