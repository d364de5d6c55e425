"""Stickiness: on how many days of a week or month users are active; and, under their own names, DAU/WAU and DAU/MAU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from operator import add
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Chart, Column, Result, Table, show, with_groups
from upswing.core.units import Period
from upswing.diagnose.groups import Groups, Segment, groups_by, place_of, run_grouped, users_of
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.periods import PeriodGrid
from upswing.sequences.stickiness import ActiveDaysKernel, TrailingKernel
from upswing.spec.steps import EventMatch

Moment = str | date | datetime | None
Span = Literal["week", "month", "range"]
SPANS: Final[tuple[Span, ...]] = ("week", "month", "range")
_TRAILING: Final = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class ActiveDays:
    """Users of one period by the number of their active days.

    Attributes:
        start: first day of the period, ISO text.
        users: users active on exactly 1, 2, 3 … days, up to the days of the longest period.
        complete: the whole period is in the range and had ended by the last trusted event.
    """

    start: str
    users: tuple[int, ...]
    complete: bool

    @property
    def total(self) -> int:
        """Users active on at least one day."""
        return sum(self.users)

    @property
    def at_least(self) -> tuple[int, ...]:
        """Users active on at least 1, 2, 3 … days."""
        return tuple(int(n) for n in np.cumsum(self.users[::-1])[::-1])

    @property
    def mean(self) -> float | None:
        """Active days per active user."""
        return sum(d * n for d, n in enumerate(self.users, start=1)) / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class ActiveUsers:
    """Users active on a day (DAU), and on any of the 7 (WAU) or 30 (MAU) local days that end with it.

    `wau` and `mau` are None while the log is younger than their days.
    """

    day: str
    dau: int
    wau: int | None
    mau: int | None
    complete: bool

    @property
    def dau_wau(self) -> float | None:
        """DAU over WAU."""
        return self.dau / self.wau if self.wau else None

    @property
    def dau_mau(self) -> float | None:
        """DAU over MAU."""
        return self.dau / self.mau if self.mau else None


@dataclass(frozen=True, slots=True)
class StickinessGroup:
    """The same of one group; a user is in one group only, so groups add up to the whole."""

    value: str
    periods: tuple[ActiveDays, ...]
    series: tuple[ActiveUsers, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StickinessResult(Result):
    """Histograms of active days by period, and the daily series of active users; also by group."""

    verb: ClassVar[str] = "stickiness"
    event: Text | str
    period: Span
    periods: tuple[ActiveDays, ...]
    series: tuple[ActiveUsers, ...]
    by: str | None = None
    groups: tuple[StickinessGroup, ...] = ()
    keys: Callable[[int, int, str | None], Keys] | None = field(default=None, repr=False, compare=False)

    def users_in(self, period: str, days: int, *, group: str | None = None) -> Keys:
        """Sorted keys of the users active on exactly so many days of a period, in all or in one group.

        Raises:
            UsageError: UP644 no such period or group in this result; UP649 it is no longer tied to its log.
        """
        if self.keys is None:
            raise UsageError(text("this result no longer has its log"), code="UP649")
        starts = [p.start for p in self.periods]
        if period not in starts:
            message = text("no period '{period}' in this result", period=period)
            raise UsageError(message, code="UP644", hint=did_you_mean(period, starts))
        return self.keys(starts.index(period), days, group)

    def title(self) -> Text:
        """The question."""
        return text("On how many days are users active? ({event})", event=self.event)

    def verdict(self) -> Text | str:
        """The last complete period, and the mean ratio of its days."""
        done = [p for p in self.periods if p.complete and p.total]
        if not done:
            return text("No period is complete yet.")
        last = done[-1]
        return text(
            "{start}: an active user is active on {mean} days; {once} of {total} users on one day only.",
            start=last.start, mean=show(last.mean, "number"), once=f"{last.users[0]:,}", total=f"{last.total:,}",
        )  # fmt: skip

    def data(self) -> dict[str, object]:
        """Histograms (exactly n days), their cumulation (at least n days), the daily series, and the same by group."""
        body: dict[str, object] = {"period": self.period, **_data(self.periods, self.series)}
        if self.by is not None:
            body["by"] = self.by
            body["groups"] = [{"value": g.value, **_data(g.periods, g.series)} for g in self.groups]
        return body

    def tables(self) -> list[Table]:
        """Days by period in long form, and the daily series; then both by group."""
        days = (
            Column("start", text("Period")),
            Column("days", text("Active days"), "count"),
            Column("users", text("Users on exactly that many"), "count"),
            Column("share", text("Share"), "ratio", text("of the users active in the period")),
            Column("at_least", text("Users on at least that many"), "count"),
            Column("at_least_share", text("Share, at least"), "ratio"),
        )
        series = (
            Column("day", text("Day")),
            Column("dau", text("DAU"), "count", text("users active on the day")),
            Column("wau", text("WAU"), "count", text("users active on any of the 7 days up to it")),
            Column("mau", text("MAU"), "count", text("users active on any of the 30 days up to it")),
            Column("dau_wau", text("DAU/WAU"), "ratio"),
            Column("dau_mau", text("DAU/MAU"), "ratio"),
            Column("complete", text("Complete")),
        )
        found = [
            Table("days", text("Active days"), days, _day_rows(self.periods)),
            Table("active_users", text("Active users"), series, _series_rows(self.series)),
        ]
        if self.by is not None:
            head = Column("group", self.by, doc=text("value at the user's first such event"))
            by_days: list[tuple[Cell, ...]] = [(g.value, *row) for g in self.groups for row in _day_rows(g.periods)]
            daily: list[tuple[Cell, ...]] = [(g.value, *row) for g in self.groups for row in _series_rows(g.series)]
            found.append(Table("groups", text("Active days by group"), (head, *days), by_days))
            found.append(Table("active_users_by_group", text("Active users by group"), (head, *series), daily))
        return found

    def export(self) -> Table:
        """Days by period, for all and for each group."""
        main = self.tables()[0]
        if self.by is None:
            return main
        return with_groups(main, self.by, [(g.value, _day_rows(g.periods)) for g in self.groups])

    def charts(self) -> list[Chart]:
        """Users by active days, a line per period; the two ratios over time, and one of them by group."""
        found = [
            Chart("line", "days", text("Users by active days"), x="days", y=("share",), series="start"),
            Chart("line", "active_users", text("DAU/WAU and DAU/MAU"), x="day", y=("dau_wau", "dau_mau")),
        ]
        if self.groups:
            found.append(
                Chart("line", "active_users_by_group", text("DAU/MAU"), x="day", y=("dau_mau",), series="group")
            )
        return found


def stickiness(
    log: EventLog,
    match: EventMatch,
    *,
    period: Span = "week",
    unit: Period = "day",
    start: Moment = None,
    stop: Moment = None,
    by: str | None = None,
    limit: int = 10,
    users: Keys | None = None,
    segment: Segment | None = None,
) -> StickinessResult:
    """Distinct active local days per user and period; and daily, weekly and monthly active users with their ratios.

    The two are different questions and are named apart: the histogram says how many days users come; DAU/MAU is a
    ratio of two counts on one day and says nothing about any user.

    Args:
        log: the event log.
        match: what counts as active.
        period: week or month of the workspace's calendar, or the range as one period.
        unit: what is counted: active days, or hours, weeks or months.
        start: first moment; cut at local days.
        stop: end, exclusive.
        by: property to break down by, at its value on the user's first such event in the range; a user is in one group.
        limit: most groups with a name of their own; the rest is "(other)", users without a value are "(none)".
        users: sorted user keys to keep; None = all.
        segment: name and sorted keys of a segment to compare with everybody else; instead of `by`.

    Raises:
        UsageError: UP301 no such property, UP302 no such event, UP622 no such period, UP640 a range that ends before it begins.
    """
    if period not in SPANS:
        raise UsageError(
            text("no period '{period}'", period=period), code="UP622", hint=did_you_mean(str(period), SPANS)
        )
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    schema = log.require_events()
    horizon = schema.horizon or 0
    days = log.calendar.edges("day", lo, hi)
    units = log.calendar.edges(unit, int(days[0]), int(days[-1]))
    bounds = units[[0, -1]] if period == "range" else log.calendar.edges(period, int(days[0]), int(days[-1]))
    owner = np.maximum(np.searchsorted(bounds, units[:-1], side="right") - 1, 0)  # a week may begin before its month
    kernel = ActiveDaysKernel(PeriodGrid.of(units), owner, len(bounds) - 1)
    until = min(int(days[-1]), horizon + 1)
    request = SequenceRequest(marks=(log.mark(match),), start=int(days[0]), stop=until, users=users)
    groups = groups_by(scan, by, match, start=int(days[0]), stop=until, limit=limit, users=users, segment=segment)
    names = () if groups is None else groups.names
    histogram, parts = run_grouped(scan, kernel, request, add, groups)
    periods = _periods(log, period, bounds, days, histogram, horizon)
    series, split = _series(log, match, scan, days, until, users, groups)

    def members(index: int, count: int, group: str | None) -> Keys:
        place = place_of(names, group)
        return users_of(scan, request, lambda batch: kernel.days(batch, index) == count, groups, place)

    how = scan.how(
        definition={
            "event": match.model_dump(mode="json", exclude_defaults=True),
            "period": period,
            "unit": unit,
            "by": None if groups is None else groups.by,
        },
        window=log.window(int(days[0]), int(days[-1]), period=period),
        method=text(
            "Distinct local days with an event, per user and period; users active on the last 1, 7 and 30 days"
        ),
        caveats=_caveats(periods),
    )
    found = [
        StickinessGroup(name, _periods(log, period, bounds, days, part, horizon), daily)
        for name, part, daily in zip(names, parts, split, strict=False)
        if part.any()
    ]
    return StickinessResult(
        how=how,
        event=match.words,
        period=period,
        periods=periods,
        series=series,
        by=None if groups is None else groups.label,
        groups=tuple(found),
        keys=members,
    )


def _periods(
    log: EventLog, period: Span, bounds: NDArray[np.int64], days: NDArray[np.int64],
    histogram: NDArray[np.int64] | None, horizon: int,
) -> tuple[ActiveDays, ...]:  # fmt: skip
    found = []
    for i, edge in enumerate(bounds[:-1]):
        counts = () if histogram is None else tuple(int(n) for n in histogram[i, 1:])
        whole = bounds[i] >= days[0] and bounds[i + 1] <= min(int(days[-1]), horizon)
        label = log.calendar.label(int(edge), "day" if period == "range" else period)
        found.append(ActiveDays(label, counts, bool(whole)))
    return tuple(found)


def _series(
    log: EventLog, match: EventMatch, scan: Scan, days: NDArray[np.int64], until: int, users: Keys | None,
    groups: Groups | None,
) -> tuple[tuple[ActiveUsers, ...], list[tuple[ActiveUsers, ...]]]:  # fmt: skip
    """The daily series of all and of each group; events of the 29 days before the range are read for it, too."""
    schema = log.require_events()
    horizon, first = schema.horizon or 0, schema.first_time or 0
    back = max(_TRAILING) - 1
    earlier = log.calendar.local(int(days[0])).date() - timedelta(days=back)
    long = log.calendar.edges("day", earlier, int(days[-1]))
    kernel = TrailingKernel(PeriodGrid.of(long), np.array(_TRAILING, dtype=np.int64))
    request = SequenceRequest(marks=(log.mark(match),), start=int(long[0]), stop=until, users=users)
    whole, parts = run_grouped(scan, kernel, request, add, groups)
    oldest = log.calendar.floor(first, "day")

    def daily(counts: NDArray[np.int64]) -> tuple[ActiveUsers, ...]:
        found = []
        for d in range(back, len(long) - 1):
            known = [long[d - k + 1] >= oldest for k in _TRAILING]
            values = [int(counts[i, d]) if known[i] else None for i in range(len(_TRAILING))]
            label = log.calendar.label(int(long[d]), "day")
            found.append(ActiveUsers(label, int(counts[0, d]), values[1], values[2], bool(long[d + 1] <= horizon)))
        return tuple(found)

    nobody = np.zeros((len(_TRAILING), len(long) - 1), dtype=np.int64)
    return daily(nobody if whole is None else whole), [daily(part) for part in parts]


def _data(periods: Sequence[ActiveDays], series: Sequence[ActiveUsers]) -> dict[str, object]:
    return {
        "periods": [
            {
                "start": p.start, "users": list(p.users), "at_least": list(p.at_least), "total": p.total,
                "mean_days": p.mean, "complete": p.complete,
            }
            for p in periods
        ],
        "active_users": [
            {
                "day": a.day, "dau": a.dau, "wau": a.wau, "mau": a.mau, "dau_wau": a.dau_wau, "dau_mau": a.dau_mau,
                "complete": a.complete,
            }
            for a in series
        ],
    }  # fmt: skip


def _day_rows(periods: Sequence[ActiveDays]) -> list[tuple[Cell, ...]]:
    return [
        (p.start, d, n, n / p.total if p.total else None, m, m / p.total if p.total else None)
        for p in periods
        for d, (n, m) in enumerate(zip(p.users, p.at_least, strict=True), start=1)
    ]


def _series_rows(series: Sequence[ActiveUsers]) -> list[tuple[Cell, ...]]:
    return [(a.day, a.dau, a.wau, a.mau, a.dau_wau, a.dau_mau, a.complete) for a in series]


def _caveats(periods: tuple[ActiveDays, ...]) -> list[Caveat]:
    cut = [p.start for p in periods if not p.complete]
    if not cut:
        return []
    message = text("cut by the range or not complete yet: {periods}", periods=", ".join(cut[:5]))
    return [Caveat("incomplete", message)]
