"""What a retention question answers: cohorts, cells, the pooled curve, and who is behind each cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Cell, Chart, Column, Result, Table, show, with_groups
from upswing.core.units import Period
from upswing.spec.retention import RetentionDefinition
from upswing.stats.proportions import wilson_interval

State = Literal["retained", "lost"]
Members = Callable[[int, int, int, State], NDArray[np.int64]]
"""(cohort, cell, group or -1, state) → sorted user keys."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Users who began in one period.

    Attributes:
        start: first day (or hour) of the period, ISO text.
        size: users in the cohort.
        retained: users retained by cell; None where the cell has not begun for anyone.
        complete: whether every user of the cohort could be seen to the end of the cell.
        observable: users who could be seen to the end of the cell.
        sums: sum of the property over the lags of the cell; empty when none was asked for.
    """

    start: str
    size: int
    retained: tuple[int | None, ...]
    complete: tuple[bool, ...]
    observable: tuple[int, ...]
    sums: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class PooledCell:
    """All complete cohorts together: Σ retained / Σ size, with its 95 % score interval.

    Attributes:
        lag: the lag, or "a-b" for a bracket.
        rate: None when no cohort is complete.
        cohorts: starts of the cohorts that are in it.
        per_user: sum of the property per user of those cohorts, where one was asked for.
        cumulative: the same up to and including this cell, over the cohorts complete here.
    """

    lag: int | str
    rate: float | None
    lower: float | None
    upper: float | None
    retained: int
    size: int
    cohorts: tuple[str, ...]
    per_user: float | None = None
    cumulative: float | None = None


@dataclass(frozen=True, slots=True)
class RetentionGroup:
    """One group of the breakdown: users whose start had the value."""

    value: str
    cohorts: tuple[Cohort, ...]
    pooled: tuple[PooledCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionResult(Result):
    """Cohorts by period of the start, with everything counted; `users_in` says who is behind a cell."""

    verb: ClassVar[str] = "retention"
    definition: RetentionDefinition
    cohorts: tuple[Cohort, ...]
    pooled: tuple[PooledCell, ...]
    by: str | None = None
    groups: tuple[RetentionGroup, ...] = ()
    members: Members | None = field(default=None, repr=False, compare=False)

    def users_in(
        self, cohort: str, lag: int | str, *, state: State = "retained", group: str | None = None
    ) -> NDArray[np.int64]:
        """Keys of the users retained or lost in a cell, by the pass that counted them; sorted.

        Args:
            cohort: start of the cohort as in `Cohort.start`.
            lag: the lag, or "a-b" for a bracket.
            state: ``retained`` or ``lost``; together they are the cohort.
            group: only users of this group of the breakdown.

        Raises:
            UsageError: UP644 no such cohort, lag or group in this result; UP649 it is no longer tied to its log.
        """
        place = _index([c.start for c in self.cohorts], cohort, text("cohort"))
        cell = _index([str(p.lag) for p in self.pooled], str(lag), text("lag"))
        number = -1 if group is None else _index([g.value for g in self.groups], group, text("group"))
        if self.members is None:
            raise UsageError(text("this result no longer has its log"), code="UP649")
        return self.members(place, cell, number, state)

    def title(self) -> Text:
        """The question."""
        if self.definition.returns == self.definition.start:
            return text("How many users do {event} again?", event=self.definition.start.words)
        return text(
            "How many users come back with {returning} after {start}?",
            returning=self.definition.returns.words,
            start=self.definition.start.words,
        )

    def verdict(self) -> Text | str:
        """The pooled rate at the first lag after the start and at the last one known."""
        known = [p for p in self.pooled if p.rate is not None and p.lag != 0]
        if not known:
            return text("No cohort is complete yet: the log ends before the first period after a start does.")
        first, last = known[0], known[-1]
        if first.size and not any(p.retained for p in known):
            return text(
                "None of {n} users is back in {lag} or later: people come to this log once, and retention has nothing to say "
                "of it.",
                n=f"{first.size:,}",
                lag=self.lag_label(first.lag),
            )
        if first is last:
            return text("{rate} are back in {lag}{interval}.", **self._words(first))
        words = {f"last_{k}": v for k, v in self._words(last).items()}
        return text(
            "{rate} are back in {lag}{interval}, {last_rate} in {last_lag}{last_interval}.",
            **self._words(first),
            **words,
        )

    def data(self) -> dict[str, object]:
        """Cohorts, the pooled curve, and the same per group."""
        body: dict[str, object] = {
            "period": self.definition.period,
            "cohorts": [self._cohort_data(c) for c in self.cohorts],
            "pooled": [p.rate for p in self.pooled],
            "pooled_detail": [self._pooled_data(p) for p in self.pooled],
        }
        if self.by is not None:
            body["by"] = self.by
            body["groups"] = [
                {
                    "value": g.value,
                    "cohorts": [self._cohort_data(c) for c in g.cohorts],
                    "pooled": [p.rate for p in g.pooled],
                    "pooled_detail": [self._pooled_data(p) for p in g.pooled],
                }
                for g in self.groups
            ]
        return body

    def tables(self) -> list[Table]:
        """The cohort matrix, the pooled curve, groups if any, and every cell in long form."""
        tables = [self._matrix(), self._curve()]
        if self.groups:
            tables.append(self._group_table())
        tables.append(self._cells())
        return tables

    def export(self) -> Table:
        """The cohort matrix, for all and for each group."""
        main = self._matrix()
        if self.by is None:
            return main
        return with_groups(main, self.by, [(g.value, self._matrix_rows(g.cohorts)) for g in self.groups])

    def charts(self) -> list[Chart]:
        """The triangle, the pooled curve with its interval, and the groups' curves."""
        keys = tuple(f"lag_{p.lag}" for p in self.pooled)
        charts = [
            Chart("triangle", "cohorts", text("Cohorts"), x="start", y=keys),
            Chart("interval", "pooled", text("All complete cohorts"), x="lag", y=("rate", "lower", "upper")),
        ]
        if self.groups:
            charts.append(Chart("line", "groups", text("By {by}", by=self.by), x="lag", y=("rate",), series="group"))
        return charts

    def lag_label(self, lag: int | str) -> str:
        """A lag in words, e.g. ``Week 3`` or ``Days 4–7``, in the language in force."""
        if isinstance(lag, int):
            return str(_lag(self.definition.period, lag))
        first, last = (int(part) for part in lag.split("-"))
        if first == last:
            return str(_lag(self.definition.period, first))
        return str(_lags(self.definition.period, first, last))

    def _words(self, cell: PooledCell) -> dict[str, object]:
        interval = text(" [{lower} to {upper}]", lower=show(cell.lower, "ratio"), upper=show(cell.upper, "ratio"))
        return {"rate": show(cell.rate, "ratio"), "lag": self.lag_label(cell.lag), "interval": interval}

    def _cohort_data(self, cohort: Cohort) -> dict[str, object]:
        body: dict[str, object] = {
            "start": cohort.start,
            "size": cohort.size,
            "retained": list(cohort.retained),
            "complete": list(cohort.complete),
        }
        if self.definition.clock == "rolling":
            body["observable"] = list(cohort.observable)
        if cohort.sums:
            body["sums"] = list(cohort.sums)
        return body

    def _pooled_data(self, cell: PooledCell) -> dict[str, object]:
        body: dict[str, object] = {
            "lag": cell.lag,
            "rate": cell.rate,
            "lower": cell.lower,
            "upper": cell.upper,
            "retained": cell.retained,
            "size": cell.size,
            "cohorts": list(cell.cohorts),
        }
        if self.definition.sum is not None:
            body |= {"sum_per_user": cell.per_user, "cumulative_per_user": cell.cumulative}
        return body

    def _matrix(self) -> Table:
        columns = [Column("start", text("Began")), Column("size", text("Users"), "count")]
        doc = text("share of the cohort retained")
        columns += [Column(f"lag_{p.lag}", self.lag_label(p.lag), "ratio", doc) for p in self.pooled]
        columns += [Column(f"lag_{p.lag}_open", text("{lag} open", lag=self.lag_label(p.lag))) for p in self.pooled]
        note = text(
            "Cells marked open can still rise: the log ends before they do. They are left out of the pooled curve."
        )
        return Table("cohorts", text("Cohorts"), tuple(columns), self._matrix_rows(self.cohorts), note)

    @staticmethod
    def _matrix_rows(cohorts: Sequence[Cohort]) -> list[tuple[Cell, ...]]:
        rows: list[tuple[Cell, ...]] = []
        for c in cohorts:
            rates = [r / c.size if r is not None and c.size else None for r in c.retained]
            still = [r is not None and not done for r, done in zip(c.retained, c.complete, strict=True)]
            rows.append((c.start, c.size, *rates, *still))
        return rows

    def _curve(self) -> Table:
        columns = [
            Column("lag", text("Period")),
            Column("rate", text("Retained"), "ratio", text("retained users over users of all complete cohorts")),
            Column("lower", text("From"), "ratio", text("lower limit of the 95% Wilson interval")),
            Column("upper", text("To"), "ratio", text("upper limit of the 95% Wilson interval")),
            Column("retained", text("Users retained"), "count"),
            Column("size", text("Users followed"), "count"),
            Column("n_cohorts", text("Cohorts"), "count", text("complete cohorts pooled")),
        ]
        if self.definition.sum is not None:
            columns.append(Column("sum_per_user", text("Sum per user"), "number"))
            columns.append(Column("cumulative_per_user", text("Cumulative per user"), "number"))
        return Table("pooled", text("All complete cohorts"), tuple(columns), [self._curve_row(p) for p in self.pooled])

    def _curve_row(self, p: PooledCell) -> tuple[Cell, ...]:
        row: tuple[Cell, ...] = (
            self.lag_label(p.lag), p.rate, p.lower, p.upper, p.retained, p.size, len(p.cohorts)
        )  # fmt: skip
        return row if self.definition.sum is None else (*row, p.per_user, p.cumulative)

    def _group_table(self) -> Table:
        columns = (
            Column("group", self.by or "", doc=text("value at the start")),
            Column("lag", text("Period")),
            Column("rate", text("Retained"), "ratio"),
            Column("lower", text("From"), "ratio"),
            Column("upper", text("To"), "ratio"),
            Column("retained", text("Users retained"), "count"),
            Column("size", text("Users followed"), "count"),
        )
        rows = [
            (g.value, self.lag_label(p.lag), p.rate, p.lower, p.upper, p.retained, p.size)
            for g in self.groups
            for p in g.pooled
        ]
        return Table("groups", text("By {by}", by=self.by), columns, rows)

    def _cells(self) -> Table:
        columns = (
            Column("start", text("Began")),
            Column("size", text("Users"), "count"),
            Column("lag", text("Period")),
            Column("retained", text("Users retained"), "count"),
            Column("rate", text("Retained"), "ratio"),
            Column("lower", text("From"), "ratio"),
            Column("upper", text("To"), "ratio"),
            Column(
                "complete", text("Complete"), doc=text("every user of the cohort was seen to the end of the period")
            ),
            Column("observable", text("Users seen to the end"), "count"),
            Column("sum", text("Sum"), "number", text("sum of the property over the cohort's returns in the period")),
        )
        kept = np.array([r or 0 for c in self.cohorts for r in c.retained], dtype=float)
        sizes = np.array([float(c.size) for c in self.cohorts for _ in c.retained])
        interval = wilson_interval(kept, sizes)
        lower, upper = np.atleast_1d(interval.lower).tolist(), np.atleast_1d(interval.upper).tolist()
        rows, at = [], 0
        for cohort in self.cohorts:
            end = at + len(cohort.retained)
            rows += self._cell_rows(cohort, lower[at:end], upper[at:end])
            at = end
        return Table("cells", text("All cells"), columns, rows)

    def _cell_rows(self, cohort: Cohort, lower: list[float], upper: list[float]) -> list[tuple[Cell, ...]]:
        rows: list[tuple[Cell, ...]] = []
        for i, (p, retained) in enumerate(zip(self.pooled, cohort.retained, strict=True)):
            known = retained is not None and cohort.size > 0
            rows.append(
                (
                    cohort.start, cohort.size, self.lag_label(p.lag), retained,
                    retained / cohort.size if retained is not None and known else None,
                    lower[i] if known else None, upper[i] if known else None,
                    cohort.complete[i], cohort.observable[i], cohort.sums[i] if cohort.sums else None,
                )
            )  # fmt: skip
        return rows


def _index(names: Sequence[str], name: str, what: Text) -> int:
    if name not in names:
        raise UsageError(
            text("no {what} '{name}' in this result", what=what, name=name),
            code="UP644",
            hint=did_you_mean(name, names),
        )
    return names.index(name)


def _lag(period: Period, k: int) -> Text:
    if period == "hour":
        return text("Hour {k}", k=k)
    if period == "day":
        return text("Day {k}", k=k)
    return text("Week {k}", k=k) if period == "week" else text("Month {k}", k=k)


def _lags(period: Period, a: int, b: int) -> Text:
    if period == "hour":
        return text("Hours {a}–{b}", a=a, b=b)
    if period == "day":
        return text("Days {a}–{b}", a=a, b=b)
    return text("Weeks {a}–{b}", a=a, b=b) if period == "week" else text("Months {a}–{b}", a=a, b=b)
