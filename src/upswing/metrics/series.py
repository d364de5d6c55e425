"""Metrics over time, and per user."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Chart, Column, HowComputed, Result, Table
from upswing.core.units import PERIODS, Period
from upswing.engines.base import Mark, Query, SequenceRequest
from upswing.events.log import EventLog
from upswing.metrics.compile import Compiled, Needs, compile_metrics, period_query, user_query
from upswing.sequences.batch import run
from upswing.sequences.follow import Followed, follow
from upswing.spec.metric import MetricDefinition
from upswing.spec.predicates import conjunction
from upswing.sql.template import q

_SEQUENTIAL = ("conversion", "retention")
_SMALL = 30
_PERIOD_WORDS: Final = {"hour": text("hour"), "day": text("day"), "week": text("week"), "month": text("month")}
_EXAMPLE = "kind: metric, name: …, type: simple, numerator: {event: …}"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsResult(Result):
    """Metrics by period."""

    verb: ClassVar[str] = "metrics"
    metrics: tuple[MetricDefinition, ...]
    points: tuple[MetricPoint, ...]
    period: Period
    by: str | None = None
    _extra: dict[str, object] = field(default_factory=dict)

    def title(self) -> Text:
        """The question."""
        return text("How did the metrics move, by {period}?", period=_PERIOD_WORDS[self.period])

    def data(self) -> dict[str, object]:
        """Points by metric."""
        return {
            "metrics": [
                {
                    "name": m.name,
                    "label": m.shown,
                    "type": m.type,
                    "unit": m.shown_unit,
                    "better": m.better,
                    "hash": m.hash,
                    "points": [_point(p) for p in self.points if p.metric == m.name],
                }
                for m in self.metrics
            ]
        }

    def tables(self) -> list[Table]:
        """One table per metric."""
        found = []
        for m in self.metrics:
            columns = (
                Column("period", text("Period")),
                *((Column("group", self.by or ""),) if self.by else ()),
                Column("value", m.shown, m.shown_unit),
                Column("numerator", text("Numerator"), "number"),
                Column("denominator", text("Denominator"), "number"),
                Column("complete", text("Complete")),
            )
            rows: list[tuple[Cell, ...]] = [
                (p.period, *((p.group,) if self.by else ()), p.value, p.numerator, p.denominator, p.complete)
                for p in self.points
                if p.metric == m.name
            ]
            found.append(Table(m.name, m.shown, columns, rows, note=m.description or ""))
        return found

    def charts(self) -> list[Chart]:
        """A line per metric (and group)."""
        return [
            Chart("line", m.name, m.shown, x="period", y=("value",), series="group" if self.by else None)
            for m in self.metrics
        ]


def metric_series(
    log: EventLog,
    metrics: Sequence[MetricDefinition],
    *,
    period: Period = "week",
    start: str | None = None,
    stop: str | None = None,
    by: str | None = None,
    limit: int = 10,
    users: NDArray[np.int64] | None = None,
) -> MetricsResult:
    """Every metric's value per period and group, from one scan (and one pass of a kernel per sequential metric).

    Args:
        log: the event log.
        metrics: definitions.
        period: hour, day, week or month of the workspace's calendar.
        start: first moment; the whole first period is used.
        stop: end, exclusive.
        by: property to break down by, at its value on the event (on the start for conversion and retention).
        limit: most groups; the rest is "(other)".
        users: only these user keys.

    Raises:
        UsageError: UP605 no metric asked for, UP622 no such period.
    """
    if not metrics:
        raise UsageError(
            text("no metric is defined"),
            code="UP605",
            hint=text("write one in metrics/NAME.yml, e.g. {example}", example=_EXAMPLE),
        )
    if period not in PERIODS:
        raise UsageError(text("no period '{period}'", period=period), code="UP622")
    begun = clock.perf_counter()
    lo, hi = log.resolve_range(start, stop)
    edges = log.calendar.edges(period, lo, hi)
    horizon = log.schema.horizon or 0
    groups = () if by is None else _top_values(log, by, lo, hi, limit)
    points: list[MetricPoint] = []
    statements: list[str] = []
    scanned = [m for m in metrics if m.type not in _SEQUENTIAL]
    if scanned:
        needs = Needs(log)
        compiled = compile_metrics(scanned, needs)
        query = period_query(needs, edges, by=None if by is None else _grouped(log, by, groups), users=users)
        statements.append(log.engine.render(query))
        points += _scanned_points(log, compiled, query, edges, period, horizon, by)
    for metric in metrics:
        if metric.type in _SEQUENTIAL:
            found, sql = _sequential_points(log, metric, edges, period, horizon, by, groups, users)
            points += found
            statements += sql
    order = {m.name: i for i, m in enumerate(metrics)}
    points.sort(key=lambda p: (order[p.metric], p.period, p.group or ""))
    how = HowComputed(
        definition={"metrics": {m.name: m.model_dump(mode="json", exclude_defaults=True) for m in metrics}, "by": by},
        window=log.window(int(edges[0]), int(edges[-1]), period=period),
        method=text(
            "Counts and sums per calendar period in one scan; conversion and retention follow each user's first start in "
            "the period"
        ),
        sql=tuple(statements),
        events=log.schema.n_events,
        data_as_of=log.calendar.local(horizon),
        engine=log.engine.name,
        caveats=_caveats(points),
        timings={"total": clock.perf_counter() - begun},
    )
    return MetricsResult(how=how, metrics=tuple(metrics), points=tuple(points), period=period, by=by)


@dataclass(frozen=True, slots=True)
class UserValues:
    """A metric's parts per user: what experiments and scores build on.

    Args:
        users: user keys, ascending, shape (n,).
        numerator: shape (n,).
        denominator: shape (n,), or None for metrics that are not ratios.
    """

    users: NDArray[np.int64]
    numerator: NDArray[np.float64]
    denominator: NDArray[np.float64] | None


def user_values(
    log: EventLog,
    metrics: Sequence[MetricDefinition],
    *,
    start: int,
    stop: int,
    users: NDArray[np.int64] | None = None,
) -> dict[str, UserValues]:
    """Every metric's value per user over [start, stop), from one scan.

    Users without an event in the range are absent; with `users` given, absent ones have numerator 0 (and denominator 0).
    For conversion and retention the numerator is 1 when the target followed the user's first start in the range.
    """
    found: dict[str, UserValues] = {}
    scanned = [m for m in metrics if m.type not in _SEQUENTIAL]
    if scanned:
        needs = Needs(log)
        compiled = compile_metrics(scanned, needs)
        table = log.engine.arrow(user_query(needs, start, stop, users=users))
        keys = table.column("user_key").to_numpy().astype(np.int64)
        order = np.argsort(keys)
        for c in compiled:
            parts = [
                np.nan_to_num(table.column(name).to_numpy(zero_copy_only=False).astype(float))[order] if name else None
                for name in (c.numerator, c.denominator)
            ]
            assert parts[0] is not None
            found[c.metric.name] = _aligned(UserValues(keys[order], parts[0], parts[1]), users)
    horizon = log.schema.horizon or 0
    for metric in metrics:
        if metric.type in _SEQUENTIAL:
            rows, _ = _follow(log, metric, np.array([start, stop], np.int64), horizon, None, (), users)
            order = np.argsort(rows.users)
            value = UserValues(rows.users[order], rows.followed[order].astype(float), np.ones(len(order)))
            found[metric.name] = _aligned(value, users)
    return found


def _aligned(values: UserValues, users: NDArray[np.int64] | None) -> UserValues:
    if users is None:
        return values
    place = np.searchsorted(values.users, users)
    here = np.zeros(len(users), dtype=bool)
    inside = place < len(values.users)
    here[inside] = values.users[place[inside]] == users[inside]

    def fill(column: NDArray[np.float64]) -> NDArray[np.float64]:
        filled = np.zeros(len(users))
        filled[here] = column[place[here]]
        return filled

    denominator = None if values.denominator is None else fill(values.denominator)
    return UserValues(np.asarray(users, np.int64), fill(values.numerator), denominator)


def _scanned_points(
    log: EventLog, compiled: Sequence[Compiled], query: Query, edges: NDArray[np.int64], period: Period, horizon: int,
    by: str | None,
) -> list[MetricPoint]:  # fmt: skip
    rows = {(int(r["period"]), r.get("grp") if by else None): r for r in log.engine.arrow(query).to_pylist()}
    groups = sorted({g for _, g in rows}, key=str) if by else [None]
    points = []
    for index in range(len(edges) - 1):
        label, complete = log.calendar.label(int(edges[index]), period), int(edges[index + 1]) <= horizon
        for group in groups:
            row = rows.get((index, group), {})
            for c in compiled:
                top, bottom = _value(row.get(c.numerator)), _value(row.get(c.denominator)) if c.denominator else None
                counted = c.metric.numerator is not None and c.metric.numerator.agg in ("count", "users", "sum")
                if top is None and counted and c.metric.type != "quantile":
                    top = 0.0  # no such event in the period: a count or sum of nothing is zero
                if c.denominator is not None:
                    bottom = bottom or 0.0
                    value = top / bottom if top is not None and bottom else None
                else:
                    value = top
                points.append(MetricPoint(c.metric.name, label, group, value, top, bottom, complete))
    return points


def _sequential_points(
    log: EventLog, metric: MetricDefinition, edges: NDArray[np.int64], period: Period, horizon: int, by: str | None,
    groups: Sequence[str], users: NDArray[np.int64] | None,
) -> tuple[list[MetricPoint], list[str]]:  # fmt: skip
    names = [None] if by is None else [*groups, "(other)", "(none)"]
    points, statements = [], []
    for group in names:
        rows, sql = _follow(log, metric, edges, horizon, by, groups, users, group=group)
        statements += [s for s in sql if s not in statements]
        # only starts whose window has closed count, or the last periods would look worse than they are
        n = np.bincount(rows.period[rows.mature], minlength=len(edges) - 1)
        hit = np.bincount(rows.period[rows.followed & rows.mature], minlength=len(edges) - 1)
        grown = np.bincount(rows.period[~rows.mature], minlength=len(edges) - 1) == 0
        if group in ("(other)", "(none)") and not len(rows.users):
            continue
        for i in range(len(edges) - 1):
            complete = bool(grown[i]) and int(edges[i + 1]) <= horizon
            value = float(hit[i] / n[i]) if n[i] else None
            label = log.calendar.label(int(edges[i]), period)
            points.append(MetricPoint(metric.name, label, group, value, float(hit[i]), float(n[i]), complete))
    return points, statements


def _follow(
    log: EventLog, metric: MetricDefinition, edges: NDArray[np.int64], horizon: int, by: str | None,
    groups: Sequence[str], users: NDArray[np.int64] | None, *, group: str | None = None,
) -> tuple[Followed, list[str]]:  # fmt: skip
    assert metric.start is not None
    assert metric.target is not None
    assert metric.within is not None
    after = metric.after.microseconds if metric.after else 0
    # a conversion window is inclusive of its end, a retention window is not
    until = after + metric.within.microseconds + (1 if metric.type == "conversion" else 0)
    start_mark, target_mark = log.mark(metric.start), log.mark(metric.target)
    if group is not None:
        assert by is not None
        inside = _in_group(log, by, groups, group)
        where = inside if start_mark.where is None else q("$a AND $b", a=start_mark.where, b=inside)
        start_mark = Mark(start_mark.events, where)
    request = SequenceRequest(
        marks=(start_mark, target_mark),
        where=log.bind(conjunction(metric.where)) if metric.where else None,
        start=int(edges[0]),
        stop=int(edges[-1]) + until,
        users=users,
    )
    merged = run(lambda b: follow(b, edges, after, until, horizon), log.engine.sequences(request), Followed.merge)
    empty = Followed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, bool))
    return merged or empty, log.engine.sequence_sql(request)


def _in_group(log: EventLog, by: str, groups: Sequence[str], group: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    column = q("CAST($c AS VARCHAR)", c=log.column(by))
    if group == "(none)":
        return q("$c IS NULL", c=column)
    if group == "(other)":
        return q("$c IS NOT NULL AND NOT $c IN $listed", c=column, listed=list(groups) or [""])
    return q("$c = $value", c=column, value=group)


def _grouped(log: EventLog, by: str, groups: Sequence[str]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    column = q("CAST($c AS VARCHAR)", c=log.column(by))
    return q(
        "CASE WHEN $c IS NULL THEN '(none)' WHEN $c IN $listed THEN $c ELSE '(other)' END",
        c=column, listed=list(groups) or [""],
    )  # fmt: skip


def _top_values(log: EventLog, by: str, start: int, stop: int, limit: int) -> tuple[str, ...]:
    tree = q(
        "SELECT CAST($c AS VARCHAR) AS v, count(*) AS n FROM events WHERE $c IS NOT NULL AND epoch_us(time) >= $start "
        "AND epoch_us(time) < $stop GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $limit",
        c=log.column(by), start=start, stop=stop, limit=limit,
    )  # fmt: skip
    return tuple(str(row[0]) for row in log.engine.rows(Query(tree)))


def _value(cell: object) -> float | None:
    return None if cell is None else float(cell)  # type: ignore[arg-type]


def _caveats(points: Sequence[MetricPoint]) -> tuple[Caveat, ...]:
    found = []
    unfinished = sorted({p.period for p in points if not p.complete})
    if unfinished:
        message = text(
            "not complete yet: {periods}", periods=", ".join(unfinished[:5]) + ("…" if len(unfinished) > 5 else "")
        )
        found.append(Caveat("incomplete", message))
    small = {p.metric for p in points if p.denominator is not None and 0 < p.denominator < _SMALL}
    if small:
        message = text("fewer than {n} behind some values of {metrics}", n=_SMALL, metrics=", ".join(sorted(small)))
        found.append(Caveat("small_sample", message))
    return tuple(found)


def _point(p: MetricPoint) -> dict[str, object]:
    return {
        "period": p.period,
        "group": p.group,
        "value": p.value,
        "numerator": p.numerator,
        "denominator": p.denominator,
        "complete": p.complete,
    }
