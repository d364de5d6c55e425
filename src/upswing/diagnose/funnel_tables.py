"""A funnel's numbers as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from upswing.core.i18n import text
from upswing.core.results import Cell, Column, Table, with_groups

if TYPE_CHECKING:
    from upswing.diagnose.funnel_result import FunnelResult, FunnelStep


def funnel_tables(result: FunnelResult) -> list[Table]:
    """Steps first, then groups, trend, times and the curve."""
    found = [_steps(result)]
    if result.groups:
        found.append(_groups(result))
    if result.trend_period is not None:
        found.append(_trend(result))
    if result.histogram:
        found.append(_histogram(result))
    if result.curve:
        found.append(_curve(result))
    return found


def funnel_export(result: FunnelResult) -> Table:
    """The steps, for all and for each group."""
    main = _steps(result)
    if result.by is None:
        return main
    groups = [(group.value, _step_rows(result, group.steps)) for group in result.groups]
    return with_groups(main, result.by, groups)


def _counted(result: FunnelResult) -> Column:
    labels = {
        "users": text("Users"), "sessions": text("Sessions"), "totals": text("Attempts"), "pairs": text("Pairs"),
    }  # fmt: skip
    return Column("users", labels[result.definition.count], "count")


def _step_columns(result: FunnelResult) -> tuple[Column, ...]:
    return (
        Column("step", text("Step")),
        _counted(result),
        Column("rate_from_previous", text("From step before"), "ratio", text("of those at the step before")),
        Column("lower", text("Lower"), "ratio", text("lower limit, 95 %")),
        Column("upper", text("Upper"), "ratio", text("upper limit, 95 %")),
        Column("rate_from_entry", text("From entry"), "ratio", text("of those who entered")),
        Column("median_seconds", text("Median time"), "seconds", text("from entry")),
        Column("median_seconds_from_previous", text("Since step before"), "seconds", text("median")),
        Column("mature_users", text("Mature"), "count", text("whose window has closed")),
    )


def _step_row(step: FunnelStep) -> tuple[Cell, ...]:
    return (
        step.name, step.users, step.rate_from_previous, step.lower, step.upper, step.rate_from_entry,
        step.median_seconds, step.median_seconds_from_previous, step.mature_users,
    )  # fmt: skip


def _steps(result: FunnelResult) -> Table:
    columns = _step_columns(result)
    if any(s.target is not None for s in result.steps):
        columns = (
            *columns,
            Column("target", text("Target"), "ratio"),
            Column("gap", text("Gap"), "difference", text("mature users against the target")),
            Column("standing", text("Standing")),
        )
    rows = _step_rows(result, result.steps)
    note = text("{n} users were taken out by an exclusion", n=f"{result.removed:,}") if result.removed else ""
    return Table("steps", text("Steps"), columns, rows, note)


def _step_rows(result: FunnelResult, steps: Sequence[FunnelStep]) -> list[tuple[Cell, ...]]:
    """Rows of the steps; with targets where the funnel has any."""
    rows = [_step_row(s) for s in steps]
    if not any(s.target is not None for s in result.steps):
        return rows
    words = {"met": text("met"), "missed": text("missed"), "open": text("not sure yet")}
    targets = [s.target for s in steps]
    extra = [(t.target, t.gap, words[t.standing]) if t else (None, None, None) for t in targets]
    return [(*row, *more) for row, more in zip(rows, extra, strict=True)]


def _groups(result: FunnelResult) -> Table:
    rows: list[tuple[Cell, ...]] = [(text("All"), *_step_row(s)) for s in result.steps]
    for group in result.groups:
        rows.extend((group.value, *_step_row(s)) for s in group.steps)
    columns = (Column("group", result.by or text("Group")), *_step_columns(result))
    note = text("{n} users are in more than one group", n=f"{result.overlap:,}") if result.overlap else ""
    return Table("groups", text("By group"), columns, rows, note)


def _trend(result: FunnelResult) -> Table:
    columns = (
        Column("period", text("Entered in")),
        *(Column(f"step_{i}", s.name, "count") for i, s in enumerate(result.steps, start=1)),
        Column("rate", text("Converted"), "ratio"),
        Column("lower", text("Lower"), "ratio", text("lower limit, 95 %")),
        Column("upper", text("Upper"), "ratio", text("upper limit, 95 %")),
    )
    rows = [(r.period, *r.users, r.rate, r.lower, r.upper) for r in result.trend]
    return Table("trend", text("By period of entry"), columns, rows)


def _histogram(result: FunnelResult) -> Table:
    columns = (
        Column("from_seconds", text("From"), "seconds"),
        Column("to_seconds", text("To"), "seconds"),
        _counted(result),
    )
    rows = [(b.from_seconds, b.to_seconds, b.users) for b in result.histogram]
    return Table("time_to_convert", text("Time from entry to the last step"), columns, rows)


def _curve(result: FunnelResult) -> Table:
    columns = (
        Column("seconds", text("Since entry"), "seconds"),
        Column("rate", text("Converted"), "ratio", text("Kaplan–Meier")),
        Column("lower", text("Lower"), "ratio", text("lower limit, 95 %")),
        Column("upper", text("Upper"), "ratio", text("upper limit, 95 %")),
    )
    rows = [(p.seconds, p.rate, p.lower, p.upper) for p in result.curve]
    return Table("conversion_curve", text("Converted over time"), columns, rows)
