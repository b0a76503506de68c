"""Which tenants' clients depend on the root, and what their servers were proven to hold."""

from __future__ import annotations

from cachepilot.observe.snapshot import Liveness, Role, Unknown
from cachepilot.plan.succession import Holder
from cachepilot.status.conditions import ConditionStatus, ConditionType, TenantStatus

_SERVING = (Liveness.RUNNING, Liveness.PAUSED)


def holder_of(name: str, status: TenantStatus | None) -> Holder | None:
    """Return what is proven of a tenant; None where no client could meet a certificate.

    Whoever does not run gets what is right before it serves anybody, so nobody waits for it.
    """
    unproven = Holder(name=name)
    if status is None:
        return unproven
    spec, seen = status.spec, status.snapshot
    if spec is None or not (spec.serves and spec.access.has_tls):
        return None
    if seen is None or isinstance(seen.containers, Unknown):
        return unproven
    container = seen.container(Role.SERVER)
    if container is None or container.liveness not in _SERVING:
        return None
    served = status.condition(ConditionType.CERTIFICATE_SERVED)
    if served is None or served.status is not ConditionStatus.TRUE or seen.certificate is None:
        return unproven
    leaf = seen.certificate
    return Holder(name=name, roots=leaf.roots, signer=leaf.authority)
