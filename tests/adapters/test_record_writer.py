import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cachepilot.adapters.record_format import parse_record
from cachepilot.errors import StalledError, WaitingError
from cachepilot.observe.memory import HandOver, HandOverPhase, Reservation
from cachepilot.observe.user_memory import KeptRules
from cachepilot.spec.document import PersistenceMode, TenantName
from tests.fakes.world import NOON

ACME, BETA = TenantName("acme"), TenantName("beta")
AT = datetime(2026, 3, 1, tzinfo=UTC)


def held(tls=7300, plain=None, uid=200_000):
    return Reservation(tls_port=tls, plain_port=plain, uid=uid, bridge=0)


def owners(ledger):
    return dict(ledger.view(now=AT, quarantine=timedelta()).owned_ports)


def password_file(folder, text):
    path = folder / "password"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_drawn_password_is_32_letters_and_digits_and_never_twice_the_same(records, writer):
    drawn = set()
    for _ in range(20):
        writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
        drawn.add(records.secret(ACME, "default").reveal())

    assert len(drawn) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", text) for text in drawn)


def test_each_user_counts_its_own_revisions_and_the_newest_comes_first(records, writer):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    writer.generate_credential(ACME, user="cachepilot", pending=False, wish=None, now=NOON)
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)

    seen = records.recall(ACME)

    assert seen.credential("default").revision == 2
    assert seen.credential("cachepilot").revision == 1


def test_passwords_are_kept_until_they_are_forgotten(records, writer):
    for _ in range(4):
        writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    writer.generate_credential(ACME, user="cachepilot", pending=False, wish=None, now=NOON)
    documented = records.secret(ACME, "default")

    writer.forget_credentials(ACME, user="default", revisions=(1, 3))

    seen = records.recall(ACME)
    assert [each.revision for each in seen.credentials_of("default")] == [4, 2]
    assert seen.credential("cachepilot").revision == 1
    assert records.secret(ACME, "default") == documented


def test_a_pending_password_is_documented_once_it_is_promoted(records, writer):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=AT)
    first = records.secret(ACME, "default")

    writer.generate_credential(ACME, user="default", pending=True, wish="w1", now=AT)
    assert records.secret(ACME, "default") == first
    assert records.recall(ACME).rotated_at == "w1"

    writer.promote_credential(ACME, user="default", revision=2, now=NOON)
    seen = records.recall(ACME)
    assert records.secret(ACME, "default") == records.password(ACME, "default", 2) != first
    assert (seen.credential("default").since, seen.pending("default")) == (NOON, None)


def test_a_pending_password_that_nobody_was_told_of_is_given_up_for_another(records, writer):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    writer.generate_credential(ACME, user="default", pending=True, wish="w1", now=NOON)
    writer.generate_credential(ACME, user="default", pending=True, wish="w2", now=NOON)

    kept = records.recall(ACME).credentials_of("default")
    assert [(each.revision, each.pending) for each in kept] == [(3, True), (1, False)]


def test_a_password_is_adopted_once_and_named_as_the_authors(tmp_path, records, writer):
    path = password_file(tmp_path, "correct-horse-battery\n")
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)

    writer.adopt_password(ACME, user="default", path=path, pending=True, now=NOON)
    writer.adopt_password(ACME, user="default", path=path, pending=True, now=NOON)

    pending = records.recall(ACME).pending("default")
    assert (pending.revision, pending.from_file) == (2, True)
    assert records.password(ACME, "default", 2).reveal() == "correct-horse-battery"


def adopt(writer, tmp_path, text, *, pending):
    path = password_file(tmp_path, text)
    writer.adopt_password(ACME, user="default", path=path, pending=pending, now=NOON)


def test_a_password_that_comes_back_gets_a_new_revision_and_its_hash_means_that_one(
    tmp_path, records, writer
):
    adopt(writer, tmp_path, "first-password-here", pending=False)
    adopt(writer, tmp_path, "second-password-here", pending=True)
    writer.promote_credential(ACME, user="default", revision=2, now=NOON)

    adopt(writer, tmp_path, "first-password-here", pending=True)

    assert [seen.revision for seen in records.recall(ACME).credentials] == [3, 2]
    hash_of_first = records.password(ACME, "default", 3).sha256()
    assert records.revision_of(ACME, "default", hash_of_first) == "3"


def test_a_file_that_says_the_documented_password_again_leaves_only_that_one(
    tmp_path, records, writer
):
    adopt(writer, tmp_path, "first-password-here", pending=False)
    adopt(writer, tmp_path, "second-password-here", pending=True)

    adopt(writer, tmp_path, "first-password-here", pending=True)

    kept = records.recall(ACME).credentials
    assert [(each.revision, each.pending) for each in kept] == [(1, False)]
    assert records.secret(ACME, "default").reveal() == "first-password-here"


def test_a_password_file_that_cannot_be_used_changes_nothing(tmp_path, records, writer):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    before = records.recall(ACME)

    with pytest.raises(StalledError, match="cannot use password file"):
        writer.adopt_password(
            ACME, user="default", path=password_file(tmp_path, "short"), pending=True, now=NOON
        )

    assert records.recall(ACME) == before


def test_a_restart_is_remembered_from_its_beginning_to_its_end(records, writer):
    writer.begin_restart(ACME, wish="w1", at=AT)
    assert records.recall(ACME).restart_wish == ("w1", AT)
    assert records.recall(ACME).restarted_at is None

    writer.finish_restart(ACME, wish="w1")
    assert records.recall(ACME).restart_wish is None
    assert records.recall(ACME).restarted_at == "w1"


def test_dump_and_persistence_are_remembered(records, writer):
    writer.expect_dump(ACME, expected=True)
    writer.remember_persistence(ACME, mode=PersistenceMode.AOF)
    writer.remember_applied(ACME, fingerprint="f1")
    writer.remember_wait(ACME, wait=(2, datetime(2026, 1, 1, tzinfo=UTC)))

    assert records.recall(ACME).applied == "f1"
    assert records.recall(ACME).wait == (2, datetime(2026, 1, 1, tzinfo=UTC))
    assert records.recall(ACME).load_once
    assert records.recall(ACME).persistence is PersistenceMode.AOF


def test_a_reservation_is_in_the_ledger_and_in_the_record(records, ledger, writer):
    writer.reserve(ACME, held())

    assert records.recall(ACME).reservation == held()
    assert owners(ledger)[7300] == ACME


def test_a_tenant_that_was_too_slow_waits_and_records_nothing(records, writer):
    writer.reserve(ACME, held())

    with pytest.raises(WaitingError, match="tenant acme was faster"):
        writer.reserve(BETA, held(uid=200_001))

    assert records.recall(BETA).reservation is None


def test_a_death_between_ledger_and_record_leaves_the_port_with_its_tenant(
    records, ledger, writer, monkeypatch
):
    """The next visit sees its own name in the ledger and takes the port up again."""

    def die(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(records, "amend", die)
        with pytest.raises(KeyboardInterrupt):
            writer.reserve(ACME, held())

    assert records.recall(ACME).reservation is None
    assert owners(ledger)[7300] == ACME
    writer.reserve(ACME, held())
    assert records.recall(ACME).reservation == held()


def test_an_old_password_that_comes_back_prolongs_no_other(tmp_path, records, writer):
    writer.generate_credential(ACME, user="default", pending=False, wish=None, now=NOON)
    adopt(writer, tmp_path, "first-password-here", pending=True)
    writer.promote_credential(ACME, user="default", revision=2, now=NOON)
    adopt(writer, tmp_path, "second-password-here", pending=True)
    writer.promote_credential(ACME, user="default", revision=3, now=NOON + timedelta(days=1))

    adopt(writer, tmp_path, "first-password-here", pending=True)

    kept = {each.revision: each.replaced for each in records.recall(ACME).credentials}
    assert kept == {4: None, 3: None, 1: NOON}


def test_a_users_wish_is_served_beside_the_customers_and_forgotten_with_its_last_password(
    records, writer
):
    for user, wish in (("default", "first"), ("app", "second")):
        writer.generate_credential(ACME, user=user, pending=False, wish=wish, now=NOON)

    seen = records.recall(ACME)
    assert (seen.served_rotation("default"), seen.served_rotation("app")) == ("first", "second")

    writer.generate_credential(ACME, user="app", pending=False, wish=None, now=NOON)
    writer.forget_credentials(ACME, user="app", revisions=(1,))
    assert records.recall(ACME).served_rotation("app") == "second"
    writer.forget_credentials(ACME, user="app", revisions=(2,))
    assert records.recall(ACME).served_rotation("app") is None
    assert records.recall(ACME).served_rotation("default") == "first"


def test_rules_of_users_are_remembered_as_a_whole(records, writer):
    def kept(name):
        return KeptRules(user=name, keys=("a*",), channels=(), commands=("+get",))

    writer.remember_rules(ACME, rules=(kept("app"), kept("web")))
    writer.remember_rules(ACME, rules=(kept("app"),))

    assert records.recall(ACME).rules == (kept("app"),)
    again = parse_record(ACME, records._paths.record(ACME).read_bytes())
    assert again.memory.rules == (kept("app"),)


def test_a_hand_over_that_is_won_changes_who_serves_and_one_that_failed_leaves_folders(
    records, writer
):
    before = records.recall(ACME)
    begun = HandOver(
        phase=HandOverPhase.PREPARING,
        instance=before.instance + 1,
        former=before.instance,
        since=NOON,
        generation=1,
    )
    outcomes = {}
    for phase in HandOverPhase:
        writer.remember_applied(ACME, fingerprint="f1")
        writer.remember_hand_over(ACME, hand_over=replace(begun, phase=phase))
        seen = records.recall(ACME)
        outcomes[phase] = (seen.instance - before.instance, seen.outgoing, seen.applied)

    gone = (begun.instance,)
    assert outcomes == {
        HandOverPhase.PREPARING: (0, (), "f1"),
        HandOverPhase.CLOSING: (0, (), ""),
        HandOverPhase.WON: (1, (), "f1"),
        HandOverPhase.FAILED: (1, gone, "f1"),
    }
