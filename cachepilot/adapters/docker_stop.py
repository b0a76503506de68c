"""Ending a server that must have saved: told once, waited for, and never killed.

Docker's own way to stop a container kills whoever has not ended in time, and a server whose disk
is full does not end: it says that it cannot save, and serves on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from threading import Event

import docker

from cachepilot.adapters.docker_client import engine_errors
from cachepilot.adapters.docker_inspect import Json
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.spec.document import TenantName

_SIGNAL = "SIGTERM"
# A server looks for signals at least once a second, and answers nobody while it saves.
_HEARD = timedelta(seconds=3)
_ROUND = _HEARD + timedelta(seconds=1)


def end_by_itself(
    client: docker.APIClient,
    tenant_name: TenantName,
    container_id: str,
    *,
    patience: timedelta,
    answers: Callable[[], bool],
    monotonic: Callable[[], float],
    last_words: Callable[[Json], str],
) -> None:
    """Tell a server to save and end, and return when it has.

    Docker does not start a container again by itself whose process was told to end; if the server
    serves on and crashes later, the next visit starts it.

    Args:
        client: The engine.
        tenant_name: Whose server it is.
        container_id: Its container.
        patience: How long it may save.
        answers: Asks the server for a sign of life.
        monotonic: Seconds that never jump.
        last_words: Returns the end of the log of an inspected container.

    Raises:
        StalledError: It answers instead of ending, as it cannot save (reason ``SaveFailed``).
        UnavailableError: It has not ended after *patience*, or nobody can tell.
        WaitingError: It ended, but not of its own accord.
    """
    what = f"cannot stop the server of {tenant_name}"
    try:
        with engine_errors(what):
            client.kill(container_id, signal=_SIGNAL)
    except UnavailableError as error:
        if "is not running" not in str(error):
            raise
    answered = 0
    for _ in range(max(2, patience // _ROUND)):
        begun = monotonic()
        with suppress(UnavailableError), engine_errors(what):
            client.wait(container_id, timeout=int(_HEARD.total_seconds()))
        with engine_errors(what):
            inspected: Json = client.inspect_container(container_id)
        if not inspected["State"]["Running"]:
            break
        # Whatever cut the wait short, a server needs this time to hear of it.
        Event().wait(max(0.0, _HEARD.total_seconds() - (monotonic() - begun)))
        answered = answered + 1 if answers() else 0
        if answered > 1:
            raise StalledError(
                f"{what}: told to save and end, it serves on; its last words: "
                f"{last_words(inspected)}",
                reason="SaveFailed",
            )
    else:
        raise UnavailableError(f"{what}: it has not ended within {patience.total_seconds():.0f} s")
    if code := inspected["State"]["ExitCode"]:
        raise WaitingError(
            f"{what} without loss: told to save and end, it ended with exit code {code}"
        )
