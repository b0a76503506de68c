import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.adapters.ledger import Ledger
from cachepilot.adapters.records import Records
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.observe.memory import Reservation
from cachepilot.spec.document import TenantName

ACME, BETA = TenantName("acme"), TenantName("beta")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def held(tls=7300, plain=None, uid=200_000, bridge=0):
    return Reservation(tls_port=tls, plain_port=plain, uid=uid, bridge=bridge)


def another(paths):
    """What a program that starts now would see."""
    return Ledger(paths, Records(paths, owners=False), owners=False)


def view(ledger, now=NOON, quarantine=DAY):
    return ledger.view(now=now, quarantine=quarantine)


def test_an_untouched_host_has_an_empty_ledger(ledger):
    assert view(ledger).owned_ports == ()
    assert ledger.note == ""


def test_what_was_reserved_is_there_after_a_restart(paths, ledger):
    ledger.reserve(ACME, held(plain=7600), now=NOON)
    ledger.reserve(BETA, held(tls=7301, uid=200_001, bridge=2), now=NOON)

    seen = view(another(paths))

    assert seen.owned_ports == ((7300, "acme"), (7301, "beta"), (7600, "acme"))
    assert seen.owned_uids == ((200_000, "acme"), (200_001, "beta"))
    assert seen.bridges == ((0, 1), (2, 1))


@pytest.mark.parametrize(
    "wanted", [held(tls=7300, uid=1), held(tls=None, plain=7300, uid=1), held(tls=7999)]
)
def test_a_port_or_uid_of_another_tenant_is_refused(paths, ledger, wanted):
    ledger.reserve(ACME, held(), now=NOON)
    before = paths.ledger.read_bytes()

    with pytest.raises(WaitingError, match="tenant acme was faster"):
        ledger.reserve(BETA, wanted, now=NOON)

    assert paths.ledger.read_bytes() == before


def test_what_a_tenant_gives_up_rests_for_the_quarantine_and_not_longer(paths, ledger):
    ledger.reserve(ACME, held(tls=7300, plain=7600), now=NOON)
    ledger.reserve(ACME, held(tls=7301), now=NOON)

    for seen in (ledger, another(paths)):
        assert view(seen).owned_ports == ((7301, "acme"),)
        assert view(seen, NOON + DAY / 2).resting_ports == {7300, 7600}
        assert view(seen, NOON + DAY).resting_ports == frozenset()
        assert view(seen).resting_uids == frozenset()


def test_what_is_held_again_no_longer_rests(ledger):
    ledger.reserve(ACME, held(tls=7300), now=NOON)
    ledger.reserve(ACME, held(tls=7301), now=NOON)
    ledger.reserve(ACME, held(tls=7300), now=NOON)

    assert view(ledger).resting_ports == {7301}


def test_a_release_stamped_by_a_clock_that_jumped_does_not_rest_for_years(ledger):
    ledger.reserve(ACME, held(tls=7300), now=NOON)
    ledger.reserve(ACME, held(tls=7301), now=NOON + 3650 * DAY)

    assert view(ledger, NOON).resting_ports == frozenset()


def test_a_ledger_that_is_gone_is_rebuilt_from_the_records_and_says_so(paths, ledger, writer):
    writer.reserve(ACME, held())
    writer.reserve(BETA, held(tls=7301, uid=200_001))
    paths.ledger.unlink()

    for rebuilt in (ledger, another(paths)):
        assert view(rebuilt).owned_ports == ((7300, "acme"), (7301, "beta"))
        assert "2 tenants" in rebuilt.note
        with pytest.raises(WaitingError):
            rebuilt.reserve(TenantName("gamma"), held(), now=NOON)

    ledger.reserve(ACME, held(), now=NOON)
    assert json.loads(paths.ledger.read_text())["held"].keys() == {"acme", "beta"}


def test_an_older_copy_of_the_ledger_does_not_give_a_known_tenants_port_away(paths, writer):
    writer.reserve(ACME, held())
    older = paths.ledger.read_bytes()
    writer.reserve(BETA, held(tls=7301, uid=200_001))
    paths.ledger.write_bytes(older)

    assert view(another(paths)).owned_ports == ((7300, "acme"), (7301, "beta"))


def test_a_ledger_that_is_gone_is_not_rebuilt_without_a_record_that_cannot_be_read(paths, writer):
    writer.reserve(ACME, held())
    writer.reserve(BETA, held(tls=7301, uid=200_001))
    paths.ledger.unlink()
    paths.record(BETA).write_text("{")

    with pytest.raises(StalledError, match=r"rebuilding it failed: cannot read .*beta") as told:
        view(another(paths))
    assert told.value.reason == "LedgerUnreadable"


def test_a_record_that_cannot_be_read_does_not_matter_beside_a_good_ledger(paths, writer):
    writer.reserve(ACME, held())
    paths.record(ACME).write_text("{")

    assert view(another(paths)).owned_ports == ((7300, "acme"),)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "new": 1}', b"[" * 99_999]
)
def test_a_ledger_that_cannot_be_read_stalls_and_is_never_replaced(paths, ledger, content):
    ledger.reserve(ACME, held(), now=NOON)
    paths.ledger.write_bytes(content)

    for attempt in (
        lambda: view(ledger),
        lambda: ledger.reserve(BETA, held(tls=7301, uid=200_001), now=NOON),
    ):
        with pytest.raises(StalledError) as told:
            attempt()
        assert told.value.reason == "LedgerUnreadable"
        assert str(paths.ledger) in str(told.value)
    assert paths.ledger.read_bytes() == content


def test_a_write_that_fails_gives_nothing_away(paths, ledger, monkeypatch):
    ledger.reserve(ACME, held(), now=NOON)

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(UnavailableError, match=r"cannot write .*ledger.json: no space left"):
            ledger.reserve(BETA, held(tls=7301, uid=200_001), now=NOON)

    assert view(ledger).owned_ports == view(another(paths)).owned_ports == ((7300, "acme"),)


def test_eight_threads_that_want_the_same_ports_all_get_different_ones(paths, ledger):
    """Each takes the first port that looks free and goes on when somebody was faster."""

    def take(name):
        for _attempt in range(200):
            taken = dict(view(ledger).owned_ports)
            number = next(n for n in range(1000) if 7300 + n not in taken)
            try:
                ledger.reserve(name, held(tls=7300 + number, uid=200_000 + number), now=NOON)
            except WaitingError:
                continue
            return
        raise AssertionError(name)

    names = [TenantName(f"t{number}") for number in range(8)]
    threads = [threading.Thread(target=take, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = view(another(paths))
    assert sorted(name for _, name in seen.owned_ports) == names
    assert [port for port, _ in seen.owned_ports] == list(range(7300, 7308))
    assert len(seen.owned_uids) == 8
