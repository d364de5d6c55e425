"""From metric definitions to statements: the needs of any number of metrics merge into one scan of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.spec.metric import Measure, MetricDefinition
from upswing.spec.predicates import conjunction
from upswing.sql.template import expression, q


@dataclass(slots=True)
class Needs:
    """Aggregates wanted from one scan; equal ones are computed once.

    `add` returns the name of the result column.
    """

    log: EventLog
    columns: dict[str, str] = field(default_factory=dict)
    trees: list[exp.Expr] = field(default_factory=list)

    def add(self, measure: Measure, where: exp.Expression | None, *, quantile: float | None = None) -> str:
        """Ask for one aggregate over the events of `measure`."""
        self.log.require_known(measure.events or ())
        tree = self._aggregate(measure, where, quantile)
        key = tree.sql(dialect="duckdb")
        if key not in self.columns:
            name = f"m{len(self.trees)}"
            self.columns[key] = name
            self.trees.append(exp.alias_(tree, name))
        return self.columns[key]

    def add_active(self, where: exp.Expression | None) -> str:
        """Ask for the number of users with any event."""
        return self.add(Measure(event="*", agg="users"), where)

    def _aggregate(self, measure: Measure, where: exp.Expression | None, quantile: float | None) -> exp.Expression:
        conditions = [self._events(measure), self.log.bind(measure.condition()), where]
        kept = [c.copy() for c in conditions if c is not None]
        if measure.agg == "users":
            inner: exp.Expr = exp.Count(this=exp.Distinct(expressions=[exp.column("user_key")]))
        elif measure.of is None:
            inner = exp.Count(this=exp.Star())
        else:
            column = self.log.column(measure.of)
            if quantile is not None:
                inner = exp.func("quantile_cont", column, exp.convert(quantile), dialect="duckdb")
            else:
                kinds = {"sum": exp.Sum, "mean": exp.Avg, "min": exp.Min, "max": exp.Max}
                inner = kinds[measure.agg](this=column)
        return exp.Filter(this=inner, expression=exp.Where(this=exp.and_(*kept))) if kept else expression(inner)

    def _events(self, measure: Measure) -> exp.Expression | None:
        if measure.events is None:
            return None
        return exp.In(this=exp.column("event"), expressions=[exp.convert(e) for e in measure.events])


@dataclass(frozen=True, slots=True)
class Compiled:
    """Where to find a metric in the scan: value = numerator column, or numerator over denominator."""

    metric: MetricDefinition
    numerator: str
    denominator: str | None


def compile_metrics(metrics: Sequence[MetricDefinition], needs: Needs) -> list[Compiled]:
    """Register what simple, cumulative, ratio, proportion and quantile metrics need."""
    found = []
    for metric in metrics:
        where = needs.log.bind(conjunction(metric.where)) if metric.where else None
        assert metric.numerator is not None
        if metric.type == "proportion":
            done = metric.numerator.model_copy(update={"agg": "users", "of": None})
            found.append(Compiled(metric, needs.add(done, where), needs.add_active(where)))
        elif metric.type == "ratio":
            assert metric.denominator is not None
            found.append(Compiled(metric, needs.add(metric.numerator, where), needs.add(metric.denominator, where)))
        else:
            found.append(Compiled(metric, needs.add(metric.numerator, where, quantile=metric.quantile), None))
    return found


def period_query(
    needs: Needs, edges: NDArray[np.int64], *, by: exp.Expression | None = None, users: NDArray[np.int64] | None = None
) -> Query:
    """One row per period (index) and value of `by`, with every aggregate asked for."""
    selected: list[exp.Expr] = [exp.alias_(period_index_sql(edges), "period")]
    if by is not None:
        selected.append(exp.alias_(by.copy(), "grp"))
    tree = _scan(needs, selected, int(edges[0]), int(edges[-1]), users)
    return Query(tree)


def window_query(
    needs: Needs, start: int, stop: int, *, by: exp.Expression | None = None, users: NDArray[np.int64] | None = None
) -> Query:
    """One row (or one per value of `by`) for [start, stop), with every aggregate asked for."""
    return Query(_scan(needs, [] if by is None else [exp.alias_(by.copy(), "grp")], start, stop, users))


def user_query(needs: Needs, start: int, stop: int, *, users: NDArray[np.int64] | None = None) -> Query:
    """One row per user active in [start, stop), with every aggregate asked for: the other shape of a metric."""
    return Query(_scan(needs, [exp.column("user_key")], start, stop, users))


def period_index_sql(edges: NDArray[np.int64]) -> exp.Expression:
    """The index of the period that contains ``time``, as arithmetic: one branch per stretch of equal periods.

    Args:
        edges: ascending period edges, µs UTC. Clock changes and months make stretches; a year of days in a zone with
            daylight saving has five of them.
    """
    if len(edges) < 2:
        raise UsageError(text("a range needs at least one period"), code="UP641")
    widths = np.diff(edges)
    breaks = np.flatnonzero(np.concatenate(([True], widths[1:] != widths[:-1])))
    micros = exp.func("epoch_us", exp.column("time"), dialect="duckdb")
    case = exp.Case()
    for position, first in enumerate(breaks):
        index = q(
            "$base + CAST(FLOOR(($t - $origin) / $width) AS BIGINT)",
            base=int(first), t=micros.copy(), origin=int(edges[first]), width=int(widths[first]),
        )  # fmt: skip
        if position + 1 == len(breaks):
            case = case.else_(index)
        else:
            case = case.when(q("$t < $end", t=micros.copy(), end=int(edges[breaks[position + 1]])), index)
    return case if case.args.get("ifs") else case.args["default"]


def _scan(
    needs: Needs, keys: Sequence[exp.Expr], start: int, stop: int, users: NDArray[np.int64] | None
) -> exp.Expression:
    tree = exp.select(*keys, *(t.copy() for t in needs.trees)).from_("events")
    tree = tree.where(q("epoch_us(time) >= $start AND epoch_us(time) < $stop", start=start, stop=stop))
    if users is not None:
        tree = tree.where(q("user_key IN $users", users=[int(u) for u in users] or [-1]))
    return tree if not keys else tree.group_by(*(exp.convert(i + 1) for i in range(len(keys))))
