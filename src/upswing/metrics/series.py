"""Metrics over time: points by period, what the last complete one is compared with, and whether targets are met."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Chart, Column, HowComputed, Result, Table
from upswing.core.units import PERIODS, Period
from upswing.events.log import EventLog
from upswing.metrics.people import UserValues, user_values
from upswing.metrics.points import Frame, MetricPoint, metric_points, top_values
from upswing.metrics.quantity import Quantity
from upswing.metrics.standing import Comparison, Standing, earlier, standing, target_words
from upswing.spec.metric import MetricDefinition, in_order

__all__ = ["MetricPoint", "MetricsResult", "UserValues", "metric_series", "user_values"]

_SMALL: Final = 30
_PERIOD_WORDS: Final = {"hour": text("hour"), "day": text("day"), "week": text("week"), "month": text("month")}
_EXAMPLE: Final = "kind: metric, name: …, type: simple, numerator: {event: …}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsResult(Result):
    """Metrics by period.

    Args:
        metrics: the definitions asked for.
        points: their values.
        period: length of a period.
        by: property they are broken down by.
        standings: the last complete period of each.
        compare: what it is compared with.
        judged: whether a target that is missed is the answer "no".
    """

    verb: ClassVar[str] = "metrics"
    metrics: tuple[MetricDefinition, ...]
    points: tuple[MetricPoint, ...]
    period: Period
    by: str | None = None
    standings: tuple[Standing, ...] = ()
    compare: Comparison = "previous"
    judged: bool = False

    def title(self) -> Text:
        """The question."""
        return text("How did the metrics move, by {period}?", period=_PERIOD_WORDS[self.period])

    def verdict(self) -> Text | str:
        """Which targets fall short."""
        if not any(m.targets for m in self.metrics):
            return ""
        short = [m for m, s in zip(self.metrics, self.standings, strict=True) if s.target == "missed"]
        if short:
            return text("{n} targets fall short: {names}", n=len(short), names=", ".join(m.shown for m in short))
        return text("No target falls short beyond chance")

    def passed(self) -> bool | None:
        """Whether no target falls short, where that was asked."""
        return not any(s.target == "missed" for s in self.standings) if self.judged else None

    def data(self) -> dict[str, object]:
        """Points and standing by metric."""
        return {
            "period": self.period,
            "compare": self.compare,
            "metrics": [
                {
                    "name": m.name,
                    "label": m.shown,
                    "type": m.type,
                    "unit": m.shown_unit,
                    "better": m.better,
                    "owner": m.owner,
                    "level": m.level,
                    "hash": m.hash,
                    "latest": s.to_dict(),
                    "points": [p.to_dict() for p in self.points if p.metric == m.name],
                }
                for m, s in zip(self.metrics, self.standings, strict=True)
            ],
        }

    def tables(self) -> list[Table]:
        """Where each stands, then one table per metric."""
        return [self._summary(), *(self._by_period(m) for m in self.metrics)]

    def charts(self) -> list[Chart]:
        """A line per metric (and group)."""
        return [
            Chart("line", m.name, m.shown, x="period", y=("value",), series="group" if self.by else None)
            for m in self.metrics
        ]

    def _summary(self) -> Table:
        against = text("Year before") if self.compare == "year" else text("Before")
        columns: tuple[Column, ...] = (
            Column("metric", text("Metric")),
            Column("period", text("Period"), doc=text("the last complete period")),
            Column("value", text("Value"), "number"),
            Column("previous", against, "number"),
            Column("change", text("Change"), "number", text("of shares in points")),
            Column("relative", text("Relative"), "change"),
        )
        rows: list[tuple[Cell, ...]] = [
            (
                m.shown, s.period, Quantity(s.value, m.shown_unit), Quantity(s.previous, m.shown_unit),
                Quantity(s.change, m.shown_unit, change=True), s.relative,
            )
            for m, s in zip(self.metrics, self.standings, strict=True)
        ]  # fmt: skip
        if any(m.targets for m in self.metrics):
            columns = (*columns, Column("wanted", text("Target"), "number"), Column("status", text("Standing")))
            rows = [
                (*row, Quantity(s.wanted, m.shown_unit), target_words(s.target))
                for row, m, s in zip(rows, self.metrics, self.standings, strict=True)
            ]
        if any(m.owner for m in self.metrics):
            columns = (*columns, Column("owner", text("Owner")))
            rows = [(*row, m.owner or "") for row, m in zip(rows, self.metrics, strict=True)]
        return Table("latest", text("The last complete period"), columns, rows)

    def _by_period(self, m: MetricDefinition) -> Table:
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
        return Table(m.name, m.shown, columns, rows, note=m.told)


def metric_series(
    log: EventLog,
    metrics: Sequence[MetricDefinition],
    *,
    known: Mapping[str, MetricDefinition] | None = None,
    period: Period = "week",
    start: str | None = None,
    stop: str | None = None,
    by: str | None = None,
    limit: int = 10,
    users: NDArray[np.int64] | None = None,
    compare: Comparison = "previous",
    check_targets: bool = False,
) -> MetricsResult:
    """Every metric's value per period and group, from one scan (and one pass of a kernel per sequential metric).

    Args:
        log: the event log.
        metrics: definitions.
        known: all metrics by name, for derived ones; `metrics` themselves if absent.
        period: hour, day, week or month of the workspace's calendar.
        start: first moment; the whole first period is used.
        stop: end, exclusive.
        by: property to break down by, at its value on the event (on the start for conversion and retention).
        limit: most groups; the rest is "(other)".
        users: only these user keys.
        compare: what the last complete period is compared with: the one before, or the same one a year before.
        check_targets: a target that falls short is the answer "no".

    Raises:
        UsageError: UP605 no metric asked for, UP622 no such period, UP201 a derived metric of an unknown one.
        DefinitionError: UP205 metrics that derive from each other.
    """
    _require(metrics, period, compare)
    begun = clock.perf_counter()
    lo, hi = log.resolve_range(start, stop)
    groups = () if by is None else top_values(log, by, lo, hi, limit)
    edges = log.calendar.edges(period, lo, hi)
    frame = Frame(log, edges, period, by, groups, users)
    needed = in_order(metrics, known or {m.name: m for m in metrics})
    points, statements = metric_points(frame, needed)
    wanted = {m.name: i for i, m in enumerate(metrics)}
    points = sorted(
        (p for p in points if p.metric in wanted), key=lambda p: (wanted[p.metric], p.period, p.group or "")
    )
    standings = _standings(frame, metrics, needed, points, compare)
    how = HowComputed(
        definition={"metrics": {m.name: m.model_dump(mode="json", exclude_defaults=True) for m in metrics}, "by": by},
        window=log.window(int(edges[0]), int(edges[-1]), period=period),
        method=text(
            "Counts and sums per calendar period in one scan; conversion and retention follow each user's first start in "
            "the period; derived metrics are formulas over the others of the same period"
        ),
        sql=tuple(statements),
        events=log.schema.n_events,
        data_as_of=log.calendar.local(frame.horizon),
        engine=log.engine.name,
        caveats=_caveats(points, metrics),
        timings={"total": clock.perf_counter() - begun},
    )
    return MetricsResult(
        how=how, metrics=tuple(metrics), points=tuple(points), period=period, by=by, standings=standings,
        compare=compare, judged=check_targets,
    )  # fmt: skip


def _require(metrics: Sequence[MetricDefinition], period: str, compare: str) -> None:
    if not metrics:
        raise UsageError(
            text("no metric is defined"),
            code="UP605",
            hint=text("write one in metrics/NAME.yml, e.g. {example}", example=_EXAMPLE),
        )
    if period not in PERIODS:
        raise UsageError(text("no period '{period}'", period=period), code="UP622")
    if compare not in ("previous", "year"):
        raise UsageError(
            text("no comparison '{name}'", name=compare), code="UP662", hint=did_you_mean(compare, ("previous", "year"))
        )


def _standings(
    frame: Frame, metrics: Sequence[MetricDefinition], needed: Sequence[MetricDefinition], points: Sequence[MetricPoint],
    compare: Comparison,
) -> tuple[Standing, ...]:  # fmt: skip
    """The last complete period of each metric over everybody; what it is compared with is measured if it is not there."""
    whole = list(points)
    if frame.by is not None:
        whole, _ = metric_points(Frame(frame.log, frame.edges, frame.period, users=frame.users), needed)
    wanted = {earlier(p.period, frame.period, compare) for p in whole if p.complete}
    missing = sorted(wanted - {p.period for p in whole})
    if missing:
        whole += _earlier_points(frame, needed, missing)
    return tuple(
        standing(m, [p for p in whole if p.metric == m.name], period=frame.period, compare=compare) for m in metrics
    )


def _earlier_points(frame: Frame, needed: Sequence[MetricDefinition], labels: Sequence[str]) -> list[MetricPoint]:
    """Periods before the range that the log still knows."""
    first = frame.log.schema.first_time
    begin = int(frame.edges[0])
    if first is None or begin <= first:
        return []
    since = frame.log.calendar.instant(labels[0] + "-01" if frame.period == "month" else labels[0])
    since = max(since, frame.log.calendar.floor(first, frame.period))
    if since >= begin:
        return []
    edges = frame.log.calendar.edges(frame.period, since, begin)
    found, _ = metric_points(Frame(frame.log, edges, frame.period, users=frame.users), needed)
    return [p for p in found if p.period in labels]


def _caveats(points: Sequence[MetricPoint], metrics: Sequence[MetricDefinition]) -> tuple[Caveat, ...]:
    found = []
    unfinished = sorted({p.period for p in points if not p.complete})
    if unfinished:
        message = text(
            "not complete yet: {periods}", periods=", ".join(unfinished[:5]) + ("…" if len(unfinished) > 5 else "")
        )
        found.append(Caveat("incomplete", message))
    shown = {m.name: m.shown for m in metrics}
    small = {shown.get(p.metric, p.metric) for p in points if p.denominator is not None and 0 < p.denominator < _SMALL}
    if small:
        message = text("fewer than {n} behind some values of {metrics}", n=_SMALL, metrics=", ".join(sorted(small)))
        found.append(Caveat("small_sample", message))
    zero = [
        m.shown
        for m in metrics
        if m.type in ("ratio", "derived") and any(p.metric == m.name and p.value is None for p in points)
    ]
    if zero:
        message = text(
            "no value in some periods, where something is divided by zero: {metrics}", metrics=", ".join(zero)
        )
        found.append(Caveat("no_value", message))
    return tuple(found)
