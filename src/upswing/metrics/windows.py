"""The two windows of a comparison: the later one that is to be explained, and the earlier one it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, UsageError
from upswing.core.i18n import text
from upswing.core.units import DAY, Period
from upswing.events.log import EventLog

_YEAR: Final = 364 * DAY
"""A year back that keeps weekdays."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Two windows in µs UTC, starts inclusive, ends exclusive; they do not overlap."""

    before: tuple[int, int]
    after: tuple[int, int]

    def spans(self, calendar: Calendar) -> tuple[str, str]:
        """First and last day of the earlier and of the later window, as text."""
        days = [
            (calendar.local(a).date().isoformat(), calendar.local(b - 1).date().isoformat())
            for a, b in (self.before, self.after)
        ]
        first, second = (a if a == b else f"{a} – {b}" for a, b in days)
        return first, second

    @property
    def equal_length(self) -> bool:
        """Whether both are as long, give or take a change of clocks."""
        return abs((self.after[1] - self.after[0]) - (self.before[1] - self.before[0])) <= DAY // 12


def resolve_windows(
    log: EventLog,
    *,
    start: str | None = None,
    stop: str | None = None,
    against: str = "previous",
    period: Period = "week",
    periods: int = 1,
) -> Windows:
    """The later window, and the earlier one.

    Args:
        log: the event log.
        start: first moment of the later window; the last `periods` complete periods if absent.
        stop: its end, exclusive; the end of the log with a `start` alone.
        against: ``previous``: as long and just before; ``year``: 52 weeks before; ``FROM..TO``: these dates.
        period: what the last complete one is of.
        periods: how many of them.

    Raises:
        UsageError: UP660 windows that overlap, fewer than one period, or an `against` that cannot be read.
        DataError: UP317 no events in the earlier window.
    """
    schema = log.require_events()
    assert schema.horizon is not None
    assert schema.first_time is not None
    if start is None:
        after, periods = _last_complete(log, period, periods, stop)
    else:
        after = log.resolve_range(start, stop)
    if against == "previous":
        before = (_back(log, after, period, periods) if start is None else 2 * after[0] - after[1], after[0])
    elif against == "year":
        before = (after[0] - _YEAR, after[1] - _YEAR)
    else:
        before = _written(log, against)
    if before[1] > after[0] and before[0] < after[1]:
        raise UsageError(
            text("the two windows overlap"), code="UP660", hint=text("give --against FROM..TO that lies apart")
        )
    if before[1] <= schema.first_time or before[0] > schema.horizon:
        raise DataError(
            text(
                "the log has no events in the earlier window, which begins {start}",
                start=f"{log.calendar.local(before[0]):%Y-%m-%d}",
            ),
            code="UP317",
            hint=text("the log begins {start}", start=f"{log.calendar.local(schema.first_time):%Y-%m-%d}"),
        )
    return Windows(before, after)


def _last_complete(log: EventLog, period: Period, periods: int, stop: str | None) -> tuple[tuple[int, int], int]:
    """The last complete periods, and how many of them the log has."""
    if periods < 1:
        raise UsageError(text("a window needs at least one {period}, got {n}", period=period, n=periods), code="UP660")
    schema = log.require_events()
    assert schema.first_time is not None
    assert schema.horizon is not None
    until = schema.horizon if stop is None else log.calendar.instant(stop)
    edges = log.calendar.edges(period, schema.first_time, until)
    done = [int(e) for e in edges if int(e) <= until]
    if len(done) < 2:
        raise DataError(
            text("no {period} is complete yet", period=period),
            code="UP318",
            hint=text("give the windows: --from DATE --to DATE --against FROM..TO"),
        )
    there = min(periods, len(done) - 1)
    return (done[-1 - there], done[-1]), there


def _back(log: EventLog, after: tuple[int, int], period: Period, periods: int) -> int:
    """Start of as many periods before: months are not of one length."""
    edges = log.calendar.edges(period, after[0] - periods * 32 * DAY, after[0])
    done = [int(e) for e in edges if int(e) <= after[0]]
    return done[max(0, len(done) - 1 - periods)]


def _written(log: EventLog, against: str) -> tuple[int, int]:
    first, sign, last = against.partition("..")
    if not sign or not first or not last:
        raise UsageError(
            text("'{against}' names no window", against=against),
            code="UP660",
            hint=text("write previous, year, or 2026-05-04..2026-05-11"),
        )
    return log.resolve_range(first, last)


def _day(log: EventLog, micros: int) -> str:
    return log.calendar.local(micros).date().isoformat()
