"""Letting something go wrong with each effect of a change, one after another."""

import os
import sys
from itertools import count, cycle, islice
from pathlib import Path

from tests.scenarios.faulty_daemon import DIE_AFTER, FAULTS
from tests.scenarios.waiting import eventually

# To save time, faults take turns; CRASH_SWEEP=1 lets each happen to each effect.
ALL = os.environ.get("CRASH_SWEEP") == "1"
_FAULTY = Path(__file__).with_name("faulty_daemon.py")


def faulty(host):
    return [sys.executable, str(_FAULTY), str(host.root / "fault")]


def start(host):
    return host.start(program=faulty(host))


def die_behind(tenant, number, changes):
    """Edit a tenant, and let the daemon die behind an effect of it; return whether it did.

    An edit with fewer effects is finished, and the daemon then told to end.
    """
    host, file = tenant.host, tenant.host.root / "fault"
    host.put(file, f"{number} {DIE_AFTER}")
    tenant.edit(changes)
    eventually(lambda: host.daemon.poll() is not None or is_done(tenant, "Ready"), timeout=60)
    died = host.daemon.poll() is not None
    if not died:
        host.stop()
    file.unlink(missing_ok=True)
    return died


def faults(begin, step):
    """Yield numbers of effects and what goes wrong with them; each *begin* has its own turns."""
    if ALL:
        return ((number, fault) for number in count(1) for fault in FAULTS)
    return zip(count(1 + begin % step, step), islice(cycle(FAULTS), begin, None), strict=False)


def sweep(host, prepare, act, wrong, word="Ready", orphaned=lambda tenant: None):
    """Let something go wrong with each effect of *act*; yield each tenant as it ended.

    While nobody looks after a tenant, *orphaned* is called.
    """
    start(host)
    file = host.root / "fault"
    for number, fault in wrong:
        tenant = prepare(host.tenant(f"crash{len(host.tenants)}"))
        host.put(file, f"{number} {fault}")
        act(tenant)
        eventually(lambda tenant=tenant: host.daemon.poll() is not None or is_done(tenant, word))
        is_beyond_the_last = file.exists()
        file.unlink(missing_ok=True)
        if host.daemon.poll() is not None:
            orphaned(tenant)
            start(host)
        tenant.settle(word)
        yield f"{number} {fault}", tenant
        if is_beyond_the_last:
            break
    assert number > 3, "too few effects for a sweep"
    everybody = [each for each in host.tenants if each.word == "Ready"]
    host.stop()
    # Nobody writes any more, so nothing may be half-written.
    unfinished = list(host.root.rglob(".cachepilot-new-*"))
    assert not unfinished, unfinished
    with host.undisturbed(*everybody):
        host.start()


def is_done(tenant, word):
    try:
        tenant.settle(word, timeout=0)
    except AssertionError:
        return False
    return True
