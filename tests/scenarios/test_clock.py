"""A wall clock that jumps: certificates follow it, servers and schedules do not care."""

import json
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from tests.scenarios.waiting import eventually
from tests.scenarios.wall_clock import WallClock

DAY = timedelta(days=1)
# OpenSSL's own number for "whatever the time is"; Python has no name for it.
ANY_TIME = 0x200000

RENEWAL = {"IssueCertificate", "WriteConfiguration", "SetDirectives", "PruneCertificates"}


@pytest.fixture
def clock(tmp_path):
    return WallClock(tmp_path)


@pytest.fixture
def three(host, clock):
    """Three tenants of different kinds, served by a daemon that lives by *clock*."""
    host.write_settings(removalGrace="30m")
    host.start(env=clock.environment)
    specs = ({}, {"persistence": {"mode": "aof"}}, {"access": {"mode": "dual-mode"}})
    tenants = [host.tenant(f"clock{n}").write(spec) for n, spec in enumerate(specs)]
    for each in tenants:
        each.settle().put(kept="yes")
    before = [server(each) for each in tenants]
    yield tenants
    assert [server(each) for each in tenants] == before


def server(tenant):
    """Return what changes with the server's process, and what it holds."""
    with tenant.admin() as admin:
        info = admin.info("server"), admin.info("keyspace")["db0"]["keys"]
        return tenant.container().id, info[0]["run_id"], info[1]


def leaf(tenant):
    """Return the certificate that clients meet, whatever the time."""
    context = ssl.create_default_context(cafile=str(tenant.host.public_ca))
    context.verify_flags |= ANY_TIME
    with (
        socket.create_connection(("127.0.0.1", tenant.port()), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))


def is_served_at(tenant, moment):
    found = leaf(tenant)
    return found.not_valid_before_utc <= moment < found.not_valid_after_utc - 30 * DAY


def issued(host):
    return sum("IssueCertificate" in deed for deed in host.deeds())


def await_visits(host, tenants, *, each=1):
    """Wait until everybody was looked at several times more."""

    def confirmed():
        return [(host.status_folder / f"{one.name}.json").stat().st_mtime_ns for one in tenants]

    for _ in range(each):
        before = confirmed()
        eventually(
            lambda before=before: all(a != b for a, b in zip(confirmed(), before, strict=True))
        )


def test_certificates_follow_a_clock_that_jumps_ahead_and_back_and_nobody_restarts(
    host, clock, three
):
    for times, days in ((2, 400), (3, 398)):
        clock.jump(f"+{days}d")
        moment = datetime.now(UTC) + days * DAY

        for each in three:
            eventually(lambda each=each, moment=moment: is_served_at(each, moment))
            each.settle()
        await_visits(host, three, each=2)
        assert issued(host) == times * len(three)
        assert {each.word for each in three} == {"Ready"}
        assert host.page("readyz")[0] == 200

    clock.jump("+0")
    for each in three:
        eventually(lambda each=each: each.get("kept") == "yes")
        each.settle()
    assert issued(host) == 4 * len(three)


def test_a_clock_before_the_time_of_the_authority_is_told_signs_nothing_and_ends_by_itself(
    host, clock, three
):
    before = host.deeds()

    clock.jump("-2d")

    for each in three:
        found = eventually(lambda each=each: clock_complaint(each))
        assert "is the clock right?" in found
    await_visits(host, three)
    assert host.deeds() == before
    assert host.page("livez")[0] == 200

    with host.unbroken(*three):
        clock.jump("+0")
        for each in three:
            each.settle()
    # A visit that the jump fell into may still sign what it had planned before.
    assert {deed.split()[0] for deed in host.deeds()[len(before) :]} <= RENEWAL


def clock_complaint(tenant):
    found = (tenant.condition(kind) for kind in ("Stalled", "Reconciling", "CertificateServed"))
    return next((each["message"] for each in found if "clock" in each["message"]), "")


def test_schedules_do_not_depend_on_the_wall_clock(host, clock, three):
    """Waiting, trying again and looking again all go on, whichever way the clock jumps."""
    for number, difference in enumerate(("+400d", "+398d")):
        port = host.slot.free_port(number)
        waiting = host.tenant(f"waits{number}").write({"access": {"ports": {"tls": port}}})
        with socket.create_server(("127.0.0.1", port)):
            waiting.stalled("PortInUse")
            clock.jump(difference)
            await_visits(host, [*three, waiting])
        waiting.settle()


def test_events_are_told_in_the_order_in_which_things_happened(host, clock, three):
    for difference, size in (("+400d", "18MiB"), ("+398d", "20MiB"), ("+1d", "22MiB")):
        clock.jump(difference)
        for each in three:
            each.edit({"memory": {"max": size}}).settle()

    for each in three:
        shown = [
            event["message"]
            for event in json.loads(
                host.ctl("events", "--for", each.name, "--limit", "999", "-o", "json")
            )["items"]
        ]
        assert shown == [e["message"] for e in host.events() if e["tenant"] == each.name]
        sizes = [deed for deed in host.deeds(each) if "SetDirectives" in deed]
        places = [
            next(n for n, deed in enumerate(sizes) if str(size * 2**20) in deed)
            for size in (18, 20, 22)
        ]
        assert places == sorted(places)


def test_a_jump_ahead_does_not_use_up_the_grace_of_a_file_that_vanished(host, clock, three):
    text = three[0].path.read_text()
    three[0].path.unlink()
    eventually(lambda: three[0].condition("SpecValid")["status"] != "True")

    clock.jump("+400d")
    await_visits(host, three)

    assert three[0].is_running()
    host.put(three[0].path, text)
    three[0].settle()
