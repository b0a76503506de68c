"""The steps of a rotation on disk: each survives a death at any write, and no root is lost."""

import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.adapters import atomic, root_folders
from cachepilot.adapters.authority import Authority
from cachepilot.adapters.root_succession import RootSuccession
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.snapshot import RotationPhase

OWNERS = os.geteuid() == 0
NOW = datetime.now(UTC).replace(microsecond=0)
WISH = "2026-03-01T00:00:00Z"
P = RotationPhase


class Dead(BaseException):
    """The program is gone."""


def authority_of(paths, **more):
    return Authority(paths, utc_now=lambda: NOW, owners=OWNERS, **more)


@pytest.fixture
def authority(paths):
    made = authority_of(paths)
    made.create()
    return made


@pytest.fixture
def succession(authority):
    return RootSuccession(authority)


def walk(succession, last):
    """Take every step up to *last*."""
    steps = {
        "begin": lambda: succession.begin(by_wish=True, now=NOW),
        "join": lambda: succession.join(now=NOW),
        "announce": lambda: succession.announce(now=NOW),
        "promote": lambda: succession.promote(served=WISH, now=NOW),
        "release": lambda: succession.release(now=NOW),
        "drop": lambda: succession.drop(now=NOW),
        "remove": succession.remove,
    }
    for name, step in steps.items():
        step()
        if name == last:
            return


def test_a_step_beside_somebody_who_looks_is_seen_at_the_next_look(
    authority, succession, monkeypatch
):
    """The daemon's report and every visit look while the rotation writes."""
    succession.begin(by_wish=True, now=NOW)
    read = authority.folders.rotation

    def read_and_be_overtaken():
        found = read()
        monkeypatch.undo()
        succession.join(now=NOW)
        return found

    monkeypatch.setattr(authority.folders, "rotation", read_and_be_overtaken)
    authority.look()

    assert authority.look().rotation.phase == P.JOINING
    succession.announce(now=NOW)


PHASES = {
    "begin": P.MAKING,
    "join": P.JOINING,
    "announce": P.ANNOUNCED,
    "promote": P.REISSUING,
    "release": P.LEAVING,
    "drop": P.REMOVING,
}


@pytest.mark.parametrize(("step", "phase"), PHASES.items())
def test_each_step_is_remembered_by_whoever_starts_next(paths, authority, succession, step, phase):
    walk(succession, step)

    for each in (authority, authority_of(paths)):
        seen = each.look()
        assert (seen.exists, seen.problem) == (True, "")
        assert (seen.rotation.phase, seen.rotation.since) == (phase, NOW)


def test_a_whole_rotation_ends_with_another_root_and_nothing_of_the_first(paths, succession):
    first = authority_of(paths).look()
    walk(succession, "remove")

    seen = authority_of(paths).look()
    assert seen.fingerprint != first.fingerprint
    assert (seen.rotation, seen.served_wish, len(seen.roots)) == (None, WISH, 1)
    assert sorted(path.name for path in paths.ca.iterdir()) == ["2", "rotation.json"]
    assert paths.public_ca.read_bytes() == (paths.ca / "2/cert.pem").read_bytes()
    # And once more.
    walk(succession, "remove")
    assert sorted(path.name for path in paths.ca.iterdir()) == ["3", "rotation.json"]


def test_both_roots_are_published_while_both_are_trusted(paths, authority, succession):
    old = (paths.ca / "cert.pem").read_bytes()
    walk(succession, "join")
    new = (paths.ca / "2/cert.pem").read_bytes()

    assert paths.public_ca.read_bytes() == authority.bundle_pem() == old + new
    assert authority.load().certificate_pem() == old
    succession.announce(now=NOW)
    succession.promote(served=None, now=NOW)
    assert authority.bundle_pem() == new + old
    assert authority.load().certificate_pem() == new


def test_a_rotation_that_is_called_off_leaves_the_first_root(paths, authority, succession):
    before = authority.look()
    walk(succession, "announce")

    succession.drop(now=NOW)
    succession.remove()

    assert authority_of(paths).look() == before
    assert paths.public_ca.read_bytes() == (paths.ca / "cert.pem").read_bytes()
    assert not (paths.ca / "2").exists()


def test_steps_out_of_turn_change_nothing(paths, authority, succession):
    for step in (
        lambda: succession.join(now=NOW),
        lambda: succession.announce(now=NOW),
        lambda: succession.promote(served=None, now=NOW),
        lambda: succession.release(now=NOW),
        lambda: succession.drop(now=NOW),
        succession.remove,
    ):
        with pytest.raises(WaitingError):
            step()
    walk(succession, "promote")
    with pytest.raises(WaitingError):
        succession.drop(now=NOW)
    succession.begin(by_wish=True, now=NOW)
    assert authority.look().rotation.phase is P.REISSUING


@pytest.mark.parametrize("step", [*PHASES, "remove"])
@pytest.mark.parametrize("full", [False, True])
def test_a_death_or_a_full_disk_at_any_write_of_any_step_is_survived(
    paths, authority, succession, monkeypatch, step, full
):
    """Whatever is written when it happens, the step can be repeated, and no root is lost."""
    names = list(PHASES)
    if step != "begin":
        walk(succession, ([*names, "remove"])[([*names, "remove"]).index(step) - 1])
    signer = authority.load().certificate_pem()
    kept = shutil.copytree(paths.state, paths.state.with_name("kept"))
    for left in range(12):
        shutil.rmtree(paths.state)
        shutil.copytree(kept, paths.state)
        with monkeypatch.context() as patched:
            cut(patched, left, full=full)
            try:
                take(RootSuccession(authority_of(paths)), step)
                is_done = True
            except (Dead, UnavailableError):
                is_done = False
        seen = authority_of(paths).look()
        assert (seen.exists, seen.problem) == (True, "")
        if not is_done:
            assert signer in (root.certificate_pem() for root in trusted(paths))
            if step == "remove" or is_pending(seen, step):
                take(RootSuccession(authority_of(paths)), step)
        after = authority_of(paths)
        after.mend()
        assert paths.public_ca.read_bytes() == after.bundle_pem()
        if is_done:
            assert left > 0
            return
    raise AssertionError("it never came to an end")


def is_pending(seen, step):
    before = dict(zip(PHASES, [None, *PHASES.values()], strict=False)) | {"remove": P.REMOVING}
    phase = seen.rotation.phase if seen.rotation else None
    return phase is before[step]


def take(succession, step):
    calls = {
        "begin": lambda: succession.begin(by_wish=True, now=NOW),
        "promote": lambda: succession.promote(served=WISH, now=NOW),
        "remove": succession.remove,
    }
    calls.get(step, lambda: getattr(succession, step)(now=NOW))()


def trusted(paths):
    authority = authority_of(paths)
    return [authority.load(), *(authority.folders.parse(n) for n in authority.folders.later())]


def cut(patched, left, *, full):
    """Let the write with this number never happen."""
    count = iter(range(left, -100, -1))

    def limited(call):
        def write(*args, **kwargs):
            if next(count) == 0:
                if full:
                    raise UnavailableError("cannot write: no space left on device")
                raise Dead
            return call(*args, **kwargs)

        return write

    patched.setattr(atomic, "replace_entry", limited(atomic.replace_entry))
    patched.setattr(root_folders, "remove_tree", limited(root_folders.remove_tree))


def test_a_host_that_is_born_with_a_wish_has_it(paths):
    born = authority_of(paths, born_with=lambda: WISH)
    born.create()

    assert born.look().served_wish == authority_of(paths).look().served_wish == WISH


@pytest.mark.parametrize("text", [b"", b"{}", b'{"version": 9}', b"null", b"\xff"])
def test_a_torn_memory_of_roots_is_a_problem_and_nothing_is_made_anew(paths, authority, text):
    (paths.ca / "rotation.json").write_bytes(text)

    seen = authority_of(paths).look()
    assert "rotation.json" in seen.problem
    with pytest.raises(StalledError):
        authority_of(paths).create()


def test_a_lost_memory_of_roots_is_a_problem_too(paths, succession):
    walk(succession, "promote")
    (paths.ca / "rotation.json").unlink()

    assert "missing beside later roots" in authority_of(paths).look().problem


@pytest.mark.parametrize("lost", ["key.pem", "cert.pem"])
def test_half_a_signing_root_is_a_problem(paths, succession, lost):
    walk(succession, "remove")
    (paths.ca / "2" / lost).unlink()

    seen = authority_of(paths).look()
    assert lost in seen.problem
    assert not seen.exists


def test_without_the_root_that_joins_the_first_signs_and_the_bundle_stays(paths, succession):
    walk(succession, "announce")
    before = paths.public_ca.read_bytes()
    (paths.ca / "2/key.pem").write_bytes(b"torn")

    again = authority_of(paths)
    again.mend()

    seen = again.look()
    assert (seen.exists, seen.problem) == (True, "")
    assert "put the folder back" in seen.rotation.problem
    assert again.load()
    assert paths.public_ca.read_bytes() == before
    with pytest.raises(StalledError):
        RootSuccession(again).promote(served=None, now=NOW)


def test_a_root_that_was_made_before_a_death_is_the_one_that_joins(paths, succession, authority):
    succession.begin(by_wish=True, now=NOW)
    authority.folders.make(2, NOW - timedelta(days=1))
    made = (paths.ca / "2/cert.pem").read_bytes()

    succession.join(now=NOW)

    assert (paths.ca / "2/cert.pem").read_bytes() == made
