"""What every order to a server has in common: a connection, patience, and errors that say more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import redis
import redis.exceptions

from cachepilot.adapters.redis_connections import ManagementConnections
from cachepilot.adapters.redis_errors import why
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.spec.document import TenantName

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.05

Reply = dict[str, Any]


class Ordering:
    """Orders servers of one installation.

    Args:
        connections: Kept connections.
        monotonic: Seconds that never jump.
        stopping: Set when the daemon stops; ends every wait.
    """

    def __init__(
        self,
        connections: ManagementConnections,
        *,
        monotonic: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        self._connections = connections
        self._monotonic = monotonic
        self._stopping = stopping

    @contextmanager
    def _order(
        self, tenant_name: TenantName, instance: int, what: str, *, reason: str = "OrderRefused"
    ) -> Iterator[redis.Redis]:
        """Give a connection for one order; a refusal is final, a broken connection is not."""
        try:
            yield self._connections.get(tenant_name, instance)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
            self._connections.drop(tenant_name, instance)
            raise UnavailableError(f"cannot {what} of {tenant_name}: {why(error)}") from error
        except redis.exceptions.RedisError as error:
            raise StalledError(
                f"cannot {what} of {tenant_name}: {why(error)}", reason=reason
            ) from error

    def _finish_background_work(
        self,
        tenant_name: TenantName,
        instance: int,
        *flags: str,
        unless: Callable[[Reply], bool] = lambda _info: False,
    ) -> Reply:
        for _ in self._pauses(timedelta(minutes=10)):
            with self._order(tenant_name, instance, "ask the server") as client:
                info: Reply = client.info("persistence")
            if unless(info) or not any(info.get(flag) for flag in flags):
                return info
        raise WaitingError(f"{tenant_name} is still writing its data")

    def _pauses(self, patience: timedelta) -> Iterator[None]:
        """Yield at once and then after growing pauses, until *patience* ends or we stop."""
        pause, end = _FIRST_PAUSE, self._monotonic() + patience.total_seconds()
        while True:
            yield
            if self._monotonic() >= end or self._stopping.wait(pause):
                return
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def execute(client: redis.Redis, *words: str) -> Any:  # noqa: ANN401 - whatever a server answers
    """Give an order that redis-py has no method for, or a worse one."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call] # redis-py leaves it untyped
