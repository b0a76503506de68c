"""Where drift is only observed, what somebody set stays and what a file says is applied."""

import os
import signal

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually, throughout


@pytest.fixture(scope="module")
def observing(make_host):
    """A host that leaves alone what somebody sets on a server."""
    # Whoever looks at a server that stands still is held up; three of them do at once.
    host = make_host({"drift": "observe", "daemon": {"resync": "5s", "workers": 4}})
    try:
        yield host.start()
    finally:
        host.close()


ENGINES = {"redis7": REDIS_7, "redis8": REDIS_8, "valkey8": VALKEY_8}


def make(host, engine):
    made = host.tenant(f"observe{len(host.tenants)}")
    return made.write({"engine": {"image": ENGINES[engine]}}).settle()


@pytest.fixture(params=ENGINES)
def tenant(observing, request):
    made = make(observing, request.param)
    yield made
    made.write({"state": "deleted"})


@pytest.fixture
def tenants(observing):
    """One of each engine: what takes its time is waited for with all at once."""
    made = [make(observing, engine) for engine in ENGINES]
    yield made
    for each in made:
        each.write({"state": "deleted"})


def maxclients(tenant):
    with tenant.admin() as admin:
        return admin.config_get("maxclients")["maxclients"]


def test_an_edit_made_while_the_server_could_not_be_asked_is_applied(tenants):
    run_ids = [each.run_id() for each in tenants]
    processes = [each.inspect()["State"]["Pid"] for each in tenants]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        for each in tenants:
            each.edit({"engine": {"config": {"maxclients": 321}}})

        def is_known_to_be_pending(tenant):
            found = tenant.condition("ConfigApplied")
            assert tenant.condition("Ready")["status"] == "False", tenant.summary()
            return (found["status"], found["reason"]) == ("False", "NeverReadBack")

        eventually(lambda: all(is_known_to_be_pending(each) for each in tenants))
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)

    for each in tenants:
        eventually(lambda each=each: maxclients(each) == "321")
        each.settle()
    assert [each.run_id() for each in tenants] == run_ids


def test_what_somebody_set_stays_and_is_reported(tenants):
    for each in tenants:
        with each.admin() as admin:
            admin.config_set("maxclients", "77")

    for each in tenants:
        eventually(lambda each=each: each.condition("ConfigApplied")["reason"] == "DriftObserved")
        told = each.condition("ConfigApplied")
        assert (told["status"], told["message"]) == ("False", 'maxclients is "77", wanted "10000"')
    throughout(lambda: {maxclients(each) for each in tenants} == {"77"}, seconds=6)
    assert {each.word for each in tenants} == {"Ready"}


def test_a_file_that_was_changed_and_changed_back_while_the_daemon_was_away_moves_nothing(
    observing, tenant
):
    with tenant.admin() as admin:
        admin.config_set("maxclients", "77")
    observing.stop()
    tenant.edit({"engine": {"config": {"maxclients": 50}}})
    tenant.edit({"engine": {"config": None}})

    observing.start()

    tenant.settle()
    assert maxclients(tenant) == "77"
