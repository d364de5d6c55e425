"""The workspace's clock: local periods as UTC edges, so that days of 23 or 25 hours and short months come out right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.core.units import HOUR, PERIODS, Period

WeekStart = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: Final[tuple[WeekStart, ...]] = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_YEAR: Final = 1800
_LAST_YEAR: Final = 2199


@dataclass(frozen=True, slots=True)
class Calendar:
    """Time zone and first day of the week.

    Examples:
        >>> edges = Calendar("Europe/Berlin").edges("day", "2026-03-28", "2026-03-31")
        >>> [(b - a) // 3_600_000_000 for a, b in zip(edges, edges[1:])]  # clocks go forward on 29 March
        [np.int64(24), np.int64(23), np.int64(24)]
    """

    timezone: str = "UTC"
    week_start: WeekStart = "monday"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(
                text("no time zone '{zone}'", zone=self.timezone),
                code="UP620",
                hint=did_you_mean(self.timezone, available_timezones()),
            ) from None

    @property
    def zone(self) -> ZoneInfo:
        """The zone's rules."""
        return ZoneInfo(self.timezone)

    def instant(self, value: str | date | datetime) -> int:
        """A moment as µs UTC: an ISO date is that day's local midnight; a naive time is local; an aware one is kept.

        Raises:
            UsageError: UP621 when it is neither an ISO date nor an ISO time, UP623 outside the years 1800 to 2199.
        """
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                raise UsageError(
                    text("'{value}' is not a date or time", value=value),
                    code="UP621",
                    hint=text("write 2026-11-22 or 2026-11-22T08:30"),
                ) from None
        if not isinstance(value, datetime):
            value = datetime.combine(value, time())
        if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
            raise UsageError(
                text("'{value}' is outside of the years {first} to {last}", value=value.date(), first=_FIRST_YEAR,
                     last=_LAST_YEAR),
                code="UP623",
                hint=text("leave it out where there is no limit"),
            )  # fmt: skip
        return to_micros(value if value.tzinfo else value.replace(tzinfo=self.zone))

    def local(self, micros: int) -> datetime:
        """A moment in µs UTC as local aware time."""
        return (_EPOCH + timedelta(microseconds=int(micros))).astimezone(self.zone)

    def floor(self, micros: int, period: Period) -> int:
        """Start of the local period that contains the moment."""
        moment = self.local(micros)
        if period == "hour":
            offset = int((moment.utcoffset() or timedelta()) / _MICROSECOND)  # half-hour zones cut at local hours
            return (int(micros) + offset) // HOUR * HOUR - offset
        return self._midnight(self._floor_date(moment.date(), period))

    def edges(self, period: Period, start: str | date | int, stop: str | date | int) -> NDArray[np.int64]:
        """Edges (µs UTC) of the local periods that cover [start, stop).

        The first period contains `start`, the last ends at or after `stop`.

        Returns:
            shape (n_periods + 1,), strictly ascending.
        """
        if period not in PERIODS:
            raise UsageError(
                text("no period '{period}'", period=period), code="UP622", hint=did_you_mean(str(period), PERIODS)
            )
        lo = start if isinstance(start, int | np.integer) else self.instant(start)
        hi = stop if isinstance(stop, int | np.integer) else self.instant(stop)
        if period == "hour":
            first = self.floor(int(lo), "hour")
            count = max(1, -(-(int(hi) - first) // HOUR))
            return first + HOUR * np.arange(count + 1, dtype=np.int64)
        day = self._floor_date(self.local(int(lo)).date(), period)
        found = [self._midnight(day)]
        while found[-1] < hi or len(found) < 2:
            day = self.next_date(day, period)
            begins = self._midnight(day)
            if begins > found[-1]:  # a date that a zone skipped altogether has no length
                found.append(begins)
        return np.array(found, dtype=np.int64)

    def next_date(self, day: date, period: Period) -> date:
        """First day of the next period, given the first day of one."""
        if period == "month":
            return date(day.year + day.month // 12, day.month % 12 + 1, 1)
        return day + timedelta(days=7 if period == "week" else 1)

    def label(self, micros: int, period: Period) -> str:
        """The period that starts at `micros` as ISO text: a date, or date and hour, or year and month."""
        moment = self.local(micros)
        if period == "hour":
            return moment.strftime("%Y-%m-%dT%H:%M%z")
        return moment.strftime("%Y-%m") if period == "month" else moment.date().isoformat()

    def _midnight(self, day: date) -> int:
        return to_micros(datetime.combine(day, time(), self.zone))

    def _floor_date(self, day: date, period: Period) -> date:
        if period == "week":
            return day - timedelta(days=(day.weekday() - WEEKDAYS.index(self.week_start)) % 7)
        return day.replace(day=1) if period == "month" else day


def to_micros(moment: datetime) -> int:
    """An aware time as µs since the epoch, exact."""
    return (moment - _EPOCH) // _MICROSECOND


def period_index(times: NDArray[np.int64], edges: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the period that contains each time; -1 before the first edge, len(edges)-1 at or after the last."""
    return np.searchsorted(np.asarray(edges, dtype=np.int64), times, side="right").astype(np.int64) - 1
