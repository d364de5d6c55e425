"""A metric's value per period and group: scans for what is added up, a kernel for what follows a start, formulas last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.units import Period
from upswing.engines.base import Mark, Query, SequenceRequest
from upswing.events.log import EventLog
from upswing.metrics.compile import Needs, compile_metrics, period_query, window_query
from upswing.sequences.batch import run
from upswing.sequences.follow import Followed, follow
from upswing.spec.metric import MetricDefinition
from upswing.spec.predicates import conjunction
from upswing.sql.template import q

SEQUENTIAL: Final = ("conversion", "retention")
OTHER, NONE = "(other)", "(none)"


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """A metric's value in one period (and group). `value` is None where it cannot be known."""

    metric: str
    period: str
    group: str | None
    value: float | None
    numerator: float | None
    denominator: float | None
    complete: bool

    def sample(self, metric: MetricDefinition) -> float | None:
        """How many users or events stand behind the value; None where nothing was counted (derived, quantile)."""
        if self.denominator is not None:
            return self.denominator
        counted = metric.numerator is not None and metric.numerator.agg in ("count", "users")
        return self.numerator if counted else None

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "period": self.period, "group": self.group, "value": self.value, "numerator": self.numerator,
            "denominator": self.denominator, "complete": self.complete,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """Where and how metrics are asked for.

    Args:
        log: the event log.
        edges: ascending period edges, µs UTC.
        period: their length.
        by: property to break down by, if any.
        groups: its values with a name of their own.
        users: only these user keys.
    """

    log: EventLog
    edges: NDArray[np.int64]
    period: Period
    by: str | None = None
    groups: tuple[str, ...] = ()
    users: NDArray[np.int64] | None = None

    @property
    def horizon(self) -> int:
        """Time of the last trusted event."""
        return self.log.schema.horizon or 0

    def label(self, index: int) -> str:
        """Name of a period."""
        return self.log.calendar.label(int(self.edges[index]), self.period)

    def over(self, index: int) -> bool:
        """Whether the period had ended by the last trusted event."""
        return int(self.edges[index + 1]) <= self.horizon


def metric_points(frame: Frame, metrics: Sequence[MetricDefinition]) -> tuple[list[MetricPoint], list[str]]:
    """Points of every metric, and the statements sent. Derived metrics must come after what they need (`in_order`)."""
    points: list[MetricPoint] = []
    statements: list[str] = []
    scanned = [m for m in metrics if m.type not in (*SEQUENTIAL, "cumulative", "derived")]
    if scanned:
        needs = Needs(frame.log)
        compiled = compile_metrics(scanned, needs)
        query = period_query(needs, frame.edges, by=_grouped(frame), users=frame.users)
        statements.append(frame.log.engine.render(query))
        rows = {
            (int(r["period"]), r.get("grp") if frame.by else None): r for r in frame.log.engine.arrow(query).to_pylist()
        }
        groups = sorted({g for _, g in rows}, key=str) if frame.by else [None]
        for index in range(len(frame.edges) - 1):
            for group in groups:
                row = rows.get((index, group), {})
                points += [
                    _scanned_point(frame, c.metric, index, group, row.get(c.numerator), row.get(c.denominator or ""))
                    for c in compiled
                ]
    for metric in metrics:
        if metric.type in SEQUENTIAL:
            found, sql = _sequential_points(frame, metric)
        elif metric.type == "cumulative":
            found, sql = _cumulative_points(frame, metric)
        elif metric.type == "derived":
            found, sql = _derived_points(metric, points), []
        else:
            continue
        points += found
        statements += [s for s in sql if s not in statements]
    return points, statements


def followed(frame: Frame, metric: MetricDefinition, *, group: str | None = None) -> tuple[Followed, list[str]]:
    """First starts per user and period of a conversion or retention metric, whether the target followed, and the SQL."""
    assert metric.start is not None
    assert metric.target is not None
    assert metric.within is not None
    after = metric.after.microseconds if metric.after else 0
    # a conversion window is inclusive of its end, a retention window is not
    until = after + metric.within.microseconds + (1 if metric.type == "conversion" else 0)
    start_mark, target_mark = frame.log.mark(metric.start), frame.log.mark(metric.target)
    if group is not None:
        inside = _in_group(frame, group)
        where = inside if start_mark.where is None else q("$a AND $b", a=start_mark.where, b=inside)
        start_mark = Mark(start_mark.events, where)
    request = SequenceRequest(
        marks=(start_mark, target_mark),
        where=frame.log.bind(conjunction(metric.where)) if metric.where else None,
        start=int(frame.edges[0]),
        stop=int(frame.edges[-1]) + until,
        users=frame.users,
    )
    merged = run(
        lambda b: follow(b, frame.edges, after, until, frame.horizon),
        frame.log.engine.sequences(request),
        Followed.merge,
    )
    empty = Followed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, bool))
    return merged or empty, frame.log.engine.sequence_sql(request)


def top_values(log: EventLog, by: str, start: int, stop: int, limit: int) -> tuple[str, ...]:
    """The most frequent values of a property in the range, ties in order of the alphabet."""
    tree = q(
        "SELECT CAST($c AS VARCHAR) AS v, count(*) AS n FROM events WHERE $c IS NOT NULL AND epoch_us(time) >= $start "
        "AND epoch_us(time) < $stop GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $limit",
        c=log.column(by), start=start, stop=stop, limit=limit,
    )  # fmt: skip
    return tuple(str(row[0]) for row in log.engine.rows(Query(tree)))


def _scanned_point(
    frame: Frame, metric: MetricDefinition, index: int, group: str | None, top: object, bottom: object
) -> MetricPoint:
    numerator, denominator = _number(top), None
    counted = metric.numerator is not None and metric.numerator.agg in ("count", "users", "sum")
    if numerator is None and counted and metric.type != "quantile":
        numerator = 0.0  # no such event in the period: a count or sum of nothing is zero
    if metric.type in ("ratio", "proportion"):
        denominator = _number(bottom) or 0.0
        value = numerator / denominator if numerator is not None and denominator else None
    else:
        value = numerator
    return MetricPoint(metric.name, frame.label(index), group, value, numerator, denominator, frame.over(index))


def _sequential_points(frame: Frame, metric: MetricDefinition) -> tuple[list[MetricPoint], list[str]]:
    points: list[MetricPoint] = []
    statements: list[str] = []
    n = len(frame.edges) - 1
    for group in [None] if frame.by is None else [*frame.groups, OTHER, NONE]:
        rows, sql = followed(frame, metric, group=group)
        statements += [s for s in sql if s not in statements]
        if group in (OTHER, NONE) and not len(rows.users):
            continue
        # only starts whose window has closed count, or the last periods would look worse than they are
        starts = np.bincount(rows.period[rows.mature], minlength=n)
        hits = np.bincount(rows.period[rows.followed & rows.mature], minlength=n)
        grown = np.bincount(rows.period[~rows.mature], minlength=n) == 0
        for i in range(n):
            value = float(hits[i] / starts[i]) if starts[i] else None
            complete = bool(grown[i]) and frame.over(i)
            points.append(
                MetricPoint(metric.name, frame.label(i), group, value, float(hits[i]), float(starts[i]), complete)
            )
    return points, statements


def _cumulative_points(frame: Frame, metric: MetricDefinition) -> tuple[list[MetricPoint], list[str]]:
    """One scan per period: windows overlap, and users must be told apart inside each."""
    points: list[MetricPoint] = []
    statements: list[str] = []
    needs = Needs(frame.log)
    compiled = compile_metrics([metric], needs)[0]
    for index in range(len(frame.edges) - 1):
        stop = int(frame.edges[index + 1])
        start = (frame.log.schema.first_time or 0) if metric.window is None else stop - metric.window.microseconds
        query = window_query(needs, start, stop, by=_grouped(frame), users=frame.users)
        rows = frame.log.engine.arrow(query).to_pylist()
        if index == 0:
            statements.append(frame.log.engine.render(query))
        found = {(r.get("grp") if frame.by else None): r.get(compiled.numerator) for r in rows}
        groups = sorted(found, key=str) if frame.by else [None]
        points += [_scanned_point(frame, metric, index, g, found.get(g), None) for g in groups]
    return points, statements


def _derived_points(metric: MetricDefinition, points: Sequence[MetricPoint]) -> list[MetricPoint]:
    """The formula at every period and group that all its parts know."""
    formula = metric.formula
    parts: dict[str, dict[tuple[str, str | None], MetricPoint]] = {name: {} for name in formula.names}
    for point in points:
        if point.metric in parts:
            parts[point.metric][point.period, point.group] = point
    places = sorted(set.union(*(set(p) for p in parts.values())), key=lambda place: (place[0], place[1] or ""))
    found = []
    for place in places:
        here = {name: p.get(place) for name, p in parts.items()}
        value = formula.value({name: None if point is None else point.value for name, point in here.items()})
        complete = all(point is not None and point.complete for point in here.values())
        found.append(MetricPoint(metric.name, place[0], place[1], value, None, None, complete))
    return found


def _in_group(frame: Frame, group: str) -> exp.Expression:
    assert frame.by is not None
    column = q("CAST($c AS VARCHAR)", c=frame.log.column(frame.by))
    if group == NONE:
        return q("$c IS NULL", c=column)
    if group == OTHER:
        return q("$c IS NOT NULL AND NOT $c IN $listed", c=column, listed=list(frame.groups) or [""])
    return q("$c = $value", c=column, value=group)


def _grouped(frame: Frame) -> exp.Expression | None:
    if frame.by is None:
        return None
    column = q("CAST($c AS VARCHAR)", c=frame.log.column(frame.by))
    return q(
        "CASE WHEN $c IS NULL THEN $none WHEN $c IN $listed THEN $c ELSE $other END",
        c=column, listed=list(frame.groups) or [""], none=NONE, other=OTHER,
    )  # fmt: skip


def _number(cell: object) -> float | None:
    return None if cell is None else float(cell)  # type: ignore[arg-type]


def latest(points: Sequence[MetricPoint]) -> MetricPoint | None:
    """The last complete period of a metric, over everybody."""
    done = [p for p in points if p.complete and p.group is None]
    return max(done, key=lambda p: p.period) if done else None


def by_metric(points: Sequence[MetricPoint]) -> Mapping[str, list[MetricPoint]]:
    """Points of each metric, in order of period."""
    found: dict[str, list[MetricPoint]] = {}
    for point in sorted(points, key=lambda p: (p.period, p.group or "")):
        found.setdefault(point.metric, []).append(point)
    return found


def with_range(frame: Frame, edges: NDArray[np.int64]) -> Frame:
    """The same question over other periods."""
    return replace(frame, edges=edges)
