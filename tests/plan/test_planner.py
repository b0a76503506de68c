"""Situations and the plans they lead to; the plans lie as people read them in golden/."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cachepilot.observe.memory import Memory
from cachepilot.observe.snapshot import (
    Engine,
    Liveness,
    SeenAuthority,
    SeenServer,
    Unknown,
    Unreachable,
)
from cachepilot.plan.actions import RemoveContainer
from cachepilot.plan.holding import Turn
from cachepilot.plan.planner import plan_tenant
from cachepilot.spec.document import AccessMode, MemoryPolicy, PersistenceMode, State
from cachepilot.spec.maintenance import Window
from cachepilot.spec.rules import DriftMode, Rules
from tests.builders import rules, tenant
from tests.fakes.scenes import RULES, look, plan, settle, settled
from tests.fakes.world import FakeWorld
from tests.plan.conftest import GOLDEN

MIB = 2**20
NONE, RDB, AOF = PersistenceMode.NONE, PersistenceMode.RDB, PersistenceMode.AOF
SMALL = {"memory_max": 64 * MIB, "memory_limit": 128 * MIB}
LARGE = {"memory_max": 256 * MIB, "memory_limit": 512 * MIB}
BASE = tenant().config
SCENES = {}


def scene(function):
    """Register what gives a plan; its docstring says what is special."""
    SCENES[function.__name__.replace("_", "-")] = function
    return function


def after(before, wanted, *, meddle=None, under=RULES):
    """Plan for *wanted* in a world where *before* was served and *meddle* happened to it."""
    world = settled(before, rules=under)
    if meddle:
        meddle(world)
    return plan(world, wanted, rules=under)


def seeing(spec, *, wanted=None, under=RULES, now=None, **changes):
    """Plan on the sight of a settled world, with some of it seen differently."""
    seen = replace(look(settled(spec), spec), **changes)
    return plan_tenant(wanted or spec, seen, under, now or seen.at)


def served(spec, **changes):
    """Return the settled server's answers, some of them different."""
    server = look(settled(spec), spec).server
    assert isinstance(server, SeenServer)
    return replace(server, **changes)


def with_directives(spec, **changes):
    answers = served(spec)
    wanted = dict(answers.directives) | {k.replace("_", "-"): v for k, v in changes.items()}
    return replace(answers, directives=tuple(sorted(wanted.items())))


@scene
def new_tenant():
    return plan(FakeWorld(), tenant())


@scene
def new_tenant_dual_mode_pinned_ports():
    spec = tenant(access=AccessMode.DUAL_MODE, tls_port=7401, plain_port=7701)
    return plan(FakeWorld(), spec)


@scene
def new_tenant_image_missing():
    return plan(FakeWorld(images=set()), tenant())


@scene
def new_tenant_born_with_a_restart_wish():
    return plan(FakeWorld(), tenant(restarted_at="2026-01-01T00:00:00Z"))


@scene
def nothing_to_do():
    return after(tenant(), tenant())


def detach(world):
    seen = world.containers["acme"]
    world.containers["acme"] = replace(seen, shape=replace(seen.shape, bridge=""))


@scene
def running_off_its_network():
    return after(tenant(), tenant(), meddle=detach)


@scene
def running_to_stopped():
    return after(tenant(), tenant(state=State.STOPPED))


@scene
def stopped_to_running():
    return after(tenant(state=State.STOPPED), tenant())


@scene
def stopped_after_serving_to_running():
    world = settle(settled(tenant()), tenant(state=State.STOPPED))
    return plan(world, tenant())


@scene
def running_to_deleted():
    return after(tenant(persistence=RDB), tenant(persistence=RDB, state=State.DELETED))


@scene
def deleted_and_wanted_again():
    world = settle(settled(tenant(persistence=AOF)), tenant(persistence=AOF, state=State.DELETED))
    return plan(world, tenant(persistence=AOF))


@scene
def part_of_an_edit_waits_for_the_window():
    window = Window(cron="0 3 * * 0", duration=timedelta(hours=2), time_zone="Europe/Berlin")
    world = FakeWorld(images={"redis:8.0", "valkey:8.1"})
    settle(world, tenant(**LARGE, window=window))
    wanted = tenant(**SMALL, window=window, image="valkey:8.1", access=AccessMode.DUAL_MODE)
    return plan(world, wanted)


@scene
def a_new_default_waits_for_its_turn():
    spec = tenant(restarted_at="2026-01-01T00:00:00Z")
    seen = look(settled(spec), spec)
    wanted = replace(spec, image="valkey:8.1", **SMALL)
    return plan_tenant(wanted, seen, RULES, seen.at, turn=Turn.ANOTHERS)


@scene
def image_change_none():
    return _image_change(NONE)


@scene
def image_change_rdb():
    return _image_change(RDB)


@scene
def image_change_aof():
    return _image_change(AOF)


def _image_change(mode):
    world = FakeWorld(images={"redis:8.0", "valkey:8.1"})
    settle(world, tenant(persistence=mode))
    return plan(world, tenant(persistence=mode, image="valkey:8.1"))


@scene
def image_change_while_the_server_is_down():
    world = FakeWorld(images={"redis:8.0", "valkey:8.1"})
    settle(world, tenant())
    world.kill("acme")
    world.disk("acme").dump = 3
    return plan(world, tenant(image="valkey:8.1"))


@scene
def image_runs_another_engine():
    return seeing(tenant(), server=served(tenant(), engine=Engine.VALKEY))


@scene
def memory_up():
    return after(tenant(**SMALL), tenant(**LARGE))


@scene
def memory_down_fits():
    return after(tenant(**LARGE), tenant(**SMALL))


@scene
def memory_down_does_not_fit_yet():
    """Freed pages keep the limit up, so only maxmemory and the allocator are told."""
    answers = served(tenant(**LARGE), resident_memory=300 * MIB)
    return seeing(tenant(**LARGE), wanted=tenant(**SMALL), server=answers)


@scene
def memory_down_does_not_fit_yet_but_cpus_change():
    answers = served(tenant(**LARGE), resident_memory=300 * MIB)
    return seeing(tenant(**LARGE), wanted=tenant(cpus=0.5, **SMALL), server=answers)


@scene
def memory_down_before_eviction_is_done():
    answers = served(tenant(**LARGE), resident_memory=300 * MIB, used_memory=200 * MIB)
    return seeing(tenant(**LARGE), wanted=tenant(**SMALL), server=answers)


@scene
def noeviction_does_not_fit():
    fixed = {"memory_policy": MemoryPolicy.NOEVICTION}
    answers = served(tenant(**LARGE, **fixed), used_memory=100 * MIB)
    return seeing(tenant(**LARGE, **fixed), wanted=tenant(**SMALL, **fixed), server=answers)


@scene
def cpus_changed():
    return after(tenant(cpus=1.0), tenant(cpus=0.5))


@scene
def cpus_unlimited_again():
    return after(tenant(cpus=1.0), tenant(cpus=None))


def _register_mode_changes():
    def change(before, wanted):
        return lambda: after(tenant(persistence=before), tenant(persistence=wanted))

    for before in PersistenceMode:
        for wanted in PersistenceMode:
            if before is not wanted:
                SCENES[f"persistence-{before}-to-{wanted}"] = change(before, wanted)


_register_mode_changes()


@scene
def persistence_change_cut_short_and_the_server_died():
    """The data is still an append-only file, whatever the spec says by now."""
    world = settled(tenant(persistence=AOF))
    world.kill("acme")
    return plan(world, tenant(persistence=NONE))


@scene
def restart_wish():
    return after(tenant(), tenant(restarted_at="2026-01-02T00:00:00Z"))


@scene
def restart_wish_of_a_stopped_tenant():
    fields = {"state": State.STOPPED}
    return after(tenant(**fields), tenant(restarted_at="2026-01-02T00:00:00Z", **fields))


@scene
def restart_wish_begun_and_not_done():
    spec, wish = tenant(), "2026-01-02T00:00:00Z"
    seen = look(settled(spec), spec)
    begun = replace(seen.memory, restart_wish=(wish, seen.at))
    return plan_tenant(
        replace(spec, restarted_at=wish), replace(seen, memory=begun), RULES, seen.at
    )


@scene
def restart_wish_done_and_not_remembered():
    spec, wish = tenant(), "2026-01-02T00:00:00Z"
    seen = look(settled(spec), spec)
    begun = replace(seen.memory, restart_wish=(wish, seen.at - timedelta(hours=1)))
    return plan_tenant(
        replace(spec, restarted_at=wish), replace(seen, memory=begun), RULES, seen.at
    )


@scene
def directive_that_only_a_restart_changes():
    return after(tenant(), tenant(config=(*BASE, ("databases", "4"))))


@scene
def directives_changed():
    return after(tenant(), tenant(config=(*BASE, ("activedefrag", "yes"), ("maxclients", "100"))))


@scene
def directive_taken_back():
    return after(tenant(config=(*BASE, ("maxclients", "100"))), tenant())


@scene
def certificate_expires():
    spec = tenant()
    soon = look(settled(spec), spec).at + timedelta(days=61)
    return seeing(spec, now=soon)


@scene
def certificate_ends_with_its_authority():
    """Signing it again would not make it any longer."""
    spec = tenant()
    seen = look(settled(spec), spec)
    authority = replace(seen.host.authority, not_after=seen.certificate.not_after)
    host = replace(seen.host, authority=authority)
    now = seen.certificate.not_after - timedelta(days=1)
    return plan_tenant(spec, replace(seen, host=host), RULES, now)


@scene
def certificate_from_the_future():
    spec = tenant()
    return seeing(spec, now=look(settled(spec), spec).at - timedelta(days=2))


@scene
def certificate_lifetime_shortened():
    return after(
        tenant(),
        tenant(certificate_lifetime=timedelta(days=7), renew_before=timedelta(days=2)),
    )


@scene
def certificate_names_changed():
    return after(tenant(), tenant(names=("127.0.0.1", "cache.example.net", "localhost")))


@scene
def certificate_files_gone():
    return seeing(tenant(), certificate=None)


@scene
def certificate_torn():
    spec = tenant()
    leaf = look(settled(spec), spec).certificate
    return seeing(spec, certificate=replace(leaf, problem="key and certificate do not match"))


@scene
def certificate_other_served():
    spec = tenant()
    (met,) = look(settled(spec), spec).endpoints
    return seeing(spec, endpoints=(replace(met, fingerprint="another"),))


@scene
def authority_changed():
    spec = tenant()
    seen = look(settled(spec), spec)
    fresh = replace(seen.host.authority, fingerprint="another root")
    return seeing(spec, host=replace(seen.host, authority=fresh))


@scene
def authority_broken():
    spec = tenant()
    seen = look(settled(spec), spec)
    broken = SeenAuthority(exists=False, problem="/ca/key.pem is missing; put it back")
    return seeing(spec, host=replace(seen.host, authority=broken))


@scene
def authority_broken_before_birth():
    spec = tenant()
    seen = look(FakeWorld(), spec)
    broken = SeenAuthority(exists=False, problem="/ca/key.pem is missing; put it back")
    return plan_tenant(
        spec, replace(seen, host=replace(seen.host, authority=broken)), RULES, seen.at
    )


@scene
def authority_broken_without_encryption():
    spec = tenant(access=AccessMode.PLAIN_ONLY)
    seen = look(settled(spec), spec)
    broken = SeenAuthority(exists=False, problem="/ca/key.pem is missing; put it back")
    return seeing(spec, host=replace(seen.host, authority=broken))


PASSWORDS = "/etc/cachepilot/passwords/acme"
WITH_FILE = tenant(password_file=PASSWORDS)


def _write_password(text):
    return lambda world: world.password_files.update({PASSWORDS: text})


@scene
def password_file_adopted():
    return after(tenant(), WITH_FILE, meddle=_write_password("first"))


def _with_password():
    return settle(FakeWorld(password_files={PASSWORDS: "first"}), WITH_FILE)


@scene
def password_file_changed():
    world = _with_password()
    _write_password("second")(world)
    return plan(world, WITH_FILE)


@scene
def password_file_unchanged():
    return plan(_with_password(), WITH_FILE)


@scene
def password_file_no_longer_wanted():
    return plan(_with_password(), tenant())


@scene
def password_file_unusable():
    """The password that was adopted earlier stays valid, and everything else is kept up."""
    world = _with_password()
    world.password_files.clear()
    return plan(world, replace(WITH_FILE, cpus=0.5))


@scene
def password_file_unusable_before_birth():
    return plan(FakeWorld(), WITH_FILE)


@scene
def foreign_address_beside_a_local_one():
    world = FakeWorld(foreign={"192.0.2.7"})
    return plan(world, tenant(bind=("127.0.0.1", "192.0.2.7")))


@scene
def foreign_address_only():
    return plan(FakeWorld(foreign={"192.0.2.7"}), tenant(bind=("192.0.2.7",)))


@scene
def foreign_address_of_a_tenant_that_serves():
    """It goes on serving where it does, with everything else kept up."""
    return after(
        tenant(),
        tenant(bind=("192.0.2.7",)),
        meddle=lambda world: world.foreign.add("192.0.2.7"),
    )


@scene
def port_pinned_by_two():
    world = settled(tenant("other", tls_port=7401))
    return plan(world, tenant(tls_port=7401))


@scene
def port_in_use():
    return plan(FakeWorld(listening={7401}), tenant(tls_port=7401))


@scene
def port_moves():
    return after(tenant(), tenant(tls_port=7401))


@scene
def port_conflict_of_a_tenant_that_serves():
    return after(
        tenant(),
        tenant(tls_port=7401, cpus=0.5),
        meddle=lambda world: world.listening.add(7401),
    )


@scene
def access_opens_a_plain_port():
    return after(tenant(), tenant(access=AccessMode.DUAL_MODE))


@scene
def ports_exhausted():
    narrow = rules(ports={"tls": {"first": 7300, "last": 7300}})
    world = settled(tenant("other"), rules=narrow)
    return plan(world, tenant(), rules=narrow)


@scene
def data_missing():
    def meddle(world):
        world.kill("acme")
        world.disk("acme").marker = False

    return after(tenant(), tenant(), meddle=meddle)


@scene
def data_missing_under_a_running_server():
    return after(
        tenant(), tenant(), meddle=lambda world: setattr(world.disk("acme"), "marker", False)
    )


@scene
def paused():
    return after(tenant(), tenant(paused=True, state=State.DELETED))


@scene
def engine_unknown():
    return seeing(tenant(), containers=Unknown("cannot reach Docker"))


@scene
def killed_memory_only():
    def meddle(world):
        world.kill("acme")
        world.disk("acme").dump = 3

    return after(tenant(), tenant(), meddle=meddle)


@scene
def removed_by_hand():
    return after(tenant(), tenant(), meddle=lambda world: world.vanish("acme"))


@scene
def frozen():
    return after(tenant(), tenant(), meddle=lambda world: world.freeze("acme"))


@scene
def crash_loop():
    return after(tenant(), tenant(), meddle=lambda world: world.crash_loop("acme"))


@scene
def dead():
    spec = tenant(persistence=RDB)
    (container,) = look(settled(spec), spec).containers
    remains = (replace(container, liveness=Liveness.DEAD),)
    return seeing(spec, containers=remains, server=None, endpoints=())


@scene
def renamed():
    return after(tenant(), tenant(), meddle=lambda world: world.rename("acme", "somewhere"))


@scene
def never_started():
    def meddle(world):
        world.kill("acme")
        seen = world.containers["acme"]
        world.containers["acme"] = replace(seen, liveness=Liveness.CREATED, exit_code=128)

    return after(tenant(), tenant(), meddle=meddle)


@scene
def server_silent():
    """A lost socket is no reason to touch what serves."""
    return seeing(tenant(), server=Unreachable("its management socket is missing"))


@scene
def server_loading():
    return seeing(tenant(cpus=0.5), server=served(tenant(), loading=True))


def drift(world):
    server = world.servers["acme"]
    server.directives["maxmemory"] = "1"
    server.directives["save"] = "60 1"
    server.users["mallory"] = (True, ("unknown",), "~*", "", "+@all")
    enabled, _, *rest = server.users["default"]
    server.users["default"] = (enabled, ("unknown",), *rest)
    seen = world.containers["acme"]
    resources = replace(seen.resources, cpu_quota=1000, restart="no")
    world.containers["acme"] = replace(seen, resources=resources)


@scene
def drift_reverted():
    return after(tenant(), tenant(), meddle=drift)


@scene
def drift_observed():
    observing = Rules(drift=DriftMode.OBSERVE)
    return after(tenant(), tenant(), meddle=drift, under=observing)


@scene
def drift_observed_with_a_wish():
    """A difference that the spec asks for is no drift."""
    observing = Rules(drift=DriftMode.OBSERVE)
    return after(tenant(), tenant(config=(*BASE, ("maxclients", "50"))), under=observing)


@scene
def drift_observed_once_the_newest_configuration_was_read_back():
    """Until then a difference cannot be told from a change that was cut short."""
    observing = Rules(drift=DriftMode.OBSERVE)
    world = settled(tenant(), rules=observing)
    world.memories["acme"] = replace(world.memory("acme"), applied="")
    return plan(world, tenant(), rules=observing)


@scene
def drift_observed_no_longer():
    return plan(settled(tenant(), rules=Rules(drift=DriftMode.OBSERVE)), tenant())


@scene
def append_only_file_switched_off_by_hand():
    spec = tenant(persistence=AOF)
    return seeing(spec, server=with_directives(spec, appendonly="no"))


@scene
def files_edited():
    def meddle(world):
        world.disk("acme").configuration = "maxmemory 1\n"
        world.disk("acme").users = None

    return after(tenant(), tenant(), meddle=meddle)


@scene
def folders_changed():
    return after(
        tenant(), tenant(), meddle=lambda world: setattr(world.disk("acme"), "folders", False)
    )


@scene
def leftovers_of_an_earlier_mode():
    """A later start would load what lies there."""

    def meddle(world):
        world.disk("acme").append_only = 3
        world.disk("acme").dump = 3

    return after(tenant(), tenant(), meddle=meddle)


@scene
def leftovers_that_the_server_still_writes():
    spec = tenant()
    seen = look(settled(spec), spec)
    files = replace(seen.files, has_append_only=True)
    return seeing(spec, files=files, server=with_directives(spec, appendonly="yes"))


@scene
def certificates_no_longer_served():
    return seeing(tenant(), stale_certificates=True)


@scene
def certificates_no_longer_served_while_another_is_signed():
    """The one that is still served must not be thrown away before the new one is."""
    spec = tenant()
    return seeing(spec, stale_certificates=True, certificate=None)


@scene
def record_lost_beside_a_container():
    """A fresh identity would serve an empty server in place of the customer's data."""
    return seeing(tenant(), memory=Memory())


@scene
def stop_of_a_server_that_cannot_be_asked_to_save():
    spec = tenant(persistence=RDB)
    return seeing(spec, wanted=replace(spec, state=State.STOPPED), server=Unreachable("no answer"))


BUSY = Unreachable("BUSY it runs a script", busy=True)


@scene
def stop_of_a_server_that_runs_a_script():
    """Until a moment that is said, whatever is in memory is waited for."""
    spec = tenant()
    return seeing(spec, wanted=replace(spec, state=State.STOPPED), server=BUSY)


@scene
def stop_of_a_server_with_snapshots_that_runs_a_script():
    """It would not hear that it is to save and stop, and be killed."""
    spec = tenant(persistence=RDB)
    return seeing(spec, wanted=replace(spec, state=State.DELETED), server=BUSY)


@scene
def stop_of_a_server_with_snapshots_that_lets_us_wait():
    """Nobody knows whether it would hear that it is to save and stop before it is killed."""
    spec = tenant(persistence=RDB)
    silent = Unreachable("Timeout reading from socket", silent=True)
    return seeing(spec, wanted=replace(spec, state=State.STOPPED), server=silent)


@scene
def stop_that_was_waited_for_long_enough():
    spec = tenant()
    seen = look(settled(spec), spec)
    memory = replace(seen.memory, wait=(seen.memory.generation, seen.at))
    return seeing(spec, wanted=replace(spec, state=State.STOPPED), server=BUSY, memory=memory)


@scene
def restart_of_a_server_that_runs_a_script():
    return seeing(tenant(), wanted=tenant(restarted_at="2026-01-02T00:00:00Z"), server=BUSY)


@scene
def replacement_of_a_server_that_is_loading():
    answers = served(tenant(), loading=True)
    return seeing(tenant(), wanted=tenant(access=AccessMode.DUAL_MODE), server=answers)


@scene
def restart_of_a_server_with_the_last_copy():
    spec = tenant()
    files = replace(look(settled(spec), spec).files, data_marker=False)
    return seeing(spec, wanted=replace(spec, restarted_at="2026-01-02T00:00:00Z"), files=files)


@scene
def stop_of_a_silent_server_whose_every_write_is_on_disk():
    spec = tenant(persistence=AOF)
    return seeing(spec, wanted=replace(spec, state=State.STOPPED), server=Unreachable("no answer"))


@scene
def memory_down_waits_for_pages_that_were_freed():
    """The allocator was told once; from then on pages come back by themselves."""
    large = tenant(**LARGE)
    fresh = with_directives(large, maxmemory=str(64 * MIB))
    return seeing(
        large,
        wanted=tenant(**SMALL),
        server=replace(fresh, resident_memory=300 * MIB),
    )


@scene
def restart_cut_short_behind_the_save():
    """Writes are held and a dump is expected, but the server was never stopped."""
    world = settled(tenant())
    world.memories["acme"] = replace(world.memory("acme"), load_once=True)
    world.disk("acme").dump = 1
    return plan(world, tenant())


@pytest.mark.parametrize("name", sorted(SCENES))
def test_a_situation_leads_to_exactly_this_plan(name, golden):
    golden(name, str(SCENES[name]()) or "(nothing)\n")


def test_every_printed_plan_belongs_to_a_situation():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENES)


def test_an_upgrade_leaves_whoever_carries_an_older_digest_alone():
    """What runs is compared part by part; a label that is made in another way is no difference."""
    spec = tenant()
    world = settled(spec)
    older = replace(world.containers[spec.name], digest="v0-0123456789abcdef0123")
    world.containers[spec.name] = older

    assert plan(world, spec).actions == ()
    # And whoever must be replaced for another reason is looked for under the label it has.
    changed = plan(world, tenant(access=AccessMode.DUAL_MODE)).actions
    (removal,) = (action for action in changed if isinstance(action, RemoveContainer))
    assert removal.digest == older.digest


@pytest.mark.parametrize("name", sorted(SCENES))
def test_a_plan_says_what_the_worst_of_its_actions_does(name):
    found = SCENES[name]()

    order = ["none", "reconnect", "restart", "data-risk"]
    worst = max((order.index(action.disruption) for action in found.actions), default=0)

    assert found.disruption == order[worst]
    assert (found.disruption == "data-risk") is (name == "stop-that-was-waited-for-long-enough")
