"""TrialWriter: rules of users, tried where they are to hold."""

from __future__ import annotations

from dataclasses import replace

import redis
import redis.exceptions

from cachepilot.adapters.probe_server import ProbeServers, UnusableImageError
from cachepilot.adapters.records import Records
from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.redis_errors import why
from cachepilot.adapters.redis_ordering import execute
from cachepilot.errors import StalledError, UnavailableError
from cachepilot.observe.memory import Memory
from cachepilot.observe.user_memory import Verdict
from cachepilot.plan.actions import TriedUser
from cachepilot.plan.user_rules import rules_of, tell_refusal
from cachepilot.plan.users import PROBE
from cachepilot.spec.document import TenantName

# Besides the rules that users have now, which are always kept.
_MOST_VERDICTS = 128


class RuleTrials:
    """Tries rules of one installation's users, and records how that ended.

    Args:
        connections: Kept connections to the serving servers.
        probes: Makes servers that only try rules.
        records: Where verdicts are kept.
    """

    def __init__(
        self, connections: ManagementConnections, probes: ProbeServers, records: Records
    ) -> None:
        self._connections = connections
        self._probes = probes
        self._records = records

    def on_server(
        self,
        tenant_name: TenantName,
        *,
        instance: int,
        image: str,
        image_id: str,
        users: tuple[TriedUser, ...],
    ) -> None:
        """Try rules on the running server."""
        try:
            refusals = _try(self._connections.get(tenant_name, instance), users)
        except (redis.exceptions.RedisError, OSError) as error:
            self._connections.drop(tenant_name, instance)
            raise UnavailableError(f"cannot try rules on {tenant_name}: {why(error)}") from error
        self._conclude(tenant_name, image, image_id, users, refusals)

    def apart(
        self,
        tenant_name: TenantName,
        *,
        image: str,
        image_id: str,
        uid: int,
        users: tuple[TriedUser, ...],
    ) -> None:
        """Try rules on a server of *image* that nobody can reach."""
        try:
            with self._probes.running(
                tenant_name, image=image, image_id=image_id, uid=uid
            ) as client:
                refusals = _try(client, users)
        except UnusableImageError as error:
            # Nothing of this image ever runs, so it takes no rules either.
            refusals = dict.fromkeys((user.rules for user in users), str(error))
        except (redis.exceptions.RedisError, OSError) as error:
            raise UnavailableError(f"cannot try rules on {image}: {why(error)}") from error
        self._conclude(tenant_name, image, image_id, users, refusals)

    def _conclude(
        self,
        tenant_name: TenantName,
        image: str,
        image_id: str,
        users: tuple[TriedUser, ...],
        refusals: dict[str, str],
    ) -> None:
        fresh = tuple(
            Verdict(image_id=image_id, rules=user.rules, refusal=refusals.get(user.rules, ""))
            for user in users
        )
        self._records.amend(tenant_name, lambda memory: _with_verdicts(memory, fresh))
        for user in users:
            if user.place and (words := refusals.get(user.rules)):
                message = tell_refusal(user.name, user.place, image, words)
                raise StalledError(message, reason="UserRulesRefused")


def _try(client: redis.Redis, users: tuple[TriedUser, ...]) -> dict[str, str]:
    """Return the server's words for each rules that it refuses."""
    refusals = {}
    for user in users:
        try:
            execute(client, "ACL SETUSER", PROBE, "reset", *user.line.rules(()))
        except redis.exceptions.ResponseError as error:
            refusals[user.rules] = why(error)
    execute(client, "ACL DELUSER", PROBE)
    return refusals


def _with_verdicts(memory: Memory, fresh: tuple[Verdict, ...]) -> Memory:
    """Return *memory* with *fresh* verdicts, and no more old ones than anybody asks for again."""
    told = {(each.image_id, each.rules) for each in fresh}
    older = [each for each in memory.verdicts if (each.image_id, each.rules) not in told]
    in_force = {rules_of(kept) for kept in memory.rules}
    kept = [
        each
        for place, each in enumerate(older)
        if place < _MOST_VERDICTS or each.rules in in_force
    ]
    return replace(memory, verdicts=(*fresh, *kept))
