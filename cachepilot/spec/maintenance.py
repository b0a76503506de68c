"""When clients may be disturbed: what opens a window, and for how long it stays open.

cronsim knows the calendar, with Debian's rules for the hour that is skipped or repeated when
clocks change: a window of a skipped hour opens right behind it, one of a repeated hour opens once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from cachepilot.spec.quantities import DURATION_PATTERN, Duration, duration_to_text

_FIELDS = 5
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=7)
# Any moment will do to find out whether an expression can be read.
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
# How far to look back for an opening, nearest first: one that opens often is found at once.
_LOOK_BACK = (timedelta(hours=2), timedelta(days=2), _LONGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time that comes again and again.

    Attributes:
        cron: When it opens: minute, hour, day of month, month, day of week.
        duration: How long it stays open.
        time_zone: Name of the zone in which *cron* counts.
    """

    cron: str
    duration: timedelta
    time_zone: str

    def __str__(self) -> str:
        return f"{self.cron} {self.time_zone}, for {duration_to_text(self.duration)}"

    def next_opening(self, now: datetime) -> datetime | None:
        """Return when it opens next after *now*, in UTC; None if it never does again."""
        return next(self._openings(now), None)

    def has_room(self, now: datetime, needed: timedelta) -> bool:
        """Return whether it is open at *now* and stays so for *needed*."""
        opened = self._last_opening(now)
        if opened is None:
            return False
        closes, openings = opened + self.duration, self._openings(now)
        opening = next(openings, None)
        while closes - now < needed and opening and opening <= closes:
            closes, opening = opening + self.duration, next(openings, None)
        return closes - now >= needed

    def local(self, moment: datetime) -> datetime:
        """Return *moment* as clocks in this window's zone show it."""
        return moment.astimezone(ZoneInfo(self.time_zone))

    def _last_opening(self, now: datetime) -> datetime | None:
        """Return when it opened last, if that lasts until *now*."""
        for back in _LOOK_BACK:
            since = now - min(back, self.duration)
            opened = list(takewhile(lambda at: at <= now, self._openings(since)))
            if opened:
                return opened[-1]
        return None

    def _openings(self, after: datetime) -> Iterator[datetime]:
        # Sums of local times are wrong where clocks change, so everything is counted in UTC.
        return map(_in_utc, CronSim(self.cron, self.local(after)))


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _cron(text: str) -> str:
    if len(text.split()) != _FIELDS:
        raise PydanticCustomError(
            "cron", "expected five fields: minute, hour, day of month, month and day of week"
        )
    try:
        CronSim(text, _SOME_DAY)  # also refuses days that no month has, which would never come
    except CronSimError as error:
        raise PydanticCustomError(
            "cron", "expected a cron expression such as 0 3 * * 0 ({why})", {"why": str(error)}
        ) from None
    return " ".join(text.split())


def _time_zone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        raise PydanticCustomError(
            "time_zone", "expected a time zone that this host knows, such as UTC or Europe/Berlin"
        ) from None


def _length(span: timedelta) -> timedelta:
    if _SHORTEST <= span <= _LONGEST:
        return span
    raise PydanticCustomError(
        "duration_range",
        "expected {least} to {most}",
        {"least": duration_to_text(_SHORTEST), "most": duration_to_text(_LONGEST)},
    )


Cron = Annotated[
    str,
    AfterValidator(_cron),
    WithJsonSchema({"type": "string", "minLength": 9, "examples": ["0 3 * * 0"]}),
]
TimeZone = Annotated[
    str,
    AfterValidator(_time_zone),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["Europe/Berlin"]}),
]
WindowLength = Annotated[
    Duration,
    AfterValidator(_length),
    WithJsonSchema(
        {"type": "string", "pattern": DURATION_PATTERN, "minLength": 2, "examples": ["2h"]}
    ),
]
