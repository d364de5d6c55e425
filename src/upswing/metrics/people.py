"""A metric's parts per user: what explanations, experiments and scores build on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.metrics.compile import Needs, compile_metrics, period_index_sql, user_query
from upswing.metrics.points import NONE, SEQUENTIAL, Frame, followed
from upswing.spec.metric import Measure, MetricDefinition
from upswing.spec.predicates import PropertyCondition
from upswing.sql.template import q

Keys = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UserValues:
    """A metric's parts per user.

    Args:
        users: user keys, ascending, shape (n,).
        numerator: shape (n,).
        denominator: shape (n,), or None for metrics that are not ratios.
    """

    users: Keys
    numerator: Floats
    denominator: Floats | None


@dataclass(frozen=True, slots=True)
class Parts:
    """A metric over one window, user by user: the metric is sum of `numerator` / sum of `denominator`, or the sum alone.

    Args:
        users: user keys, ascending, shape (n,).
        numerator: shape (n,).
        denominator: shape (n,). For a sum 1 for every active user; for a number of users 1 for those users alone.
        is_sum: the metric is the sum of the numerator; the denominator then counts users.
        immature: starts that are left out because their window has not closed.
    """

    users: Keys
    numerator: Floats
    denominator: Floats
    is_sum: bool
    immature: int = 0

    @property
    def value(self) -> float | None:
        """The metric over the window."""
        top, bottom = float(self.numerator.sum()), float(self.denominator.sum())
        return top if self.is_sum else (top / bottom if bottom else None)


def user_values(
    log: EventLog,
    metrics: Sequence[MetricDefinition],
    *,
    start: int,
    stop: int,
    users: Keys | None = None,
) -> dict[str, UserValues]:
    """Every metric's value per user over [start, stop), from one scan.

    Users without an event in the range are absent; with `users` given, absent ones have numerator 0 (and denominator 0).
    For conversion and retention the numerator is 1 when the target followed the user's first start in the range.

    Raises:
        UsageError: UP661 a metric that has no value per user (derived, cumulative).
    """
    for metric in metrics:
        if metric.type in ("derived", "cumulative"):
            raise UsageError(
                text("metric '{name}' has no value per user: it is {type}", name=metric.name, type=metric.type),
                code="UP661",
                hint=text("use the metrics that it is made of"),
            )
    found: dict[str, UserValues] = {}
    scanned = [m for m in metrics if m.type not in SEQUENTIAL]
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
    for metric in metrics:
        if metric.type in SEQUENTIAL:
            rows, _ = followed(Frame(log, np.array([start, stop], np.int64), "day", users=users), metric)
            order = np.argsort(rows.users)
            value = UserValues(rows.users[order], rows.followed[order].astype(float), np.ones(len(order)))
            found[metric.name] = _aligned(value, users)
    return found


def window_parts(log: EventLog, metric: MetricDefinition, start: int, stop: int) -> Parts:
    """The metric's parts per user over one window; starts whose window has not closed are left out and counted.

    Raises:
        UsageError: UP661 a metric that is no sum and no ratio of sums (derived, quantile, min, max).
    """
    _require_sum(metric)
    if metric.type in SEQUENTIAL:
        rows, _ = followed(Frame(log, np.array([start, stop], np.int64), "day"), metric)
        kept = rows.mature
        users, values = rows.users[kept], rows.followed[kept].astype(float)
        order = np.argsort(users)
        return Parts(users[order], values[order], np.ones(len(users)), False, int(np.sum(~kept)))
    if metric.type == "cumulative":
        start = (log.schema.first_time or 0) if metric.window is None else stop - metric.window.microseconds
        metric = metric.model_copy(update={"type": "simple", "window": None})
    assert metric.numerator is not None
    if metric.type == "simple" and metric.numerator.agg == "mean":
        metric = mean_as_ratio(metric)
    found = user_values(log, [metric], start=start, stop=stop)[metric.name]
    if metric.type == "simple" and metric.numerator is not None and metric.numerator.agg == "users":
        counted = found.numerator > 0
        return Parts(found.users[counted], np.ones(int(counted.sum())), np.ones(int(counted.sum())), True)
    if found.denominator is None:
        return Parts(found.users, found.numerator, np.ones(len(found.users)), True)
    return Parts(found.users, found.numerator, found.denominator, False)


def mean_as_ratio(metric: MetricDefinition) -> MetricDefinition:
    """A mean over events as the ratio that it is: the sum over how many have the property."""
    assert metric.numerator is not None
    assert metric.numerator.of is not None
    top = metric.numerator
    known = PropertyCondition(prop=top.of or "", op="is_set")
    bottom = Measure(event=top.event, any_of=top.any_of, where=[*top.where, known], agg="count")
    summed = top.model_copy(update={"agg": "sum"})
    return metric.model_copy(update={"type": "ratio", "numerator": summed, "denominator": bottom})


def user_dimensions(
    log: EventLog, dimensions: Sequence[str], start: int, stop: int, users: Keys
) -> dict[str, tuple[tuple[str, ...], NDArray[np.int64]]]:
    """The first known value of each property in [start, stop) per user: names and codes, shape (len(users),).

    A user belongs to one value only, so that parts add up. Users without any are in ``(none)``.
    """
    if not dimensions:
        return {}
    selected: list[exp.Expr] = [exp.column("user_key")]
    for index, name in enumerate(dimensions):
        value = q("CAST($c AS VARCHAR)", c=log.column(name))
        first = q("ARG_MIN($v, time) FILTER (WHERE $v IS NOT NULL)", v=value)
        selected.append(exp.alias_(first, f"d{index}"))
    tree = exp.select(*selected).from_("events")
    tree = tree.where(q("epoch_us(time) >= $start AND epoch_us(time) < $stop", start=start, stop=stop)).group_by(
        "user_key"
    )
    table = log.engine.arrow(Query(tree))
    keys = table.column("user_key").to_numpy().astype(np.int64)
    order = np.argsort(keys)
    place = np.searchsorted(keys[order], users)
    inside = place < len(keys)
    inside[inside] = keys[order][place[inside]] == users[inside]
    found = {}
    for index, name in enumerate(dimensions):
        values = table.column(f"d{index}").combine_chunks().dictionary_encode()
        names = [str(v) for v in values.dictionary.to_pylist()]
        codes = values.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)[order]
        mine = np.full(len(users), len(names), dtype=np.int64)
        mine[inside] = codes[place[inside]]
        found[name] = ((*names, NONE), mine)
    return found


def north_star_values(
    log: EventLog, metric: MetricDefinition, edges: NDArray[np.int64]
) -> tuple[Keys, NDArray[np.int64], Floats]:
    """What each user adds to a sum metric in each period: user keys, period index, value.

    Raises:
        UsageError: UP661 a metric that is not a sum over users.
    """
    _require_sum(metric)
    if metric.type != "simple" or metric.numerator is None or metric.numerator.agg == "mean":
        raise UsageError(
            text("metric '{name}' is not a sum over users: growth cannot be sized in it", name=metric.name),
            code="UP661",
        )
    needs = Needs(log)
    compiled = compile_metrics([metric], needs)[0]
    tree = exp.select(exp.column("user_key"), exp.alias_(period_index_sql(edges), "period"), *needs.trees).from_(
        "events"
    )
    tree = tree.where(
        q("epoch_us(time) >= $start AND epoch_us(time) < $stop", start=int(edges[0]), stop=int(edges[-1]))
    ).group_by(exp.convert(1), exp.convert(2))
    table = log.engine.arrow(Query(tree))
    value = np.nan_to_num(table.column(compiled.numerator).to_numpy(zero_copy_only=False).astype(float))
    keys, period = (table.column(c).to_numpy().astype(np.int64) for c in ("user_key", "period"))
    kept = value != 0
    return keys[kept], period[kept], value[kept]


def _require_sum(metric: MetricDefinition) -> None:
    extreme = metric.numerator is not None and metric.numerator.agg in ("min", "max")
    if metric.type in ("derived", "quantile") or extreme:
        raise UsageError(
            text("metric '{name}' is no sum and no ratio of sums: its change cannot be shared among users",
                 name=metric.name),
            code="UP661",
        )  # fmt: skip


def _aligned(values: UserValues, users: Keys | None) -> UserValues:
    if users is None:
        return values
    place = np.searchsorted(values.users, users)
    here = np.zeros(len(users), dtype=bool)
    inside = place < len(values.users)
    here[inside] = values.users[place[inside]] == users[inside]

    def fill(column: Floats) -> Floats:
        filled = np.zeros(len(users))
        filled[here] = column[place[here]]
        return filled

    denominator = None if values.denominator is None else fill(values.denominator)
    return UserValues(np.asarray(users, np.int64), fill(values.numerator), denominator)
