"""Where drift is only observed, what somebody set stays and what a file says is applied."""

import os
import signal

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually, throughout


@pytest.fixture(scope="module")
def observing(make_host):
    """A host that leaves alone what somebody sets on a server."""
    host = make_host({"drift": "observe"})
    try:
        yield host.start()
    finally:
        host.close()


@pytest.fixture(params=[REDIS_7, REDIS_8, VALKEY_8], ids=["redis7", "redis8", "valkey8"])
def tenant(observing, request):
    made = observing.tenant(f"observe{len(observing.tenants)}")
    made.write({"engine": {"image": request.param}}).settle()
    yield made
    made.write({"state": "deleted"})


def maxclients(tenant):
    with tenant.admin() as admin:
        return admin.config_get("maxclients")["maxclients"]


def test_an_edit_made_while_the_server_could_not_be_asked_is_applied(tenant):
    run_id, process = tenant.run_id(), tenant.inspect()["State"]["Pid"]
    os.kill(process, signal.SIGSTOP)
    try:
        tenant.edit({"engine": {"config": {"maxclients": 321}}})

        def is_known_to_be_pending():
            found = tenant.condition("ConfigApplied")
            assert tenant.condition("Ready")["status"] == "False", tenant.summary()
            return (found["status"], found["reason"]) == ("False", "NeverReadBack")

        eventually(is_known_to_be_pending)
    finally:
        os.kill(process, signal.SIGCONT)

    eventually(lambda: maxclients(tenant) == "321")
    tenant.settle()
    assert tenant.run_id() == run_id


def test_what_somebody_set_stays_and_is_reported(tenant):
    with tenant.admin() as admin:
        admin.config_set("maxclients", "77")

    eventually(lambda: tenant.condition("ConfigApplied")["reason"] == "DriftObserved")
    told = tenant.condition("ConfigApplied")
    assert (told["status"], told["message"]) == ("False", 'maxclients is "77", wanted "10000"')
    throughout(lambda: maxclients(tenant) == "77", seconds=6)
    assert tenant.word == "Ready"


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
