"""What every source of growth points works on: the path, who went how far, how users divide, and what a user is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.calendar import period_index
from upswing.core.errors import UpswingError
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat
from upswing.core.units import DAY, Duration
from upswing.diagnose.funnel import FunnelResult, funnel
from upswing.diagnose.milestones import Milestones, propose_milestones
from upswing.diagnose.weak_points import WITHIN, Division
from upswing.events.log import EventLog
from upswing.metrics.candidate import Evidence, Worth
from upswing.metrics.dimensions import MOST_VALUES, comparable_dimensions
from upswing.metrics.people import north_star_values
from upswing.metrics.points import Frame, followed
from upswing.metrics.tracking import TrackingBreak, tracking_breaks
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.metric import MetricDefinition
from upswing.spec.steps import Step

Keys = NDArray[np.int64]
PAIRED: Final = 5
"""Properties that are also looked at in pairs."""
_FEW: Final = 6
_LEAST_WORTH: Final = 50
_FOUR: Final = 4
RECENT_WEEKS: Final = 4
"""Complete weeks whose flow counts as now."""


@dataclass(frozen=True, slots=True)
class NorthStar:
    """What growth is sized in.

    Args:
        metric: a sum over users per week.
        declared: the workspace names it; otherwise it is the users of the path's last step.
        horizon: weeks from entry over which a user's worth is counted.
        note: what had to be done to get a sum, if anything.
    """

    metric: MetricDefinition
    declared: bool
    horizon: int
    note: Text | None = None


@dataclass(frozen=True, slots=True)
class Starts:
    """Each user's first start in the range, where the window after it has closed.

    Args:
        users: user keys, ascending, shape (n,).
        since: beginning of the week of the start, µs UTC.
        passed: whether the target followed.
    """

    users: Keys
    since: NDArray[np.int64]
    passed: NDArray[np.bool_]


@dataclass(slots=True)
class Setting:
    """The ground for all sources.

    Args:
        log: the event log.
        start: first moment, µs UTC.
        stop: end, exclusive.
        path: milestones.
        whole: the funnel over them.
        window: its conversion window.
        users: keys of users whose window has closed, ascending, shape (n,).
        entry: their entry times.
        depth: deepest step, 1-based.
        dimensions: properties users are divided by.
        divisions: all ways of dividing them.
        north_star: what growth is sized in.
        breaks: tracking breaks in the range.
        notes: what people said, by step or stage.
    """

    log: EventLog
    start: int
    stop: int
    path: Milestones
    whole: FunnelResult
    window: Duration
    users: Keys
    entry: NDArray[np.int64]
    depth: NDArray[np.int64]
    dimensions: tuple[str, ...]
    divisions: list[Division]
    north_star: NorthStar
    breaks: list[TrackingBreak]
    notes: dict[str, tuple[Evidence, ...]] = field(default_factory=dict)
    missing: list[Caveat] = field(default_factory=list)
    _edges: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _values: tuple[Keys, NDArray[np.int64], NDArray[np.float64]] | None = None

    @property
    def steps(self) -> list[str]:
        """Names of the steps."""
        return [s.name for s in self.whole.steps]

    @property
    def weeks(self) -> float:
        """Length of the range in weeks."""
        return max((self.stop - self.start) / (7 * DAY), 1 / 7)

    @property
    def week_edges(self) -> NDArray[np.int64]:
        """Edges of the weeks that cover the range, µs UTC."""
        if not len(self._edges):
            self._edges = self.log.calendar.edges("week", self.start, self.stop)
        return self._edges

    @property
    def horizon(self) -> int:
        """Time of the last trusted event."""
        return self.log.schema.horizon or self.stop

    def latest(self, since_maturity: int) -> int:
        """The end of the range, or the last moment at which what began then has been seen to its end."""
        return min(self.stop, self.horizon - since_maturity)

    def values_after(self, keys: Keys, since: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each user adds to the north star from the week of `since` over the horizon; NaN where it is not over.

        Args:
            keys: user keys, shape (n,), each once.
            since: times, µs UTC, shape (n,).
        """
        edges = self.week_edges
        if self._values is None:
            self._values = north_star_values(self.log, self.north_star.metric, edges)
        owners, weeks, amounts = self._values
        order = np.argsort(keys, kind="stable")
        first = period_index(since, edges)
        place = np.searchsorted(keys[order], owners)
        here = place < len(keys)
        here[here] = keys[order][place[here]] == owners[here]
        row = order[place[here]]
        lag = weeks[here] - first[row]
        inside = (lag >= 0) & (lag < self.north_star.horizon)
        found = np.bincount(row[inside], weights=amounts[here][inside], minlength=len(keys)).astype(np.float64)
        complete = int(np.sum(edges[1:] <= self.horizon))
        found[first + self.north_star.horizon > complete] = np.nan
        return found

    def starts(self, metric: MetricDefinition) -> Starts:
        """Users by whether the target of a conversion or retention metric followed their first start in the range."""
        edges = self.week_edges
        rows, _ = followed(Frame(self.log, edges, "week"), metric)
        order = np.lexsort((rows.period, rows.users))
        first = (
            order[np.concatenate(([True], rows.users[order][1:] != rows.users[order][:-1]))] if len(order) else order
        )
        kept = first[rows.mature[first]]
        return Starts(rows.users[kept], edges[rows.period[kept]], rows.followed[kept])

    def worth(self, values: NDArray[np.float64], passed: NDArray[np.bool_], failed: NDArray[np.bool_]) -> Worth:
        """Mean value of those who passed minus that of those who did not, over users seen for the whole horizon.

        Args:
            values: from `values_after`.
            passed: who passed, same shape.
            failed: who came and did not pass.
        """
        mine, other = values[passed & ~np.isnan(values)], values[failed & ~np.isnan(values)]
        if len(mine) < 2 or len(other) < 2:
            return Worth(0.0, 0.0, len(mine), len(other))
        error = float(np.sqrt(mine.var(ddof=1) / len(mine) + other.var(ddof=1) / len(other)))
        return Worth(float(mine.mean() - other.mean()), error, len(mine), len(other))

    def worth_here(
        self,
        values: NDArray[np.float64],
        members: NDArray[np.bool_],
        came: NDArray[np.bool_],
        passed: NDArray[np.bool_],
    ) -> tuple[Worth, bool]:
        """The worth among `members`, or among everybody where too few of them were seen; and whether it is theirs."""
        own = self.worth(values, members & passed, members & came & ~passed)
        if min(own.passed, own.failed) >= _LEAST_WORTH:
            return own, True
        return self.worth(values, passed, came & ~passed), False

    def flow(self, times: NDArray[np.int64], since_maturity: int) -> tuple[float, float]:
        """Users per week now, and its standard error: those of the last complete weeks whose window has closed.

        Args:
            times: entry times of the users who come to the place.
            since_maturity: µs after entry at which a user counts.
        """
        edges = self.week_edges
        done = edges[edges <= self.latest(since_maturity)]
        if len(done) < 2:
            return len(times) / self.weeks, float(np.sqrt(len(times))) / self.weeks
        weeks = min(RECENT_WEEKS, len(done) - 1)
        lo, hi = int(done[-1 - weeks]), int(done[-1])
        count = int(np.sum((times >= lo) & (times < hi)))
        return count / weeks, float(np.sqrt(count)) / weeks


def build_setting(
    log: EventLog,
    *,
    milestones: Sequence[str] = (),
    dimensions: Sequence[str] = (),
    within: str | None = None,
    start: str | None = None,
    stop: str | None = None,
    north_star: Callable[[Milestones, int], NorthStar] | None = None,
    notes: dict[str, tuple[Evidence, ...]] | None = None,
    tell: Callable[[object], None] = lambda _: None,
) -> Setting:
    """Find the path, who went how far, and every way of dividing them.

    Args:
        log: the event log.
        milestones: events of the main path; proposed from the events if absent.
        dimensions: properties to compare groups by; chosen if absent.
        within: conversion window; covers nine in ten of those who go all the way if absent.
        start: first moment.
        stop: end, exclusive.
        north_star: chooses what growth is sized in, given the path and the complete weeks; users of the path's last step if
            absent.
        notes: what people said, by step or stage.
        tell: told the name of each part as it begins.

    Raises:
        DataError: UP310 no events, UP315 no path to be found.
    """
    lo, hi = log.resolve_range(start, stop)
    log.require_known(milestones)
    tell(text("milestones"))
    path = propose_milestones(log, start=lo, stop=hi, declared=tuple(milestones))
    window = Duration.parse(within, what="within") if within else Duration(path.window_days * DAY)
    definition = FunnelDefinition(name="milestones", steps=[Step(event=e) for e in path.events], window=window)
    path = replace(path, window_days=-(-window.microseconds // DAY))
    tell(text("funnel"))
    whole = funnel(log, definition, start=start, stop=stop, trend="week")
    chosen = tuple(dimensions) or comparable_dimensions(log, start=lo, stop=hi, event=path.events[0])
    users, entry, depth = _mature(log, whole, window)
    single = []
    for dimension in chosen:
        tell(text("groups of {property}", property=dimension))
        split = funnel(log, definition, start=start, stop=stop, by=dimension, limit=MOST_VALUES)
        single.append(_by_property(split, dimension, users))
    edges = log.calendar.edges("week", lo, hi)
    complete = int(np.sum(edges[1:] <= (log.schema.horizon or hi)))
    star = (north_star or default_north_star)(path, complete)
    missing = []
    if star.horizon * 7 * DAY < window.microseconds:
        missing.append(
            Caveat("horizon", text("worth is counted over {n} weeks, less than the window of {window}: gains are understated",
                                   n=star.horizon, window=window))
        )  # fmt: skip
    tell(text("tracking"))
    breaks = _breaks(log, lo, hi, chosen)
    return Setting(
        log=log, start=lo, stop=hi, path=path, whole=whole, window=window, users=users, entry=entry, depth=depth,
        dimensions=chosen, divisions=divide(log, single, entry), north_star=star, breaks=breaks, notes=notes or {}, missing=missing,
    )  # fmt: skip


def default_north_star(path: Milestones, complete_weeks: int) -> NorthStar:
    """Users of the path's last step per week, counted over four weeks from entry, or over the path's window if longer."""
    metric = MetricDefinition.model_validate(
        {"name": "north_star", "label": path.events[-1], "type": "simple", "better": "up",
         "numerator": {"event": path.events[-1], "agg": "users"}}
    )  # fmt: skip
    wanted = max(_FOUR, -(-path.window_days // 7))
    return NorthStar(metric, False, usable_horizon(wanted, complete_weeks))


def usable_horizon(wanted: int, complete_weeks: int) -> int:
    """At most a third of the weeks there are, so that enough users are seen over all of it; at least one."""
    return max(1, min(wanted, complete_weeks // 3))


def divide(log: EventLog, single: Sequence[Division], entry: NDArray[np.int64]) -> list[Division]:
    """Every way of dividing users: properties, pairs of them, weeks of entry, and weeks within one group."""
    pairs = [_pair(a, b) for i, a in enumerate(single[:PAIRED]) for b in single[i + 1 : PAIRED]]
    weeks = _weeks(log, entry)
    within = [_weeks_within(d, i, weeks) for d in single[:PAIRED] for i in range(min(len(d.groups), _FEW))]
    return [*single, *pairs, weeks, *within]


def _breaks(log: EventLog, start: int, stop: int, dimensions: Sequence[str]) -> list[TrackingBreak]:
    try:
        return tracking_breaks(log, start=start, stop=stop, dimensions=dimensions[:4])
    except UpswingError:
        return []


def _mature(log: EventLog, whole: FunnelResult, window: Duration) -> tuple[Keys, NDArray[np.int64], NDArray[np.int64]]:
    assert whole.chains is not None
    horizon = log.schema.horizon or 0
    order = np.argsort(whole.chains.users, kind="stable")
    mature = (whole.chains.entry[order] + window.microseconds) <= horizon
    chosen = order[mature]
    return whole.chains.users[chosen], whole.chains.entry[chosen], whole.chains.depth[chosen].astype(np.int64)


def _by_property(result: FunnelResult, dimension: str, users: Keys) -> Division:
    assert result.split is not None
    named = [i for i, name in enumerate(result.names) if name not in ("(other)", "(none)")]
    place = np.full(max(len(result.names), 1) + 1, -1, dtype=np.int64)
    place[named] = np.arange(len(named))
    order = np.argsort(result.split.users, kind="stable")
    at = np.searchsorted(result.split.users[order], users)
    group = result.split.group[order][at]
    codes = np.where(group >= 0, place[np.clip(group, 0, len(place) - 1)], -1)
    return Division(dimension, tuple(result.names[i] for i in named), codes)


def _pair(a: Division, b: Division) -> Division:
    codes = np.where((a.codes >= 0) & (b.codes >= 0), a.codes * len(b.groups) + b.codes, -1)
    names = tuple(f"{x} × {y}" for x in a.groups for y in b.groups)
    return Division(f"{a.dimension} × {b.dimension}", names, codes)


def _weeks_within(division: Division, index: int, weeks: Division) -> Division:
    """Weeks of entry of one group: a change that hits only some users shows here, not in the sum."""
    name = f"{division.dimension} = {division.groups[index]}{WITHIN}"
    return Division(name, weeks.groups, np.where(division.codes == index, weeks.codes, -1))


def _weeks(log: EventLog, entry: NDArray[np.int64]) -> Division:
    if not len(entry):
        return Division("week", (), np.zeros(0, dtype=np.int64))
    edges = log.calendar.edges("week", int(entry.min()), int(entry.max()) + 1)
    codes = period_index(entry, edges)
    return Division("week", tuple(log.calendar.label(int(e), "week") for e in edges[:-1]), codes)
