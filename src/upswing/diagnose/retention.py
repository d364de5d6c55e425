"""Retention: cohorts by the period in which users began, and how many of them come back, by lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import add
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.calendar import Calendar
from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat
from upswing.core.units import DAY, HOUR, WEEK, Period
from upswing.diagnose.breakdown import Breakdown, breakdown_by
from upswing.diagnose.groups import Groups, Segment, groups_by, run_grouped, users_of
from upswing.diagnose.retention_result import Cohort, PooledCell, RetentionGroup, RetentionResult, State
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import Category, Key, Mark, Number, SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.batch import Sequences
from upswing.sequences.periods import PeriodGrid
from upswing.sequences.retention import RetentionCounts, RetentionKernel
from upswing.spec.retention import RetentionDefinition
from upswing.stats.proportions import wilson_interval

Moment = str | date | datetime | None

ROLLING: Final[dict[Period, int]] = {"hour": HOUR, "day": DAY, "week": WEEK, "month": 30 * DAY}
"""Length of a rolling period in µs."""
_LONGEST: Final[dict[Period, int]] = {"hour": HOUR, "day": 25 * HOUR, "week": WEEK + HOUR, "month": 32 * DAY}
_MOST_CELLS: Final = 20_000_000


def retention(
    log: EventLog,
    definition: RetentionDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    by: str | None = None,
    limit: int = 10,
    users: Keys | None = None,
    segment: Segment | None = None,
) -> RetentionResult:
    """How many users come back, by the period in which they began.

    A cohort holds the users with a start in one period of the calendar. A cell of lag k counts those with at least
    `min_count` returns in the k-th period after it (calendar), or in [t₀ + k·P, t₀ + (k+1)·P) after their own start t₀
    (rolling). Lag 0 is the cohort itself. A cell is complete when its period ended by the last trusted event, for every
    user of the cohort. The pooled curve is Σ retained / Σ size over the cohorts that are complete at the lag.

    Args:
        log: the event log.
        definition: the question.
        start: first moment of the entry range; default the first event's day.
        stop: its end, exclusive; returns are looked for after it, too.
        by: property to break down by, at its value on the start event.
        limit: most groups with a name of their own; the rest is "(other)".
        users: sorted user keys to keep; None = all.
        segment: name and sorted keys of a segment to compare with everybody else; instead of `by`.

    Raises:
        UsageError: UP301 and UP302 unknown property or event, UP640 a range that ends before it begins, UP645 too many
            cells, UP646 a sum over something that is not a number.
    """
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    groups = (
        None if by is None else breakdown_by(scan, by, definition.start, start=lo, stop=hi, limit=limit, users=users)
    )
    divided = (
        None
        if segment is None
        else groups_by(scan, None, definition.start, start=lo, stop=hi, limit=limit, segment=segment)
    )
    kernel = _kernel(log, definition, lo, hi, groups)
    request = _request(log, definition, kernel, groups, users)
    found, parts = run_grouped(scan, kernel, request, add, divided)
    counts = found or kernel(_nobody(kernel))
    if parts:
        counts = stack(parts)
    names = divided.names if divided is not None else () if groups is None else groups.groups
    table = _Table.of(log.calendar, definition, kernel)
    whole = table.cohorts(counts, None)
    split = tuple(table.group(counts, i, name) for i, name in enumerate(names)) if parts or divided is None else ()
    how = scan.how(
        definition={
            **definition.model_dump(mode="json", exclude_defaults=True),
            "hash": definition.hash,
            "by": by if divided is None else divided.by,
        },
        window=log.window(lo, hi, period=definition.period, clock=definition.clock),
        method=_method(definition),
        caveats=_caveats(definition, kernel, whole, log.calendar),
    )
    shown = [i for i, g in enumerate(split) if any(c.size for c in g.cohorts)]
    return RetentionResult(
        how=how,
        definition=definition,
        cohorts=whole,
        pooled=table.pooled(whole),
        by=by if segment is None else segment[0],
        groups=tuple(split[i] for i in shown),
        members=_Members(scan, kernel, request, tuple(shown), divided).keys,
    )


@dataclass(frozen=True, slots=True)
class _Members:
    """Finds who is in a cell by running the same kernel over the same sequences."""

    scan: Scan
    kernel: RetentionKernel
    request: SequenceRequest
    groups: tuple[int, ...]
    divided: Groups | None

    def keys(self, cohort: int, cell: int, group: int, state: State) -> Keys:
        wanted = 2 if state == "retained" else 1
        chosen = -1 if group < 0 else self.groups[group]
        coded = chosen if self.divided is None else -1

        def choose(batch: Sequences) -> NDArray[np.bool_]:
            here: NDArray[np.bool_] = self.kernel.members(batch, cohort=cohort, cell=cell, group=coded) == wanted
            return here

        return users_of(self.scan, self.request, choose, self.divided, None if chosen < 0 else chosen)


def _kernel(
    log: EventLog, definition: RetentionDefinition, start: int, stop: int, groups: Breakdown | None
) -> RetentionKernel:
    horizon = log.require_events().horizon
    assert horizon is not None
    n_lags = max(last for _, last in definition.cells) + 1
    n_cohorts = len(log.calendar.edges(definition.period, start, stop)) - 1
    n_groups = 1 if groups is None else len(groups.groups)
    if n_cohorts * n_lags * n_groups > _MOST_CELLS:
        raise UsageError(
            text("{n} cohorts of {k} periods are too many", n=n_cohorts, k=n_lags),
            code="UP645",
            hint=text("choose a longer period or a shorter range"),
        )
    until = stop + (n_lags + 1) * _LONGEST[definition.period]
    edges = log.calendar.edges(definition.period, start, max(until, horizon + 1))
    return RetentionKernel(
        grid=PeriodGrid.of(edges),
        n_cohorts=n_cohorts,
        start=start,
        stop=min(stop, horizon + 1),
        n_lags=n_lags,
        horizon=horizon,
        entry=definition.entry,
        at=definition.at,
        brackets=np.array(definition.brackets, dtype=np.int64).reshape(-1, 2),
        rolling=ROLLING[definition.period] if definition.clock == "rolling" else 0,
        min_count=definition.min_count,
        n_groups=n_groups,
        with_sum=definition.sum is not None,
    )


def _request(
    log: EventLog,
    definition: RetentionDefinition,
    kernel: RetentionKernel,
    groups: Breakdown | None,
    users: Keys | None,
) -> SequenceRequest:
    start = log.mark(definition.start)
    marks = [start, log.mark(definition.returns)]
    if definition.entry == "first-ever":
        marks.append(Mark(start.events))
    columns: list[Category | Key | Number] = [] if groups is None else [groups.category]
    if definition.sum is not None:
        known = log.schema.properties.get(definition.sum)
        if known is not None and known.type not in ("number", "integer"):
            raise UsageError(
                text("'{name}' cannot be summed: it holds {type}", name=definition.sum, type=known.type), code="UP646"
            )
        columns.append(Number(log.column(definition.sum)))
    until = kernel.horizon + 1  # later events are not trusted
    if definition.at != "on-or-after":
        reach = kernel.stop + kernel.n_lags * kernel.rolling
        until = min(until, reach if kernel.rolling else int(kernel.grid.edges[kernel.n_cohorts + kernel.n_lags - 1]))
    return SequenceRequest(
        marks=tuple(marks),
        columns=tuple(columns),
        start=kernel.start if definition.entry == "recurring" else None,  # a first start may lie before the range
        stop=until,
        users=users,
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """Turns counts into cohorts and pooled cells.

    Args:
        starts: label of each cohort.
        lags: label of each cell, a number or "a-b".
        bounds: first and last lag of each cell.
        begun: whether the cell has begun for the cohort as a whole, shape (n_cohorts, n_cells).
        ended: whether it has ended.
        rolling: whether users are followed by their own clocks; then the ages tell instead.
    """

    starts: tuple[str, ...]
    lags: tuple[int | str, ...]
    bounds: NDArray[np.int64]
    begun: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    rolling: bool
    with_sum: bool

    @classmethod
    def of(cls, calendar: Calendar, definition: RetentionDefinition, kernel: RetentionKernel) -> _Table:
        edges, cohort = kernel.grid.edges, np.arange(kernel.n_cohorts)[:, None]
        bounds = np.array(definition.cells, dtype=np.int64)
        brackets = definition.at == "brackets"
        return cls(
            starts=tuple(calendar.label(int(e), definition.period) for e in edges[: kernel.n_cohorts]),
            lags=tuple(f"{a}-{b}" if brackets else int(a) for a, b in bounds),
            bounds=bounds,
            begun=edges[cohort + bounds[:, 0]] <= kernel.horizon,
            ended=edges[cohort + bounds[:, 1] + 1] <= kernel.horizon,
            rolling=kernel.rolling > 0,
            with_sum=kernel.with_sum,
        )

    def group(self, counts: RetentionCounts, index: int, name: str) -> RetentionGroup:
        """One group of the breakdown."""
        found = self.cohorts(counts, index)
        return RetentionGroup(name, found, self.pooled(found))

    def cohorts(self, counts: RetentionCounts, group: int | None) -> tuple[Cohort, ...]:
        """The cohorts of one group, or of all groups together."""
        sizes, retained, ages, sums = (
            part.sum(axis=0) if group is None else part[group]
            for part in (counts.sizes, counts.retained, counts.ages, counts.sums)
        )
        # users whose start is at least k whole lags before the horizon, for k = 0 … n_lags
        reached = ages[:, ::-1].cumsum(axis=1)[:, ::-1]
        found = []
        for c, label in enumerate(self.starts):
            size = int(sizes[c])
            if self.rolling:
                begun = (reached[c, self.bounds[:, 0]] > 0) | ((size == 0) & self.begun[c])
                seen = reached[c, self.bounds[:, 1] + 1]
                ended = (seen == size) & ((size > 0) | self.ended[c])
            else:
                begun, ended = self.begun[c], self.ended[c]
                seen = np.where(ended, size, 0)
            found.append(
                Cohort(
                    start=label,
                    size=size,
                    retained=tuple(int(n) if yes else None for n, yes in zip(retained[c], begun, strict=True)),
                    complete=tuple(bool(e) for e in ended),
                    observable=tuple(int(n) for n in seen),
                    sums=self._sums(sums[c], begun) if self.with_sum else (),
                )
            )
        return tuple(found)

    def pooled(self, cohorts: Sequence[Cohort]) -> tuple[PooledCell, ...]:
        """Σ retained / Σ size by cell over the cohorts complete there."""
        cells = []
        for i, lag in enumerate(self.lags):
            ripe = [c for c in cohorts if c.complete[i]]
            kept, size = sum(c.retained[i] or 0 for c in ripe), sum(c.size for c in ripe)
            cell = PooledCell(lag, None, None, None, kept, size, tuple(c.start for c in ripe))
            if size:
                interval = wilson_interval(kept, size)
                cell = replace(cell, rate=kept / size, lower=float(interval.lower), upper=float(interval.upper))
                if self.with_sum:
                    here = sum(c.sums[i] or 0.0 for c in ripe)
                    so_far = sum(c.sums[j] or 0.0 for c in ripe for j in range(i + 1))
                    cell = replace(cell, per_user=here / size, cumulative=so_far / size)
            cells.append(cell)
        return tuple(cells)

    def _sums(self, by_lag: NDArray[np.float64], begun: NDArray[np.bool_]) -> tuple[float | None, ...]:
        totals = [float(by_lag[a : b + 1].sum()) for a, b in self.bounds]
        return tuple(t if yes else None for t, yes in zip(totals, begun, strict=True))


_ENTRIES: Final[dict[str, Text]] = {
    "recurring": text("every period they begin in"), "first-time": text("the first time in the range"),
    "first-ever": text("the first time ever"),
}  # fmt: skip
_RETURNS: Final[dict[str, Text]] = {
    "on": text("in that period"), "on-or-after": text("in that period or later"), "on-or-before": text("by that period"),
    "brackets": text("in brackets of periods"),
}  # fmt: skip


def _method(definition: RetentionDefinition) -> Text:
    clock = (
        text("periods of the workspace's calendar")
        if definition.clock == "calendar"
        else text("periods counted from each user's own start")
    )
    return text(
        "One pass over each user's events; {clock}; a user begins {entry}; a return counts {at}. Pooled: retained "
        "over size of the cohorts complete at the lag, with the Wilson score interval (Wilson 1927)",
        clock=clock, entry=_ENTRIES[definition.entry], at=_RETURNS[definition.at],
    )  # fmt: skip


def _caveats(
    definition: RetentionDefinition, kernel: RetentionKernel, cohorts: Sequence[Cohort], calendar: Calendar
) -> list[Caveat]:
    found = []
    open_cells = sum(not done for c in cohorts for done in c.complete)
    if open_cells:
        message = text(
            "{n} cells are not complete yet: the log ends at {end}. They are left out of the pooled curve",
            n=open_cells, end=calendar.local(kernel.horizon).isoformat(timespec="minutes"),
        )  # fmt: skip
        found.append(Caveat("incomplete", message))
    edges = kernel.grid.edges
    if kernel.start > edges[0]:
        found.append(
            Caveat("partial_cohort", text("the first cohort begins inside its period: {start}", start=cohorts[0].start))
        )
    if definition.entry == "recurring" and kernel.n_cohorts > 1:
        message = text("a user can be in several cohorts, so the pooled interval is narrower than it should be")
        found.append(Caveat("repeated_users", message))
    if definition.at == "on-or-after":
        message = text("returns at any later time count, so older cohorts had more time to return than younger ones")
        found.append(Caveat("unequal_time", message))
    return found


def stack(parts: Sequence[RetentionCounts]) -> RetentionCounts:
    """Counts of several groups of users as those of one kernel with so many groups."""
    return RetentionCounts(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "retained", "ages", "sums"))
    )


def _nobody(kernel: RetentionKernel) -> Sequences:
    none = np.zeros(0, dtype=np.int64)
    columns = (none,) * ((kernel.n_groups > 1) + kernel.with_sum)
    return Sequences(none, np.zeros(1, dtype=np.int64), none, none.astype(np.uint8), columns)
