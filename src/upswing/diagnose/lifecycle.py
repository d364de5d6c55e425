"""Lifecycle: where the active users of each period come from, and how many went quiet; the parts add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import add
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Chart, Column, Result, Table, with_groups
from upswing.core.units import Period
from upswing.diagnose.groups import Segment, groups_by, place_of, run_grouped, users_of
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.lifecycle import STATES, LifecycleCounts, LifecycleKernel, State
from upswing.sequences.periods import PeriodGrid
from upswing.spec.steps import EventMatch

Moment = str | date | datetime | None
Listed = State | Literal["active"]
"""Whose users can be listed: those in a state, or all that are active."""


@dataclass(frozen=True, slots=True)
class LifecyclePeriod:
    """One period's users.

    Attributes:
        start: first day (or hour) of the period, ISO text.
        active: users with an event in it; new + returning + resurrecting.
        new: their first event ever is in it.
        returning: active in the period before, too.
        resurrecting: active earlier, not in the period before.
        dormant: active in the period before, not in this one.
        complete: the period ended by the last trusted event; until then new, returning and resurrecting can rise and
            dormant can fall.
    """

    start: str
    active: int
    new: int
    returning: int
    resurrecting: int
    dormant: int
    complete: bool

    @property
    def pulse(self) -> float | None:
        """(new + resurrecting) / dormant; above 1 the active users grow. None when nobody went quiet."""
        return (self.new + self.resurrecting) / self.dormant if self.dormant else None


@dataclass(frozen=True, slots=True)
class LifecycleGroup:
    """The lifecycle of one group; a user is in one group only, so groups add up to the whole."""

    value: str
    before: int
    periods: tuple[LifecyclePeriod, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleResult(Result):
    """Lifecycle by period; `users_in` says who is behind a number."""

    verb: ClassVar[str] = "lifecycle"
    event: Text | str
    period: Period
    before: int
    periods: tuple[LifecyclePeriod, ...]
    by: str | None = None
    groups: tuple[LifecycleGroup, ...] = ()
    members: Callable[[int, Listed, str | None], Keys] | None = field(default=None, repr=False, compare=False)

    def users_in(self, period: str, state: Listed, *, group: str | None = None) -> Keys:
        """Sorted keys of the users in a state in a period, in all or in one group, by the pass that counted them; the active
        ones are all but the dormant.

        Raises:
            UsageError: UP644 no such period, state or group in this result; UP649 it is no longer tied to its log.
        """
        starts = [p.start for p in self.periods]
        if self.members is None:
            raise UsageError(text("this result no longer has its log"), code="UP649")
        if period not in starts:
            message = text("no period '{period}' in this result", period=period)
            raise UsageError(message, code="UP644", hint=did_you_mean(period, starts))
        if state not in (*STATES, "active"):
            message = text("no state '{state}'", state=state)
            raise UsageError(message, code="UP644", hint=did_you_mean(state, (*STATES, "active")))
        return self.members(starts.index(period), state, group)

    def title(self) -> Text:
        """The question."""
        return text("Where do active users come from, and how many go quiet? ({event})", event=self.event)

    def verdict(self) -> Text | str:
        """The last complete period: gains against losses."""
        done = [p for p in self.periods if p.complete]
        if not done:
            return text("No period is complete yet.")
        last = done[-1]
        gained, lost = last.new + last.resurrecting, last.dormant
        words = {
            "period": last.start, "active": f"{last.active:,}", "new": f"{last.new:,}",
            "back": f"{last.resurrecting:,}", "lost": f"{lost:,}", "net": f"{abs(gained - lost):,}",
        }  # fmt: skip
        if gained > lost:
            return text(
                "{period}: {active} active; {new} new and {back} back outweigh {lost} gone quiet by {net}.", **words
            )
        if gained < lost:
            return text(
                "{period}: {active} active; {lost} gone quiet outweigh {new} new and {back} back by {net}.", **words
            )
        return text("{period}: {active} active; {new} new and {back} back make up for {lost} gone quiet.", **words)

    def data(self) -> dict[str, object]:
        """One object per period, the users active in the period before the first, and the same by group."""
        body: dict[str, object] = {
            "period": self.period, "active_before": self.before, "periods": [_period_data(p) for p in self.periods],
        }  # fmt: skip
        if self.by is not None:
            body["by"] = self.by
            body["groups"] = [
                {"value": g.value, "active_before": g.before, "periods": [_period_data(p) for p in g.periods]}
                for g in self.groups
            ]
        return body

    def tables(self) -> list[Table]:
        """One row per period, then per group and period; dormant users below zero, as they are drawn."""
        columns = (
            Column("start", text("Period")),
            Column("active", text("Active"), "count", text("new, returning and resurrecting users together")),
            Column("new", text("New"), "count", text("first such event ever")),
            Column("returning", text("Returning"), "count", text("active in the period before, too")),
            Column("resurrecting", text("Resurrecting"), "count", text("active earlier, but not in the period before")),
            Column("dormant", text("Dormant"), "count", text("active in the period before, not now; shown as a loss")),
            Column("pulse", text("Pulse"), "number", text("gained users for each dormant one; above 1 is growth")),
            Column("complete", text("Complete"), doc=text("the period had ended by the last event")),
        )  # fmt: skip
        found = [Table("lifecycle", text("Lifecycle"), columns, [_period_row(p) for p in self.periods])]
        if self.by is not None:
            split = (Column("group", self.by, doc=text("value at the user's first such event")), *columns)
            rows: list[tuple[Cell, ...]] = [(g.value, *_period_row(p)) for g in self.groups for p in g.periods]
            found.append(Table("groups", text("By group"), split, rows))
        return found

    def export(self) -> Table:
        """One row per period, for all and for each group."""
        main = self.tables()[0]
        if self.by is None:
            return main
        return with_groups(main, self.by, [(g.value, [_period_row(p) for p in g.periods]) for g in self.groups])

    def charts(self) -> list[Chart]:
        """Stacked bars, losses below zero; and the groups' active users."""
        parts = ("new", "returning", "resurrecting", "dormant")
        found = [Chart("stacked", "lifecycle", text("Lifecycle"), x="start", y=parts)]
        if self.groups:
            found.append(Chart("line", "groups", text("Active users"), x="start", y=("active",), series="group"))
        return found


def lifecycle(
    log: EventLog,
    match: EventMatch,
    *,
    period: Period = "week",
    start: Moment = None,
    stop: Moment = None,
    by: str | None = None,
    limit: int = 10,
    users: Keys | None = None,
    segment: Segment | None = None,
) -> LifecycleResult:
    """New, returning, resurrecting and dormant users by period of the workspace's calendar.

    New means the first qualifying event in the whole log, not in the range. Two identities hold for every period and
    are checked before the result is given out: active = new + returning + resurrecting, and active - active before =
    new + resurrecting - dormant.

    Args:
        log: the event log.
        match: what counts as active.
        period: hour, day, week or month.
        start: first moment; the whole period that contains it is used.
        stop: end, exclusive; the whole period that contains the moment before it is used.
        by: property to break down by, at its value on the user's first qualifying event ever; a user is in one group.
        limit: most groups with a name of their own; the rest is "(other)", users without a value are "(none)".
        users: sorted user keys to keep; None = all.
        segment: name and sorted keys of a segment to compare with everybody else; instead of `by`.

    Raises:
        UsageError: UP301 no such property, UP302 no such event, UP622 no such period, UP640 a range that ends before it begins.
    """
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    inside = log.calendar.edges(period, lo, hi)
    before = log.calendar.floor(int(inside[0]) - 1, period)
    grid = PeriodGrid.of(np.concatenate((np.array([before], dtype=np.int64), inside)))
    horizon = log.require_events().horizon or 0
    kernel = LifecycleKernel(grid)
    request = SequenceRequest(marks=(log.mark(match),), stop=min(int(inside[-1]), horizon + 1), users=users)
    empty = LifecycleCounts(np.zeros(grid.n_periods, dtype=np.int64), np.zeros((4, grid.n_periods), dtype=np.int64))
    first = log.require_events().first_time or 0
    groups = groups_by(
        scan, by, match, start=min(lo, first), stop=request.stop or hi, limit=limit, users=users, segment=segment
    )
    found, parts = run_grouped(scan, kernel, request, add, groups)

    def periods_of(counts: LifecycleCounts) -> tuple[LifecyclePeriod, ...]:
        _assert_adds_up(counts.active, counts.states)
        return tuple(
            LifecyclePeriod(
                start=log.calendar.label(int(grid.edges[i]), period),
                active=int(counts.active[i]),
                complete=bool(grid.edges[i + 1] <= horizon),
                **{state: int(n) for state, n in zip(STATES, counts.states[:, i], strict=True)},
            )
            for i in range(1, grid.n_periods)
        )

    def members(index: int, state: Listed, group: str | None) -> Keys:
        wanted = [i for i, known in enumerate(STATES) if known == state or (state == "active" and known != "dormant")]
        place = place_of(() if groups is None else groups.names, group)
        return users_of(scan, request, lambda batch: np.isin(kernel.states(batch, index + 1), wanted), groups, place)

    counts = found or empty
    periods = periods_of(counts)

    how = scan.how(
        definition={
            "event": match.model_dump(mode="json", exclude_defaults=True),
            "period": period,
            "by": None if groups is None else groups.by,
        },
        window=log.window(int(inside[0]), int(inside[-1]), period=period),
        method=text(
            "Each user's active periods in order: new at the first ever, returning when the period before was active, "
            "too, resurrecting otherwise; dormant once, in the first period without activity. The sums are checked"
        ),
        caveats=_caveats(periods),
    )
    return LifecycleResult(
        how=how,
        event=match.words,
        period=period,
        before=int(counts.active[0]),
        periods=periods,
        by=None if groups is None else groups.label,
        groups=tuple(
            LifecycleGroup(name, int(part.active[0]), periods_of(part))
            for name, part in zip(() if groups is None or not parts else groups.names, parts, strict=True)
            if part.active.any()
        ),
        members=members,
    )


def _period_data(p: LifecyclePeriod) -> dict[str, object]:
    return {
        "start": p.start, "active": p.active, "new": p.new, "returning": p.returning, "resurrecting": p.resurrecting,
        "dormant": p.dormant, "pulse": p.pulse, "complete": p.complete,
    }  # fmt: skip


def _period_row(p: LifecyclePeriod) -> tuple[Cell, ...]:
    return (p.start, p.active, p.new, p.returning, p.resurrecting, -p.dormant, p.pulse, p.complete)


def _assert_adds_up(active: NDArray[np.int64], states: NDArray[np.int64]) -> None:
    new, returning, resurrecting, dormant = states[:, 1:]
    if not np.array_equal(active[1:], new + returning + resurrecting):
        raise AssertionError("lifecycle: active users are not the sum of their states")
    if not np.array_equal(np.diff(active), new + resurrecting - dormant):
        raise AssertionError("lifecycle: the change of active users is not gains less losses")


def _caveats(periods: tuple[LifecyclePeriod, ...]) -> list[Caveat]:
    open_periods = [p.start for p in periods if not p.complete]
    if not open_periods:
        return []
    message = text("not complete yet: {periods}. Users may still come back in it", periods=", ".join(open_periods[:5]))
    return [Caveat("incomplete", message)]
